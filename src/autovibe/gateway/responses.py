"""OpenAI Responses.

Usage stands in the event that ends a stream. Features that read what is not in the body, or that
sample again and again at the provider, are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from autovibe.domains.metering import Bounds
from autovibe.gateway.body import whole_number, with_member
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
from autovibe.gateway.policy import ProviderPolicy, ProviderUse, as_json, never, refused
from autovibe.gateway.tool_errors import responses_errors
from autovibe.gateway.usage_stream import EventSplitter, event_data, json_object

_LIMIT: Final = "max_output_tokens"
# The agent runs these itself.
_CLIENT_TOOLS: Final = frozenset(
    {"apply_patch", "custom", "function", "local_shell", "namespace", "tool_search"}
)
_OUTSIDE: Final = ("background", "completion_window", "prompt", "context_management")
_ELSEWHERE: Final = ("previous_response_id", "conversation")
_OUTPUTS: Final = (
    "function_call_output",
    "custom_tool_call_output",
    "local_shell_call_output",
    "shell_call_output",
    "apply_patch_call_output",
    "tool_search_output",
)
_NAME: Final = re.compile(rb"event: ?response\.([a-z_.]+)")
_QUIET: Final = (b"created", b"in_progress", b"queued")
_ENDS: Final = (b"completed", b"incomplete", b"failed", b"cancelled")


class ResponsesDialect(OpenAiDialect):
    """`/llm/openai/v1/responses`."""

    call_path = "/v1/responses"

    def read(self, endpoint: Endpoint, request: Json, body: bytes, policy: ProviderPolicy) -> Asked:  # noqa: ARG002  # as the Protocol says
        """Return what a request asks for.

        Raises:
            BadBodyError: it cannot be read.
            RequestRefusedError: it asks for what the project does not allow.
        """
        model = asked_model(request)
        use = _check(request, policy)
        added = None
        if request.get(_LIMIT) is None:
            added = most_output(model)
            body = with_member(body, (_LIMIT,), str(added).encode())
        return Asked(
            model=model,
            max_tokens=added or whole_number(request[_LIMIT], _LIMIT),
            stream=request.get("stream") is True,
            tool_use_ids=_answered_tools(request),
            body=body,
            use=use,
            added_max_tokens=added,
            tool_errors=responses_errors(request.get("input"), _OUTPUTS),
        )

    def bounds(
        self, asked: Asked, request: Json, known: int | None, context_window: int | None
    ) -> Bounds:
        """Return the most that a call can use.

        Raises:
            UnboundedRequestError: it has input that is not text in its body.
        """
        kinds = [part.get("type") for _, part in _parts(request)]
        images, documents = kinds.count("input_image"), kinds.count("input_file")
        images += kinds.count("computer_screenshot")
        tokens = len(asked.body)
        if known is not None and not images and not documents:
            # The provider may have left out earlier reasoning.
            hidden = sum(len(str(item)) for item in _items(request) if _is(item, "reasoning"))
            tokens = min(tokens, known + hidden)
        tokens += PREAMBLE + images * IMAGE_TOKENS
        tools = [tool for _, tool in _tools(request)]
        if tools:
            tokens += TOOLS_PREAMBLE
            tokens += TYPED_TOOL * sum(not _is(tool, "function") for tool in tools)
        if documents or asked.use.unseen_input:
            if context_window is None:
                raise UnboundedRequestError(
                    "the request has input that is not text in its body, and the context window "
                    "of the model is not known"
                )
            tokens = context_window
        return Bounds(tokens, asked.max_tokens)

    def with_limit(self, body: bytes, limit: int) -> bytes:
        """Return a body with another limit of output tokens."""
        return with_member(body, (_LIMIT,), str(limit).encode())

    def reader(self, asked: Asked, request: Json) -> UsageReader:  # noqa: ARG002  # as the Protocol says
        """Return a reader for the answer to a request."""
        return ResponsesUsage()


class ResponsesUsage:
    """What is known of one answer's usage, which the event at its end tells."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.usage: dict[str, Any] = {}
        self.model: str | None = None
        self.started = False
        self.stopped = False
        self.failed = False
        self.cleared_input_tokens = 0
        self._events = EventSplitter()

    @property
    def final(self) -> bool:
        """Whether the numbers are those of the bill: they come only at the end."""
        return self.stopped and self.input_known

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
        """Take note of the end: the last event may lack its empty line."""
        if self._events.rest.strip():
            self._event(self._events.rest)
        return b""

    def whole(self, body: bytes) -> None:
        """Take an answer that was not streamed."""
        answer = json_object(body)
        if answer is not None:
            self.stopped = True
            self.started = bool(answer.get("output"))
            self._take(answer)

    def _event(self, event: bytes) -> None:
        named = _NAME.search(event, 0, 200)
        if named is not None and named[1] not in _ENDS and named[1] not in _QUIET:
            self.started = True
            return
        values = json_object(event_data(event))
        if values is None:
            return
        kind = str(values.get("type", ""))
        ending = kind.removeprefix("response.").encode()
        if kind == "error" or "error" in values:
            self.failed = True
        elif ending in _ENDS:
            self.stopped = True
            self._take(as_dict(values.get("response")))
        elif ending not in _QUIET and kind.startswith("response."):
            self.started = True

    def _take(self, answer: dict[str, Any]) -> None:
        self.failed = self.failed or bool(answer.get("error"))
        model = answer.get("model")
        self.model = model if isinstance(model, str) else self.model
        usage = answer.get("usage")
        if not isinstance(usage, dict):
            return
        self.usage = {**usage}
        for name in ("service_tier", "tool_usage"):
            if answer.get(name) is not None:
                self.usage[name] = answer[name]


def as_dict(value: object) -> dict[str, Any]:
    """Return an object, an empty one when it is none."""
    return dict(as_json(value))


def _is(value: object, kind: str) -> bool:
    return as_json(value).get("type") == kind


def _items(request: Json) -> list[object]:
    return as_list(request.get("input"))


def _check(request: Json, policy: ProviderPolicy) -> ProviderUse:
    """Return what an admissible request makes the provider do (decision C9).

    Raises:
        RequestRefusedError: it asks for what the project does not allow.
    """
    variant = asked_variant(request, policy)
    for name in _OUTSIDE:
        if request.get(name):
            raise never(name)
    unseen = False
    for name in _ELSEWHERE:
        if request.get(name):
            if name not in policy.allowed:
                raise refused(name, f"{name}, which names text that is not in the request,", name)
            unseen = True
    for where, tool in _tools(request):
        _check_tool(where, tool)
    for where, part in _parts(request):
        unseen |= _check_part(where, part, policy)
    return ProviderUse(unseen_input=unseen, variant=variant)


def _check_part(where: str, part: Json, policy: ProviderPolicy) -> bool:
    """Refuse what the provider would fetch or has stored; say whether any is there."""
    kind = part.get("type")
    if kind == "input_audio":
        raise never(where, "input_audio")
    # A reference may be written as an id alone.
    unseen = kind == "item_reference" or (kind is None and set(part) == {"id"})
    if unseen and "previous_response_id" not in policy.allowed:
        what = "a reference to an item that is not in the request"
        raise refused(where, what, "previous_response_id")
    if part.get("file_id"):
        check_file(f"{where}.file_id", policy)
        unseen = True
    for name in ("image_url", "file_url"):
        unseen |= check_source(f"{where}.{name}", part.get(name), policy)
    return unseen


def _check_tool(where: str, tool: Json) -> None:
    kind = tool.get("type")
    local = kind == "shell" and _is(tool.get("environment"), "local")
    if kind not in _CLIENT_TOOLS and not local:
        raise never(f"{where}.type", str(kind))


def _tools(request: Json) -> Iterator[tuple[str, Json]]:
    """Give every tool with its place: newer agents send them within the input, in namespaces."""
    yield from _nested("tools", request.get("tools"))
    for index, item in enumerate(_items(request)):
        yield from _nested(f"input[{index}].tools", as_json(item).get("tools"))


def _nested(where: str, tools: object) -> Iterator[tuple[str, Json]]:
    for index, tool in enumerate(as_list(tools)):
        place = f"{where}[{index}]"
        yield place, as_json(tool)
        yield from _nested(f"{place}.tools", as_json(tool).get("tools"))


def _parts(request: Json) -> Iterator[tuple[str, Json]]:
    """Give every item of the input and every part of its content with its place."""
    for index, value in enumerate(_items(request)):
        item = as_json(value)
        place = f"input[{index}]"
        yield place, item
        for name in ("content", "output"):
            yield f"{place}.{name}", as_json(item.get(name))
            for number, part in enumerate(as_list(item.get(name))):
                yield f"{place}.{name}[{number}]", as_json(part)


def _answered_tools(request: Json) -> tuple[str, ...]:
    """Return the ids of the tool calls that the end of the input answers."""
    found: list[str] = []
    for item in reversed(_items(request)):
        if as_json(item).get("type") not in _OUTPUTS:
            break
        called = as_json(item).get("call_id")
        if isinstance(called, str):
            found.insert(0, called)
    return tuple(found)
