"""What a request tells of the turn before it, in each dialect, garbage included."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autovibe.domains.metering.turns import ToolTurn, Turn, read_turn

INPUTS = {"command": "make"}
CALL = ToolTurn("t1", "Bash", INPUTS, "ok", failed=False)

REQUESTS: dict[str, dict[str, Any]] = {
    "messages": {
        "messages": [
            {"role": "user", "content": "do it"},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "I try"},
                    {"type": "tool_use", "id": "t1", "name": "Bash", "input": INPUTS},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "content": [{"type": "text", "text": "ok"}],
                    }
                ],
            },
        ]
    },
    "chat": {
        "messages": [
            {
                "role": "assistant",
                "content": "I try",
                "tool_calls": [
                    {"id": "t1", "function": {"name": "Bash", "arguments": json.dumps(INPUTS)}}
                ],
            },
            {"role": "tool", "tool_call_id": "t1", "content": "ok"},
        ]
    },
    "responses": {
        "input": [
            {"role": "user", "content": "do it"},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "I try"}],
            },
            {
                "type": "function_call",
                "call_id": "t1",
                "name": "Bash",
                "arguments": json.dumps(INPUTS),
            },
            {"type": "function_call_output", "call_id": "t1", "output": "ok"},
        ]
    },
}


@pytest.mark.parametrize("dialect", list(REQUESTS))
def test_the_last_turn_is_read_in_every_dialect(dialect: str) -> None:
    assert read_turn(REQUESTS[dialect]) == Turn("I try", (CALL,))


def test_the_last_turn_of_gemini_is_read() -> None:
    request = {
        "contents": [
            {
                "role": "model",
                "parts": [
                    {"text": "I try"},
                    {"functionCall": {"id": "t1", "name": "Bash", "args": INPUTS}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {
                        "functionResponse": {
                            "id": "t1",
                            "name": "Bash",
                            "response": {"error": "no"},
                        }
                    }
                ],
            },
        ]
    }
    turn = read_turn(request)
    assert turn == Turn("I try", (ToolTurn("t1", "Bash", INPUTS, '{"error": "no"}', failed=True),))


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"messages": None},
        {"messages": [1, "x", {"role": "assistant"}]},
        {"messages": [{"role": "user", "content": "first"}]},
        {"messages": [{"role": "assistant", "content": 7}, {"role": "tool", "content": {}}]},
        {"input": "text"},
        {"input": [{"type": "function_call_output", "call_id": 3, "output": None}]},
        {"contents": {}},
        {"contents": [{"parts": [{"functionResponse": 1}]}]},
    ],
)
def test_garbage_tells_little_and_breaks_nothing(request_: dict[str, Any]) -> None:
    for tool in read_turn(request_).tools:
        assert tool.name == "unknown"
