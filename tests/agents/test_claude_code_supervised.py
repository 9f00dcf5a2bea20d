"""The command line of a supervised Claude Code."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from autovibe.agents.claude_code import ClaudeCodeAdapter
from autovibe.domains.machines.agent import AgentLaunch, AgentRequest


@pytest.fixture
def launched(tmp_path: Path) -> AgentLaunch:
    program = tmp_path / "claude"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    (tmp_path / "settings").mkdir()
    return ClaudeCodeAdapter(program).launch(
        AgentRequest(
            prompt="Do it.",
            model=None,
            session_id=str(uuid.UUID(int=7)),
            resume=False,
            gateway_url="http://127.0.0.1:9000",
            virtual_key="virtual",
            settings_dir=tmp_path / "settings",
            skip_permissions=True,  # supervised wins
            supervised=True,
        )
    )


def test_a_supervised_agent_asks_for_every_tool_and_skips_nothing(
    launched: AgentLaunch, tmp_path: Path
) -> None:
    argv = list(launched.argv)
    assert "--dangerously-skip-permissions" not in argv
    tool = argv[argv.index("--permission-prompt-tool") + 1]
    assert tool == "mcp__autovibe__approve"
    assert argv[argv.index("--setting-sources") + 1] == ""
    assert "--strict-mcp-config" in argv
    settings = json.loads((tmp_path / "settings/claude.json").read_text())
    assert {"Bash", "Edit", "Read", "Write", "WebFetch"} <= set(settings["permissions"]["ask"])
    assert settings["permissions"]["disableBypassPermissionsMode"] == "disable"
    assert settings["disableAllHooks"] is True


def test_its_key_stands_in_no_file_and_no_argument(launched: AgentLaunch, tmp_path: Path) -> None:
    server = json.loads((tmp_path / "settings/mcp.json").read_text())["mcpServers"]["autovibe"]
    assert launched.env["AUTOVIBE_MCP_URL"] == "http://127.0.0.1:9000/agent/mcp"
    assert server["timeout"] > 7 * 86_400_000  # milliseconds: a person may be away for a week
    assert not any("virtual" in part for part in launched.argv)
    assert "virtual" not in json.dumps(server)
