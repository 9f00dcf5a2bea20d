"""Answers in the Anthropic Messages dialect: one JSON object, or server-sent events.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from autovibe.testing.conversation import ModelRequest, tool_use_id
from autovibe.testing.scripts import Text, Thinking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autovibe.testing.scripts import Block, Turn

_PIECE: Final = 24
"""Characters in one delta: small, so that a short answer too arrives in several events."""


@dataclass(frozen=True)
class Bill:
    """What the provider bills for one call. A bill stands although its answer may get lost.

    `output_tokens` is at most the request's `max_tokens`, unless the script bills above it.
    `cache_creation_input_tokens` are those for five minutes only.
    """

    request_id: str
    model: str
    turn: int
    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int
    cache_creation_1h_input_tokens: int
    cache_read_input_tokens: int
    service_tier: str
    stream: bool
    reasoning_tokens: int = 0


@dataclass(frozen=True)
class Answer:
    """A complete answer, before it is written in one of the two forms."""

    message: dict[str, Any]
    start_usage: dict[str, Any] | None
    final_usage: dict[str, Any] | None
    """Cumulative, as `message_delta` and the unstreamed answer report it; `None` is left out."""
    reported: dict[str, Any] = field(default_factory=dict[str, Any])
    """What a fault puts over the usage; other APIs put it over theirs."""


def bill(turn: Turn, index: int, request: ModelRequest, request_id: str) -> Bill:
    """Work out what a turn costs."""
    usage = turn.usage
    fault_tokens = turn.fault.billed_output_tokens if turn.fault else None
    bounded = min(usage.output_tokens, request.max_tokens)
    return Bill(
        request_id=request_id,
        model=request.model,
        turn=index,
        input_tokens=(
            request.estimated_tokens if usage.input_tokens is None else usage.input_tokens
        ),
        output_tokens=bounded if fault_tokens is None else fault_tokens,
        cache_creation_input_tokens=usage.cache_creation_input_tokens,
        cache_creation_1h_input_tokens=usage.cache_creation_1h_input_tokens,
        cache_read_input_tokens=usage.cache_read_input_tokens,
        service_tier=usage.service_tier,
        stream=request.stream,
        reasoning_tokens=min(usage.reasoning_tokens, bounded),
    )


def answer(turn: Turn, owed: Bill, request: ModelRequest, unique: str) -> Answer:
    """Compose the answer of a turn.

    Args:
        turn: what the script says.
        owed: its bill.
        request: what is answered.
        unique: letters and digits that no other answer has; they go into the ids.
    """
    content = [
        _content_block(block, request, tool_use_id(owed.turn, number, unique))
        for number, block in enumerate(turn.blocks)
    ]
    stop_reason = turn.stop_reason or ("tool_use" if turn.calls_tools else "end_turn")
    if turn.stop_reason is None and turn.usage.output_tokens > request.max_tokens:
        stop_reason = "max_tokens"
    usage = _reported_usage(owed)
    reported = (turn.fault.reported_usage if turn.fault else None) or {}
    usage |= reported
    hidden = bool(turn.fault and turn.fault.no_usage)
    message = {
        "id": f"msg_{unique}",
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
    }
    start_usage = usage | {"output_tokens": min(1, owed.output_tokens)}
    told = (None, None) if hidden else (start_usage, usage)
    return Answer(message, *told, reported)


def _content_block(block: Block, request: ModelRequest, call_id: str) -> dict[str, Any]:
    if isinstance(block, Text):
        return {"type": "text", "text": request.fill(block.text)}
    if isinstance(block, Thinking):
        return {"type": "thinking", "thinking": block.thinking, "signature": f"sig_{call_id}"}
    tool_input = block.input(request) if callable(block.input) else request.fill(block.input)
    return {"type": "tool_use", "id": call_id, "name": block.name, "input": tool_input}


def _reported_usage(owed: Bill) -> dict[str, Any]:
    created_5m, created_1h = owed.cache_creation_input_tokens, owed.cache_creation_1h_input_tokens
    return {
        "input_tokens": owed.input_tokens,
        "cache_creation_input_tokens": created_5m + created_1h,
        "cache_read_input_tokens": owed.cache_read_input_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": created_5m,
            "ephemeral_1h_input_tokens": created_1h,
        },
        "output_tokens": owed.output_tokens,
        "service_tier": owed.service_tier,
    }


def whole(composed: Answer) -> dict[str, Any]:
    """Return the unstreamed form."""
    if composed.final_usage is None:
        return composed.message
    return composed.message | {"usage": composed.final_usage}


def error_body(error_type: str, message: str, request_id: str) -> dict[str, Any]:
    """Return the body of a failed call."""
    error = {"type": error_type, "message": message}
    return {"type": "error", "error": error, "request_id": request_id}


def events(composed: Answer) -> Iterator[bytes]:
    """Yield the streamed form, one server-sent event at a time."""
    opening: dict[str, Any] = {**composed.message, "content": [], "stop_reason": None}
    if composed.start_usage is not None:
        opening["usage"] = composed.start_usage
    yield _event("message_start", message=opening)
    for index, block in enumerate(composed.message["content"]):
        empty, deltas = _deltas(block)
        yield _event("content_block_start", index=index, content_block=empty)
        if index == 0:
            yield _event("ping")
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    ending = {key: composed.message[key] for key in ("stop_reason", "stop_sequence")}
    usage = {} if composed.final_usage is None else {"usage": composed.final_usage}
    yield _event("message_delta", delta=ending, **usage)
    yield _event("message_stop")


def _event(name: str, **fields: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()


def _deltas(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the block as it starts, and the deltas that complete it."""
    if block["type"] == "text":
        return {"type": "text", "text": ""}, [
            {"type": "text_delta", "text": piece} for piece in _pieces(block["text"])
        ]
    if block["type"] == "thinking":
        thoughts: list[dict[str, Any]] = [
            {"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"])
        ]
        signed = {"type": "signature_delta", "signature": block["signature"]}
        return {"type": "thinking", "thinking": "", "signature": ""}, [*thoughts, signed]
    pieces = ["", *_pieces(json.dumps(block["input"]))]
    inputs = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return block | {"input": {}}, inputs


def _pieces(text: str) -> list[str]:
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
