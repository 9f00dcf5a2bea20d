"""Reading what a streamed answer tells of its cost, while its bytes pass by unchanged."""

from __future__ import annotations

import json
import re
from typing import Any, Final, cast

_SEPARATOR: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINE: Final = re.compile(rb"\r\n|\n|\r")
# Most events are these; they carry no usage.
_UNINTERESTING: Final = (b"event: content_block", b"event: ping", b"event:content_block")
_LONGEST_EVENT: Final = 16 * 1024 * 1024


class EventSplitter:
    """Cuts a stream into its server-sent events, however its bytes come."""

    def __init__(self) -> None:
        """Begin before the first event."""
        self.rest = b""
        self.lost = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the events that are complete now, each with the empty line that ends it.

        An event that is longer than any real one makes it give up: `lost`, `rest` is empty then.
        """
        if self.lost:
            return []
        searched = max(0, len(self.rest) - 3)
        text = self.rest + chunk
        found: list[bytes] = []
        start = 0
        while True:
            end = _SEPARATOR.search(text, max(start, searched))
            if end is None:
                break
            found.append(text[start : end.end()])
            start = end.end()
        self.rest = text[start:]
        if len(self.rest) > _LONGEST_EVENT:
            self.rest, self.lost = b"", True
        return found


def event_data(event: bytes) -> bytes:
    """Return the data of an event, `b""` when it has none."""
    lines = [line for line in _LINE.split(event) if line.startswith(b"data:")]
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines)


def json_object(data: bytes) -> dict[str, Any] | None:
    """Return the JSON object in some data, `None` when it is none."""
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


class AnthropicUsage:
    """What is known of one answer's usage.

    `usage` is that of `message_start`, overwritten field by field by each `message_delta`: the
    numbers there are cumulative. `final` is set once a `message_delta` has given the reason of the
    stop, so that the numbers are those of the bill.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self.usage: dict[str, Any] = {}
        self.model: str | None = None
        self.started = False
        self.final = False
        self.stopped = False
        self.failed = False
        self.cleared_input_tokens = 0
        self._events = EventSplitter()

    @property
    def input_known(self) -> bool:
        """Whether the provider has told its count of the input."""
        return "input_tokens" in self.usage

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes, cut anywhere; all of them are passed on."""
        for event in self._events.feed(chunk):
            self._event(event)
        return chunk

    def ended(self) -> bytes:
        """Take note that the stream has ended; nothing was held back."""
        return b""

    def whole(self, body: bytes) -> None:
        """Take an answer that was not streamed."""
        message = json_object(body)
        if message is not None:
            self._start(message)
            self.final = self.stopped = self.input_known
            self._edits(message)

    def _event(self, event: bytes) -> None:
        if event.startswith(_UNINTERESTING):
            return
        values = json_object(event_data(event))
        if values is None:
            return
        match values.get("type"):
            case "message_start":
                if isinstance(values.get("message"), dict):
                    self._start(values["message"])
            case "message_delta":
                self._delta(values)
            case "message_stop":
                self.stopped = True
            case "error":
                self.failed = True
            case _:
                pass

    def _start(self, message: dict[str, Any]) -> None:
        self.started = True
        usage = message.get("usage")
        if isinstance(usage, dict):
            self.usage = cast("dict[str, Any]", usage)
        model = message.get("model")
        self.model = model if isinstance(model, str) else None

    def _delta(self, values: dict[str, Any]) -> None:
        usage = values.get("usage")
        if not isinstance(usage, dict):
            return
        told = cast("dict[str, Any]", usage)
        self.usage |= {name: value for name, value in told.items() if value is not None}
        delta = values.get("delta")
        reason = (
            cast("dict[str, Any]", delta).get("stop_reason") if isinstance(delta, dict) else None
        )
        self.final = bool(reason) and self.input_known and "output_tokens" in told
        self._edits(values)

    def _edits(self, values: dict[str, Any]) -> None:
        """Sum up the input that the provider cleared from the context before it counted."""
        management = values.get("context_management")
        if not isinstance(management, dict):
            return
        edits = cast("dict[str, Any]", management).get("applied_edits")
        if isinstance(edits, list):
            counts = [
                cast("dict[str, Any]", edit).get("cleared_input_tokens")
                for edit in cast("list[object]", edits)
                if isinstance(edit, dict)
            ]
            self.cleared_input_tokens = sum(
                count for count in counts if isinstance(count, int) and count > 0
            )
