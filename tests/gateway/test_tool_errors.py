"""What the gateway sees of failed tools, in the requests of each API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autovibe.domains.metering import ToolError
from autovibe.gateway.chat import ChatDialect
from autovibe.gateway.dialect import Dialect, Endpoint
from autovibe.gateway.gemini import GeminiDialect
from autovibe.gateway.messages import MessagesDialect
from autovibe.gateway.policy import ProviderPolicy
from autovibe.gateway.responses import ResponsesDialect

CODEX = "Exit code: 1\nWall time: 0 seconds\nOutput:\ncat: a: No such file"
QWEN = "Command: cat a\nOutput: (empty)\nError: (none)\nExit Code: 1\nSignal: 0"


def errors(dialect: Dialect, request: dict[str, Any], model: str | None = None) -> Any:
    """Return what a dialect finds in a request."""
    endpoint = Endpoint("call", "/", model=model, stream=False)
    body = json.dumps(request).encode()
    return dialect.read(endpoint, request, body, ProviderPolicy()).tool_errors


def messages(*results: dict[str, Any]) -> dict[str, Any]:
    use = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {}}
    return {
        "model": "m",
        "max_tokens": 10,
        "messages": [
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t0"} | ERROR]},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [{"type": "tool_result", **one} for one in results]},
        ],
    }


ERROR = {"is_error": True, "content": [{"type": "text", "text": "no such file"}]}


def test_the_messages_api_marks_errors() -> None:
    found = errors(MessagesDialect(), messages({"tool_use_id": "t1"} | ERROR))
    assert found == (ToolError("t1", "Bash", "no such file"),)
    fine = {"tool_use_id": "t1", "content": "Error: so says the file, which was read"}
    assert errors(MessagesDialect(), messages(fine)) == ()


@pytest.mark.parametrize("text", [QWEN, "Error: File not found: a"])
def test_chat_completions_tell_by_their_text(text: str) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "run_shell", "arguments": "{}"}}
    request = {
        "model": "m",
        "max_tokens": 10,
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": text},
        ],
    }
    assert errors(ChatDialect(), request) == (ToolError("c1", "run_shell", text),)
    request["messages"].append({"role": "assistant", "content": "I see."})
    request["messages"].append({"role": "user", "content": "Error: go on"})
    assert errors(ChatDialect(), request) == ()


@pytest.mark.parametrize(
    ("output", "is_error"),
    [
        (CODEX, True),
        (CODEX.replace("code: 1", "code: 0"), False),
        ('{"output": "x", "metadata": {"exit_code": 2}}', True),
        ('{"output": "Error", "metadata": {"exit_code": 0}}', False),
        ("Chunk ID: 1\nProcess exited with code 2\nOutput:\n", True),
        ("the words exit code: 3 in the middle of a line", False),
        ("", False),
        ([{"type": "input_text", "text": CODEX}], True),
    ],
)
def test_responses_tell_by_an_exit_code(output: object, is_error: bool) -> None:  # noqa: FBT001 - parametrised
    called = {"type": "function_call", "call_id": "c1", "name": "shell", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c1", "output": output}
    request = {"model": "m", "max_output_tokens": 10, "store": False, "input": [called, result]}
    found = errors(ResponsesDialect(), request)
    assert [(one.tool_use_id, one.tool) for one in found] == [("c1", "shell")] * is_error


@pytest.mark.parametrize(
    ("response", "text"),
    [({"error": "File not found"}, "File not found"), ({"output": QWEN}, QWEN)],
)
def test_gemini_has_a_member_for_errors(response: dict[str, str], text: str) -> None:
    part = {"functionResponse": {"id": "f1", "name": "read_file", "response": response}}
    request = {
        "generationConfig": {"maxOutputTokens": 10},
        "contents": [{"role": "user", "parts": [part]}],
    }
    assert errors(GeminiDialect(), request, model="m") == (ToolError("f1", "read_file", text),)
    part["functionResponse"]["response"] = {"output": "fine"}
    assert errors(GeminiDialect(), request, model="m") == ()
