"""OpenAI Chat Completions.

Usage comes in a stream only on request, in a chunk of its own without choices. The gateway always
asks for it, and takes that chunk out again when the caller had not.
"""

from __future__ import annotations

import re
from typing import Any, Final

from autovibe.domains.metering import Bounds
from autovibe.gateway.body import BadBodyError, whole_number, with_member
from autovibe.gateway.bounds import UnboundedRequestError
from autovibe.gateway.dialect import Asked, Endpoint, Json, UsageReader
from autovibe.gateway.openai import (
    IMAGE_TOKENS,
    PREAMBLE,
    TOOLS_PREAMBLE,
    TYPED_TOOL,
    OpenAiDialect,
    as_list,
    asked_model,
    asked_variant,
    check_file,
    check_source,
    most_output,
)
from autovibe.gateway.policy import ProviderPolicy, ProviderUse, as_json, never, objects
from autovibe.gateway.tool_errors import chat_errors
from autovibe.gateway.usage_stream import EventSplitter, event_data, json_object

_LIMITS: Final = ("max_completion_tokens", "max_tokens")
_MOST_CHOICES: Final = 128
_CLIENT_TOOLS: Final = (None, "function", "custom")
# All of these have a price of their own, or none that a request bounds.
_OUTSIDE: Final = ("web_search_options", "audio", "prediction")
_TELLING: Final = re.compile(rb'"usage"\s*:\s*\{|"error"|"service_tier"\s*:\s*"(?!default")')
_NO_USAGE: Final = re.compile(rb',\s*"usage"\s*:\s*null')
_DONE: Final = b"[DONE]"


class ChatDialect(OpenAiDialect):
    """`/llm/openai/v1/chat/completions`."""

    call_path = "/v1/chat/completions"

    def read(self, endpoint: Endpoint, request: Json, body: bytes, policy: ProviderPolicy) -> Asked:  # noqa: ARG002  # as the Protocol says
        """Return what a request asks for.

        Raises:
            BadBodyError: it cannot be read.
            RequestRefusedError: it asks for what the project does not allow.
        """
        model = asked_model(request)
        use = _check(request, policy)
        name = _limit_name(request)
        added = None
        if name is None:
            added = most_output(model)
            body = with_member(body, ("max_completion_tokens",), str(added).encode())
        stream = request.get("stream") is True
        if stream and not _wants_usage(request):
            body = with_member(body, ("stream_options", "include_usage"), b"true")
        return Asked(
            model=model,
            max_tokens=whole_number(request[name], name) if name else added or 0,
            stream=stream,
            tool_use_ids=_answered_tools(request.get("messages")),
            body=body,
            use=use,
            added_max_tokens=added,
            tool_errors=chat_errors(request.get("messages")),
        )

    def bounds(
        self, asked: Asked, request: Json, known: int | None, context_window: int | None
    ) -> Bounds:
        """Return the most that a call can use.

        Raises:
            UnboundedRequestError: it has input that is not text in its body.
        """
        images, documents = _count_parts(request)
        tools = objects(request.get("tools"))
        tokens = len(asked.body)
        if known is not None and not images and not documents:
            tokens = min(tokens, known)
        tokens += PREAMBLE + images * IMAGE_TOKENS
        if tools or request.get("functions"):
            tokens += TOOLS_PREAMBLE
            tokens += TYPED_TOOL * sum(tool.get("type") == "custom" for tool in tools)
        if documents or asked.use.unseen_input:
            if context_window is None:
                raise UnboundedRequestError(
                    "the request has input that is not text in its body, and the context window "
                    "of the model is not known"
                )
            tokens = context_window
        return Bounds(tokens, asked.max_tokens, output_samplings=_choices(request))

    def with_limit(self, body: bytes, limit: int) -> bytes:
        """Return a body with another limit of output tokens, under the name that it uses."""
        request = json_object(body) or {}
        return with_member(body, (_limit_name(request) or _LIMITS[0],), str(limit).encode())

    def reader(self, asked: Asked, request: Json) -> UsageReader:
        """Return a reader for the answer to a request."""
        return ChatUsage(hide_usage=asked.stream and not _wants_usage(request))


class ChatUsage:
    """What is known of one answer's usage, which comes at its end or never."""

    def __init__(self, *, hide_usage: bool = False) -> None:
        """Know nothing yet; with `hide_usage` what was not asked for is not passed on."""
        self.usage: dict[str, Any] = {}
        self.model: str | None = None
        self.started = False
        self.stopped = False
        self.failed = False
        self.final = False
        self.cleared_input_tokens = 0
        self._tier: str | None = None
        self._hide = hide_usage
        self._raw = False
        self._events = EventSplitter()

    @property
    def input_known(self) -> bool:
        """Whether the provider has told its count of the input."""
        return "prompt_tokens" in self.usage

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes; return them, or with `hide_usage` all complete events of others."""
        if self._raw:
            return chunk
        before = self._events.rest
        events = self._events.feed(chunk)
        kept = [event for event in events if self._event(event)]
        if not self._hide:
            return chunk
        passed = b"".join(_NO_USAGE.sub(b"", event) for event in kept)
        if self._events.lost:
            # No event of these APIs is as long as this; it passes as it is.
            self._raw = True
            passed += (before + chunk)[sum(map(len, events)) :]
        return passed

    def ended(self) -> bytes:
        """Take note of the end; return what was held back as the beginning of an event."""
        rest = self._events.rest
        keep = self._event(rest) if rest.strip() else True
        return rest if self._hide and keep else b""

    def whole(self, body: bytes) -> None:
        """Take an answer that was not streamed."""
        answer = json_object(body)
        if answer is not None:
            self._take(answer)
            self.final = self.stopped = self.input_known

    def _event(self, event: bytes) -> bool:
        """Read an event; return whether the caller has asked for it."""
        if self.started and not _TELLING.search(event):
            if _DONE in event and event_data(event).strip() == _DONE:
                self.stopped = True
                self.final = self.input_known
            return True
        answer = json_object(event_data(event))
        if answer is None:
            self.stopped = self.stopped or event_data(event).strip() == _DONE
            return True
        self._take(answer)
        only_usage = self.input_known and answer.get("choices") == []
        if only_usage and "usage" in answer:
            self.final = True
        return not (only_usage and answer.get("usage"))

    def _take(self, answer: dict[str, Any]) -> None:
        if answer.get("error"):
            self.failed = True
        if answer.get("choices"):
            self.started = True
        model = answer.get("model")
        if isinstance(model, str) and model:
            self.model = model
        tier = answer.get("service_tier")
        if isinstance(tier, str):
            self._tier = tier
        usage = answer.get("usage")
        if isinstance(usage, dict):
            self.usage = {**usage}
        if self.usage and self._tier is not None:
            self.usage["service_tier"] = self._tier


def _limit_name(request: Json) -> str | None:
    """Return under which name a request limits its output."""
    given = [name for name in _LIMITS if request.get(name) is not None]
    if len(given) > 1:
        raise BadBodyError("Give max_completion_tokens or max_tokens, not both.")
    return given[0] if given else None


def _wants_usage(request: Json) -> bool:
    return as_json(request.get("stream_options")).get("include_usage") is True


def _choices(request: Json) -> int:
    n = request.get("n")
    if n is None:
        return 1
    if isinstance(n, bool) or not isinstance(n, int) or not 0 < n <= _MOST_CHOICES:
        raise BadBodyError(f"n: give a whole number from 1 to {_MOST_CHOICES}.")
    return n


def _check(request: Json, policy: ProviderPolicy) -> ProviderUse:
    """Return what an admissible request makes the provider do (decision C9).

    Raises:
        RequestRefusedError: it asks for what the project does not allow.
    """
    variant = asked_variant(request, policy)
    _choices(request)
    for name in _OUTSIDE:
        if request.get(name):
            raise never(name)
    if any(kind != "text" for kind in as_list(request.get("modalities"))):
        raise never("modalities")
    for index, tool in enumerate(as_list(request.get("tools"))):
        kind = as_json(tool).get("type")
        if kind not in _CLIENT_TOOLS:
            raise never(f"tools[{index}].type", str(kind))
    for index, message in enumerate(objects(request.get("messages"))):
        if message.get("audio"):
            raise never(f"messages[{index}].audio")
    return ProviderUse(unseen_input=_check_parts(request, policy), variant=variant)


def _check_parts(request: Json, policy: ProviderPolicy) -> bool:
    """Refuse content that the provider would fetch or has stored; say whether any is there."""
    unseen = False
    for where, part in _parts(request):
        kind = part.get("type")
        if kind == "image_url":
            image = part.get("image_url")
            url = image if isinstance(image, str) else as_json(image).get("url")
            unseen |= check_source(f"{where}.image_url", url, policy)
        elif kind == "input_audio":
            raise never(f"{where}.input_audio")
        elif kind == "file" and as_json(part.get("file")).get("file_id"):
            check_file(f"{where}.file", policy)
            unseen = True
    return unseen


def _parts(request: Json) -> list[tuple[str, Json]]:
    return [
        (f"messages[{number}].content[{index}]", part)
        for number, message in enumerate(as_list(request.get("messages")))
        for index, part in enumerate(map(as_json, as_list(as_json(message).get("content"))))
    ]


def _count_parts(request: Json) -> tuple[int, int]:
    kinds = [part.get("type") for _, part in _parts(request)]
    return kinds.count("image_url"), kinds.count("file")


def _answered_tools(messages: object) -> tuple[str, ...]:
    """Return the ids of the tool calls that the newest messages answer."""
    found: list[str] = []
    for message in reversed(objects(messages)):
        if message.get("role") == "assistant":
            break
        called = message.get("tool_call_id")
        if message.get("role") == "tool" and isinstance(called, str):
            found.insert(0, called)
    return tuple(found)
