"""Reading usage from Gemini's answers: the last one told counts, and is the only one parsed."""

from __future__ import annotations

import json
from typing import Any, Final, cast

from autovibe.gateway.usage_stream import EventSplitter, event_data, json_object

_USAGE: Final = b'"usageMetadata"'
_ANSWER: Final = b'"candidates"'
_ENDS: Final = (b'"finishReason"', b'"blockReason"')


class GeminiUsage:
    """What is known of one answer's usage.

    A stream has no event that says it is complete: that is known once the connection has ended as
    it should, after a reason of the end.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self.started = False
        self.stopped = False
        self.failed = False
        self.cleared_input_tokens = 0
        self.model: str | None = None
        self._events = EventSplitter()
        self._newest: bytes | None = None
        self._usage: dict[str, Any] = {}
        self._complete = False

    @property
    def usage(self) -> dict[str, Any]:
        """The newest numbers."""
        if self._newest is not None:
            event, self._newest = self._newest, None
            self._take(json_object(event_data(event)) or {})
        return self._usage

    @property
    def final(self) -> bool:
        """Whether the numbers are those of the bill."""
        return self.stopped and self._complete and self.input_known

    @property
    def input_known(self) -> bool:
        """Whether the provider has told its count of the input."""
        return "promptTokenCount" in self.usage

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes, cut anywhere; all of them are passed on."""
        for event in self._events.feed(chunk):
            self._event(event)
        return chunk

    def ended(self) -> bytes:
        """Take note of the end: the last event may lack its empty line."""
        if self._events.rest.strip():
            self._event(self._events.rest)
        self.stopped = True
        return b""

    def whole(self, body: bytes) -> None:
        """Take an answer that was not streamed, or a stream in the form of one list."""
        try:
            value: object = json.loads(body)
        except (ValueError, RecursionError):
            return
        answers = cast("list[object]", value) if isinstance(value, list) else [value]
        for answer in answers:
            if isinstance(answer, dict):
                told = cast("dict[str, Any]", answer)
                self.started = self.started or bool(told.get("candidates"))
                self.failed = self.failed or bool(told.get("error"))
                self._take(told)
        self.stopped = True
        self._complete = any(reason in body for reason in _ENDS)

    def _event(self, event: bytes) -> None:
        if _ANSWER in event:
            self.started = True
        elif b'"error"' in event:
            answer = json_object(event_data(event)) or {}
            self.failed = self.failed or bool(answer.get("error"))
        if _USAGE in event:
            self._newest = event
        if any(reason in event for reason in _ENDS):
            self._complete = True

    def _take(self, answer: dict[str, Any]) -> None:
        usage = answer.get("usageMetadata")
        if isinstance(usage, dict):
            self._usage = cast("dict[str, Any]", usage)
        model = answer.get("modelVersion")
        if isinstance(model, str):
            self.model = model
