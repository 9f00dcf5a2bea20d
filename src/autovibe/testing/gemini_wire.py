"""Answers in the shape of Gemini's generateContent and streamGenerateContent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from autovibe.agents.json_shape import JsonObject, as_object, as_objects, as_text
from autovibe.testing.wires import (
    NO_LIMIT,
    data,
    merged,
    names,
    pieces,
    texts,
    tool_call,
    tool_result,
    total_input,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autovibe.testing.messages_wire import Answer, Bill

PATH: Final = re.compile(r"/v1beta/models/([^/:]+):(\w+)")
_STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class GeminiWire:
    """Gemini; the model and whether to stream stand in the path."""

    def request(self, body: JsonObject, path: str) -> JsonObject:
        """Return a request in the Messages dialect."""
        found = PATH.fullmatch(path)
        model, method = (found[1], found[2]) if found else ("", "")
        messages: list[tuple[str, list[JsonObject]]] = []
        for content in as_objects(body.get("contents")):
            blocks = [_block(part) for part in as_objects(content.get("parts"))]
            role = "assistant" if content.get("role") == "model" else "user"
            messages.append((role, [block for block in blocks if block]))
        settings = as_object(body.get("generationConfig"))
        read: JsonObject = {
            "model": model,
            "max_tokens": settings.get("maxOutputTokens") or NO_LIMIT,
            "stream": method == "streamGenerateContent",
            "system": texts(as_object(body.get("systemInstruction")).get("parts")),
            "messages": merged(messages),
        }
        return read | ({"tools": names(body["tools"])} if "tools" in body else {})

    def whole(self, composed: Answer, owed: Bill) -> object:
        """Return an answer."""
        parts = [part for block in composed.message["content"] for part in [_part(block)]]
        return _answer(
            composed, parts, _finish(composed), _usage(composed, owed, owed.output_tokens)
        )

    def events(self, composed: Answer, owed: Bill, body: JsonObject) -> Iterator[bytes]:  # noqa: ARG002  # as the Protocol says
        """Yield partial answers; usage is in each of them, and grows."""
        parts: list[dict[str, Any]] = []
        for block in composed.message["content"]:
            whole = _part(block)
            if block["type"] == "text":
                parts += [{"text": piece} for piece in pieces(block["text"])]
            else:
                parts.append(whole)
        for number, part in enumerate(parts, 1):
            last = number == len(parts)
            told = owed.output_tokens if last else min(number, owed.output_tokens)
            finish = _finish(composed) if last else None
            yield data(_answer(composed, [part], finish, _usage(composed, owed, told)))

    def error(self, status: int, kind: str, message: str, request_id: str) -> dict[str, Any]:  # noqa: ARG002  # as the Protocol says
        """Return an error of this API."""
        name = _STATUS.get(status, "UNKNOWN")
        return {"error": {"code": status, "message": message, "status": name}}


def _block(part: JsonObject) -> JsonObject:
    call, result = as_object(part.get("functionCall")), as_object(part.get("functionResponse"))
    if call:
        return tool_call(call.get("id"), call.get("name"), call.get("args"))
    if result:
        return tool_result(result.get("id"), result.get("response"))
    text = as_text(part.get("text"))
    return {"type": "text", "text": text} if text else {}


def _part(block: dict[str, Any]) -> dict[str, Any]:
    if block["type"] == "tool_use":
        call = {"id": block["id"], "name": block["name"], "args": block["input"]}
        return {"functionCall": call}
    if block["type"] == "thinking":
        return {"text": block["thinking"], "thought": True}
    return {"text": block["text"]}


def _finish(composed: Answer) -> str:
    return "MAX_TOKENS" if composed.message["stop_reason"] == "max_tokens" else "STOP"


def _answer(
    composed: Answer,
    parts: list[dict[str, Any]],
    finish: str | None,
    usage: dict[str, Any] | None,
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    answer: dict[str, Any] = {"candidates": [candidate]}
    if usage is not None:
        answer["usageMetadata"] = usage
    return answer | {
        "modelVersion": composed.message["model"],
        "responseId": composed.message["id"],
    }


def _usage(composed: Answer, owed: Bill, output: int) -> dict[str, Any] | None:
    if composed.final_usage is None:
        return None
    given, thoughts = total_input(owed), min(owed.reasoning_tokens, output)
    usage = {
        "promptTokenCount": given,
        "candidatesTokenCount": output - thoughts,
        "totalTokenCount": given + output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": given}],
    }
    if owed.cache_read_input_tokens:
        usage["cachedContentTokenCount"] = owed.cache_read_input_tokens
    if thoughts:
        usage["thoughtsTokenCount"] = thoughts
    return usage | composed.reported
