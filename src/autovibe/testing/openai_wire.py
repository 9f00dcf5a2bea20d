"""Answers in the shapes of OpenAI Chat Completions and Responses."""

from __future__ import annotations

import json
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

_CREATED: Final = 1_790_000_000
_FINISH: Final = {"tool_use": "tool_calls", "max_tokens": "length"}
_OUTPUTS: Final = ("function_call_output", "custom_tool_call_output")


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


class ChatWire:
    """Chat Completions."""

    def request(self, body: JsonObject, path: str) -> JsonObject:  # noqa: ARG002  # as the Protocol says
        """Return a request in the Messages dialect."""
        messages: list[tuple[str, list[JsonObject]]] = []
        system: list[str] = []
        for message in as_objects(body.get("messages")):
            role, content = message.get("role"), message.get("content")
            if role in {"system", "developer"}:
                system.append(texts(content))
            elif role == "tool":
                block = tool_result(message.get("tool_call_id"), texts(content))
                messages.append(("user", [block]))
            else:
                blocks: list[JsonObject] = []
                if texts(content):
                    blocks.append({"type": "text", "text": texts(content)})
                for call in as_objects(message.get("tool_calls")):
                    function = as_object(call.get("function"))
                    arguments = function.get("arguments")
                    blocks.append(tool_call(call.get("id"), function.get("name"), arguments))
                messages.append(("assistant" if role == "assistant" else "user", blocks))
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or NO_LIMIT
        read: JsonObject = {
            "model": as_text(body.get("model")),
            "max_tokens": limit,
            "stream": body.get("stream") is True,
            "system": "\n".join(system),
            "messages": merged(messages),
        }
        return read | ({"tools": names(body["tools"])} if "tools" in body else {})

    def whole(self, composed: Answer, owed: Bill) -> object:
        """Return a completion."""
        text, calls = _chat_content(composed)
        message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": None}
        if calls:
            message["tool_calls"] = calls
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": _finish(composed),
        }
        answer = _chat_head(composed, "chat.completion") | {"choices": [choice]}
        usage = _chat_usage(composed, owed)
        return answer if usage is None else answer | {"usage": usage}

    def events(self, composed: Answer, owed: Bill, body: JsonObject) -> Iterator[bytes]:
        """Yield the chunks of a completion; usage comes only when it was asked for."""
        head = _chat_head(composed, "chat.completion.chunk")
        asked = as_object(body.get("stream_options")).get("include_usage") is True
        null: dict[str, Any] = {"usage": None} if asked else {}
        text, calls = _chat_content(composed)

        def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return data(head | {"choices": [choice]} | null)

        yield chunk({"role": "assistant", "content": "", "refusal": None})
        for piece in pieces(text):
            yield chunk({"content": piece})
        for index, call in enumerate(calls):
            function = call["function"]
            opening = {**function, "arguments": ""}
            yield chunk({"tool_calls": [{"index": index, **call, "function": opening}]})
            for piece in pieces(function["arguments"]):
                yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        yield chunk({}, _finish(composed))
        usage = _chat_usage(composed, owed)
        if asked and usage is not None:
            no_choices: list[object] = []
            yield data(head | {"choices": no_choices, "usage": usage})
        yield data("[DONE]")

    def error(self, status: int, kind: str, message: str, request_id: str) -> dict[str, Any]:  # noqa: ARG002  # as the Protocol says
        """Return an error of this API."""
        return _error(kind, message)


def _chat_head(composed: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{composed.message['id']}",
        "object": kind,
        "created": _CREATED,
        "model": composed.message["model"],
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _finish(composed: Answer) -> str:
    return _FINISH.get(composed.message["stop_reason"], "stop")


def _chat_content(composed: Answer) -> tuple[str, list[dict[str, Any]]]:
    content = composed.message["content"]
    calls = [
        {
            "id": block["id"],
            "type": "function",
            "function": {"name": block["name"], "arguments": json.dumps(block["input"])},
        }
        for block in content
        if block["type"] == "tool_use"
    ]
    return "".join(block["text"] for block in content if block["type"] == "text"), calls


def _chat_usage(composed: Answer, owed: Bill) -> dict[str, Any] | None:
    if composed.final_usage is None:
        return None
    given = total_input(owed)
    return {
        "prompt_tokens": given,
        "completion_tokens": owed.output_tokens,
        "total_tokens": given + owed.output_tokens,
        "prompt_tokens_details": _input_details(owed) | {"audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": owed.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    } | composed.reported


def _input_details(owed: Bill) -> dict[str, Any]:
    long = owed.cache_creation_1h_input_tokens
    written = owed.cache_creation_input_tokens + long
    details: dict[str, Any] = {"cached_tokens": owed.cache_read_input_tokens}
    if written:
        details["cache_write_tokens"] = written
        details["cache_write_tokens_details"] = {
            "ttl_30m_tokens": written - long,
            "ttl_12h_tokens": long,
        }
    return details


class ResponsesWire:
    """Responses."""

    def request(self, body: JsonObject, path: str) -> JsonObject:  # noqa: ARG002  # as the Protocol says
        """Return a request in the Messages dialect."""
        given = body.get("input")
        messages: list[tuple[str, list[JsonObject]]] = []
        system = [as_text(body.get("instructions"))]
        if isinstance(given, str):
            messages.append(("user", [{"type": "text", "text": given}]))
        for item in as_objects(given):
            kind, role = item.get("type", "message"), item.get("role")
            if kind == "message" and role in {"system", "developer"}:
                system.append(texts(item.get("content")))
            elif kind == "message":
                text: JsonObject = {"type": "text", "text": texts(item.get("content"))}
                messages.append(("assistant" if role == "assistant" else "user", [text]))
            elif kind == "function_call":
                block = tool_call(item.get("call_id"), item.get("name"), item.get("arguments"))
                messages.append(("assistant", [block]))
            elif kind == "custom_tool_call":
                block = tool_call(item.get("call_id"), item.get("name"), item.get("input"))
                messages.append(("assistant", [block]))
            elif kind in _OUTPUTS:
                result = tool_result(item.get("call_id"), item.get("output"))
                messages.append(("user", [result]))
        read: JsonObject = {
            "model": as_text(body.get("model")),
            "max_tokens": body.get("max_output_tokens") or NO_LIMIT,
            "stream": body.get("stream") is True,
            "system": "\n".join(system),
            "messages": merged(messages),
        }
        return read | ({"tools": names(body["tools"])} if "tools" in body else {})

    def whole(self, composed: Answer, owed: Bill) -> object:
        """Return a response."""
        items = [item for block in composed.message["content"] for item in [_item(block, composed)]]
        limited = composed.message["stop_reason"] == "max_tokens"
        return _response(composed, "incomplete" if limited else "completed") | {
            "output": items,
            "incomplete_details": {"reason": "max_output_tokens"} if limited else None,
            "usage": _responses_usage(composed, owed),
        }

    def events(self, composed: Answer, owed: Bill, body: JsonObject) -> Iterator[bytes]:  # noqa: ARG002  # as the Protocol says
        """Yield the events of a response."""
        number = 0

        def event(kind: str, **fields: object) -> bytes:
            nonlocal number
            number += 1
            return data({"type": kind, "sequence_number": number - 1, **fields}, kind)

        begun = _response(composed, "in_progress")
        yield event("response.created", response=begun)
        yield event("response.in_progress", response=begun)
        for index, block in enumerate(composed.message["content"]):
            item = _item(block, composed)
            place: dict[str, Any] = {"item_id": item["id"], "output_index": index}
            started: dict[str, Any] = {**item, "status": "in_progress"}
            if item["type"] == "message":
                started["content"] = []
            yield event("response.output_item.added", output_index=index, item=started)
            if item["type"] == "message":
                for piece in pieces(item["content"][0]["text"]):
                    at = place | {"content_index": 0}
                    yield event("response.output_text.delta", delta=piece, **at)
            elif item["type"] == "function_call":
                for piece in pieces(item["arguments"]):
                    yield event("response.function_call_arguments.delta", delta=piece, **place)
            yield event("response.output_item.done", output_index=index, item=item)
        answer = as_object(self.whole(composed, owed))
        yield event(f"response.{answer['status']}", response=answer)

    def error(self, status: int, kind: str, message: str, request_id: str) -> dict[str, Any]:  # noqa: ARG002  # as the Protocol says
        """Return an error of this API."""
        return _error(kind, message)


def _response(composed: Answer, status: str) -> dict[str, Any]:
    return {
        "id": f"resp_{composed.message['id']}",
        "object": "response",
        "created_at": _CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": composed.message["model"],
        "output": [],
        "service_tier": "default",
        "store": False,
        "usage": None,
    }


def _item(block: dict[str, Any], composed: Answer) -> dict[str, Any]:
    unique = composed.message["id"]
    if block["type"] == "tool_use":
        return {
            "id": f"fc_{block['id']}",
            "type": "function_call",
            "status": "completed",
            "call_id": block["id"],
            "name": block["name"],
            "arguments": json.dumps(block["input"]),
        }
    if block["type"] == "thinking":
        summary = [{"type": "summary_text", "text": block["thinking"]}]
        return {"id": f"rs_{unique}", "type": "reasoning", "summary": summary}
    text: dict[str, Any] = {"type": "output_text", "text": block["text"], "annotations": []}
    return {
        "id": f"msg_{unique}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [text],
    }


def _responses_usage(composed: Answer, owed: Bill) -> dict[str, Any] | None:
    if composed.final_usage is None:
        return None
    given = total_input(owed)
    return {
        "input_tokens": given,
        "input_tokens_details": _input_details(owed),
        "output_tokens": owed.output_tokens,
        "output_tokens_details": {"reasoning_tokens": owed.reasoning_tokens},
        "total_tokens": given + owed.output_tokens,
    } | composed.reported
