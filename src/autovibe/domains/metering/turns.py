"""What a request to a model tells of the turn before it: what the model said, and which tools ran.

It is read from the request itself, whatever dialect it speaks: the last thing the model said stands
in it, and behind that what the tools gave. A machine writes its requests, so this is what the model
was told, and no proof of what happened.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final, cast

Json = Mapping[str, Any]

MOST_TOOLS: Final = 200
"""Tool calls of one turn that are looked at."""
_LONGEST: Final = 64 * 1024


_NONE: Final[Json] = {}


@dataclass(frozen=True)
class ToolTurn:
    """A tool call that a request answers."""

    id: str
    name: str
    inputs: Any
    """As the model gave them; None when they do not stand in the request."""
    output: str
    failed: bool


@dataclass(frozen=True)
class Turn:
    """What the model said last, and which of its tool calls the request answers."""

    text: str = ""
    tools: tuple[ToolTurn, ...] = ()


def read_turn(request: Json) -> Turn:
    """Return what a request tells of the turn before it."""
    if "contents" in request:
        return _gemini(request)
    if "input" in request:
        return _responses(request)
    newest: list[Json] = []
    for message in reversed(_objects(request.get("messages"))):
        newest.insert(0, message)
        if message.get("role") == "assistant":
            break
    if not newest or newest[0].get("role") != "assistant":
        return Turn()
    asked, results = newest[0], newest[1:]
    if any(message.get("role") == "tool" for message in results):
        return _chat(asked, results)
    return _messages(asked, results)


def _messages(asked: Json, results: list[Json]) -> Turn:
    blocks = _objects(asked.get("content"))
    calls = {str(one.get("id")): one for one in blocks if one.get("type") == "tool_use"}
    tools = [
        ToolTurn(
            str(block.get("tool_use_id")),
            str(calls.get(str(block.get("tool_use_id")), {}).get("name") or "unknown"),
            calls.get(str(block.get("tool_use_id")), {}).get("input"),
            _text(block.get("content")),
            block.get("is_error") is True,
        )
        for message in results
        for block in _objects(message.get("content"))
        if block.get("type") == "tool_result"
    ]
    return Turn(_text(asked.get("content")), tuple(tools[:MOST_TOOLS]))


def _chat(asked: Json, results: list[Json]) -> Turn:
    calls = {
        str(one.get("id")): _object(one.get("function"))
        for one in _objects(asked.get("tool_calls"))
    }
    tools = [
        ToolTurn(
            str(message.get("tool_call_id")),
            str(calls.get(str(message.get("tool_call_id")), {}).get("name") or "unknown"),
            _parsed(calls.get(str(message.get("tool_call_id")), {}).get("arguments")),
            _text(message.get("content")),
            failed=False,
        )
        for message in results
        if message.get("role") == "tool"
    ]
    return Turn(_text(asked.get("content")), tuple(tools[:MOST_TOOLS]))


def _responses(request: Json) -> Turn:
    items = _objects(request.get("input"))
    outputs = list(takewhile(_is_output, reversed(items)))[::-1]
    before = items[: len(items) - len(outputs)]
    own = list(
        takewhile(
            lambda item: not _is_output(item) and item.get("role") != "user", reversed(before)
        )
    )
    calls = {str(one.get("call_id")): one for one in own if one.get("type") == "function_call"}
    tools = [
        ToolTurn(
            str(item.get("call_id")),
            str(calls.get(str(item.get("call_id")), {}).get("name") or "unknown"),
            _parsed(calls.get(str(item.get("call_id")), {}).get("arguments")),
            _text(item.get("output")),
            failed=False,
        )
        for item in outputs
    ]
    said = [_text(item.get("content")) for item in reversed(own) if item.get("type") == "message"]
    return Turn("\n".join(text for text in said if text), tuple(tools[:MOST_TOOLS]))


def _gemini(request: Json) -> Turn:
    contents = _objects(request.get("contents"))
    results = [
        _object(part.get("functionResponse"))
        for part in (_objects(contents[-1].get("parts")) if contents else [])
        if "functionResponse" in part
    ]
    asked = _objects(contents[-2].get("parts")) if len(contents) > 1 else []
    calls = [_object(part.get("functionCall")) for part in asked if "functionCall" in part]
    tools: list[ToolTurn] = []
    for result in results[:MOST_TOOLS]:
        name = str(result.get("name") or "unknown")
        key = str(result.get("id") or name)
        call: Json = next((one for one in calls if key in {one.get("id"), one.get("name")}), _NONE)
        response = _object(result.get("response"))
        output = json.dumps(dict(response), ensure_ascii=False)[:_LONGEST]
        tools.append(ToolTurn(key, name, call.get("args"), output, "error" in response))
    return Turn("".join(str(part.get("text") or "") for part in asked), tuple(tools))


def _is_output(item: Json) -> bool:
    return str(item.get("type", "")).endswith("_call_output")


def _parsed(arguments: object) -> Any:
    try:
        return json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        return None


def _text(content: object) -> str:
    """Return the texts of a content, which is a text or a list of parts."""
    if isinstance(content, str):
        return content[:_LONGEST]
    parts = (part.get("text") for part in _objects(content))
    return "\n".join(_texts(parts))[:_LONGEST]


def _texts(values: Iterator[object]) -> Iterator[str]:
    return (value for value in values if isinstance(value, str) and value)


def _object(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _objects(value: object) -> list[Json]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Json", item) for item in items if isinstance(item, dict)]
