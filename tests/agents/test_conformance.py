"""Both adapters pass the kit, and the kit finds broken ones."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from autovibe.agents.claude_code import ClaudeCodeAdapter
from autovibe.agents.claude_output import ClaudeOutputReader
from autovibe.agents.shell import ShellAdapter
from autovibe.testing.agent_conformance import CHECKS, AgentCase, Transcript


def claude_row(call):
    block = {"type": "tool_result", "tool_use_id": call, "content": "ok"}
    return json.dumps({"type": "user", "message": {"content": [block]}}).encode() + b"\n"


CLAUDE_TRANSCRIPT = Transcript(
    path=lambda session: f".claude/projects/-workspace/{session}.jsonl", row=claude_row
)
CASES = {
    "claude_code": lambda: AgentCase(ClaudeCodeAdapter(), transcript=CLAUDE_TRANSCRIPT),
    "shell": lambda: AgentCase(ShellAdapter(), extra_args=("true",)),
}


@pytest.mark.parametrize("agent", CASES)
@pytest.mark.parametrize("check", CHECKS)
def test_adapter_passes_the_conformance_check(agent, check, tmp_path):
    CHECKS[check](CASES[agent](), tmp_path)


class LeakyAdapter(ClaudeCodeAdapter):
    def launch(self, request):
        launch = super().launch(request)
        return replace(launch, argv=(*launch.argv, request.virtual_key))


class FragileAdapter(ClaudeCodeAdapter):
    def reader(self):
        class Fragile(ClaudeOutputReader):
            def feed(self, line):
                return super().feed(json.dumps(json.loads(line)).encode())

        return Fragile()


class GullibleAdapter(ClaudeCodeAdapter):
    def transcript_holds(self, home, session_id, tool_use_ids):
        text = b"".join(
            path.read_bytes()
            for path in home.glob(f".claude/projects/*/{session_id}.jsonl")
            if path.is_file()
        )
        return all(call.encode() in text for call in tool_use_ids)


@pytest.mark.parametrize(
    ("adapter", "check", "error"),
    [
        (LeakyAdapter, "key_goes_only_into_the_environment", AssertionError),
        (FragileAdapter, "reader_survives_anything", ValueError),
        (GullibleAdapter, "transcript_look_is_safe", AssertionError),
    ],
)
def test_kit_finds_a_broken_adapter(adapter, check, error, tmp_path):
    with pytest.raises(error):
        CHECKS[check](AgentCase(adapter(), transcript=CLAUDE_TRANSCRIPT), tmp_path)
