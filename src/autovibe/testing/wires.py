"""The model APIs that the scripted server answers in, beside Anthropic's own.

A request in any of them is read as one in the Messages dialect, from which the script tells where
it stands; the answer is composed there too and then written in the caller's shape.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from autovibe.agents.json_shape import JsonObject, as_array, as_object, as_objects, as_text
from autovibe.testing import messages_wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autovibe.testing.messages_wire import Answer, Bill

NO_LIMIT = 10**6
"""What a request that names no limit of output may get."""


class Wire(Protocol):
    """One API: reads its requests and writes its answers."""

    def request(self, body: JsonObject, path: str) -> JsonObject:
        """Return a request in the Messages dialect."""
        ...

    def whole(self, composed: Answer, owed: Bill) -> object:
        """Return an answer that is not streamed."""
        ...

    def events(self, composed: Answer, owed: Bill, body: JsonObject) -> Iterator[bytes]:
        """Yield a streamed answer, one event at a time."""
        ...

    def error(self, status: int, kind: str, message: str, request_id: str) -> dict[str, Any]:
        """Return the body of a failed call."""
        ...


class MessagesWire:
    """Anthropic Messages."""

    def request(self, body: JsonObject, path: str) -> JsonObject:  # noqa: ARG002  # as the Protocol says
        """Return the request as it is."""
        return body

    def whole(self, composed: Answer, owed: Bill) -> object:  # noqa: ARG002  # as the Protocol says
        """Return the message."""
        return messages_wire.whole(composed)

    def events(self, composed: Answer, owed: Bill, body: JsonObject) -> Iterator[bytes]:  # noqa: ARG002  # as the Protocol says
        """Yield the events of the message."""
        return messages_wire.events(composed)

    def error(self, status: int, kind: str, message: str, request_id: str) -> dict[str, Any]:  # noqa: ARG002  # as the Protocol says
        """Return an error of the Messages API."""
        return messages_wire.error_body(kind, message, request_id)


def total_input(owed: Bill) -> int:
    """Return all input tokens, as the other APIs count them."""
    return (
        owed.input_tokens
        + owed.cache_read_input_tokens
        + owed.cache_creation_input_tokens
        + owed.cache_creation_1h_input_tokens
    )


def texts(value: object, *kinds: str) -> str:
    """Return text that stands alone or in parts of these kinds."""
    if isinstance(value, str):
        return value
    parts = [part for part in as_objects(value) if not kinds or part.get("type") in kinds]
    return "\n".join(as_text(part.get("text")) for part in parts)


def tool_call(call_id: object, name: object, arguments: object) -> JsonObject:
    """Return a block that calls a tool; arguments may be JSON in a string."""
    given = arguments
    if isinstance(arguments, str):
        try:
            given = json.loads(arguments)
        except ValueError:
            given = {"input": arguments}
    return {
        "type": "tool_use",
        "id": as_text(call_id),
        "name": as_text(name),
        "input": as_object(given),
    }


def tool_result(call_id: object, content: object) -> JsonObject:
    """Return a block with a tool's result."""
    return {"type": "tool_result", "tool_use_id": as_text(call_id), "content": str(content)}


def merged(messages: list[tuple[str, list[JsonObject]]]) -> list[JsonObject]:
    """Return messages of which no two in a row have the same role."""
    found: list[tuple[str, list[JsonObject]]] = []
    for role, blocks in messages:
        if found and found[-1][0] == role:
            found[-1][1].extend(blocks)
        elif blocks:
            found.append((role, list(blocks)))
    return [{"role": role, "content": blocks} for role, blocks in found]


def names(tools: object) -> list[JsonObject]:
    """Return named tools, however they are nested."""
    found: list[JsonObject] = []
    for tool in as_objects(tools):
        inner = as_object(tool.get("function"))
        nested = as_array(tool.get("functionDeclarations")) or as_array(tool.get("tools"))
        if nested:
            found += names(nested)
        else:
            found.append(
                {"name": as_text(inner.get("name") or tool.get("name") or tool.get("type"))}
            )
    return found


def data(value: object, event: str = "") -> bytes:
    """Return a server-sent event."""
    head = f"event: {event}\n" if event else ""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{head}data: {text}\n\n".encode()


def pieces(text: str, size: int = 24) -> list[str]:
    """Return text in small pieces, so that a short answer too arrives in several events."""
    return [text[start : start + size] for start in range(0, len(text), size)]
