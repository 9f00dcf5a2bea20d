"""The most tokens that a request can cost, without asking the provider (decision D5)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from autovibe.domains.metering import Bounds
from autovibe.gateway.policy import ProviderUse

CLAMP_FLOOR: Final = 4_096
# What the provider adds to the text of the request, from its documentation, rounded up.
_TOOLS_PREAMBLE: Final = 1_000
_TYPED_TOOL: Final = 2_000
_IMAGE: Final = 5_000
# Tokens may fall differently where shared text meets new text.
_SEAM: Final = 64
_REMEMBERED: Final = 8
_LARGEST_REMEMBERED: Final = 4 * 1024 * 1024
_STEERING: Final = (
    "model",
    "thinking",
    "context_management",
    "output_config",
    "reasoning",
    "truncation",
)


class UnboundedRequestError(Exception):
    """Nothing bounds what a request can cost; the message says why."""


@dataclass(frozen=True)
class _Earlier:
    """The newest call of a conversation and what the provider counted for it."""

    body: bytes
    steering: tuple[object, ...]
    input_tokens: int


class Conversations:
    """Remembers the newest call of each conversation of a machine.

    A byte of text is at most one token, and a token has about four bytes: the count of the call
    before, and the bytes added since, bound the input three times as closely.
    """

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._earlier: OrderedDict[str, _Earlier] = OrderedDict()

    def settled(
        self, session: str, body: bytes, request: Mapping[str, object], input_tokens: int
    ) -> None:
        """Take note of the input that the provider counted, edits of the context undone."""
        self._earlier.pop(session, None)
        if len(body) > _LARGEST_REMEMBERED:
            return
        self._earlier[session] = _Earlier(body, _steering(request), input_tokens)
        while len(self._earlier) > _REMEMBERED:
            self._earlier.popitem(last=False)

    def bound(self, session: str, body: bytes, request: Mapping[str, object]) -> int | None:
        """Return a bound for the text of a request; `None` when nothing is known."""
        earlier = self._earlier.get(session)
        # Other settings may bring text back that the provider had left out, or count it otherwise.
        if earlier is None or earlier.steering != _steering(request):
            return None
        return earlier.input_tokens + _added(earlier.body, body) + _SEAM


def request_bounds(
    body: bytes,
    request: Mapping[str, Any],
    use: ProviderUse,
    known: int | None,
    context_window: int | None,
) -> Bounds:
    """Return the most that a call can use.

    Args:
        body: as it will be sent.
        request: the same, parsed.
        use: what it makes the provider do.
        known: bound from the conversation so far.
        context_window: most input that the model takes.

    Raises:
        UnboundedRequestError: it has input that is not in the body, and the model's limit is not
            known.
    """
    images, documents, hidden = _inspect(request)
    tools = _tools(request)
    tokens = len(body) + images * _IMAGE
    if known is not None and not images and not documents:
        # The provider may have left out earlier thinking, and tools that nobody had looked up.
        deferred = sum(len(str(tool)) for tool in tools if tool.get("defer_loading"))
        tokens = min(tokens, known + hidden + deferred)
    if tools:
        tokens += _TOOLS_PREAMBLE
        tokens += _TYPED_TOOL * sum(tool.get("type", "custom") != "custom" for tool in tools)
    calls = use.web_searches + use.web_fetches
    if documents or use.unseen_input or calls:
        if context_window is None:
            raise UnboundedRequestError(
                "the request has input that is not text in its body, and the context window of "
                "the model is not known"
            )
        tokens = context_window
    compactions = 1 if _compacts(request) else 0
    return Bounds(
        input_tokens=tokens,
        output_tokens=request["max_tokens"],
        samplings=1 + calls + compactions,
        output_samplings=1 + compactions,
        web_searches=use.web_searches,
    )


def smallest_output(request: Mapping[str, Any]) -> int:
    """Return the lowest `max_tokens` that is still useful: never above the request's own.

    The provider refuses a limit that does not exceed the budget for thinking.
    """
    thinking = request.get("thinking")
    budget = (
        cast("Mapping[str, object]", thinking).get("budget_tokens")
        if isinstance(thinking, Mapping)
        else None
    )
    floor = CLAMP_FLOOR
    if isinstance(budget, int) and not isinstance(budget, bool):
        floor = max(floor, budget + 1)
    return min(floor, request["max_tokens"])


def _steering(request: Mapping[str, object]) -> tuple[object, ...]:
    return tuple(request.get(name) for name in _STEERING)


def _added(old: bytes, new: bytes) -> int:
    """Return how many bytes of the new text are neither its old beginning nor its old end."""
    limit = min(len(old), len(new))
    start = _common(old, new, limit, from_end=False)
    end = _common(old, new, limit - start, from_end=True)
    return len(new) - start - end


def _common(old: bytes, new: bytes, limit: int, *, from_end: bool) -> int:
    """Return the length of the common beginning or end, by halving: slices compare fast."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if from_end:
            same = (
                old[len(old) - middle : len(old) - low] == new[len(new) - middle : len(new) - low]
            )
        else:
            same = old[low:middle] == new[low:middle]
        low, high = (middle, high) if same else (low, middle - 1)
    return low


def _tools(request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    tools = request.get("tools")
    if not isinstance(tools, list):
        return []
    return [
        cast("Mapping[str, Any]", t) for t in cast("list[object]", tools) if isinstance(t, dict)
    ]


def _compacts(request: Mapping[str, Any]) -> bool:
    return "compact" in str(request.get("context_management", ""))


def _inspect(request: Mapping[str, Any]) -> tuple[int, int, int]:
    """Count the images, the encoded documents, and the bytes of thinking in a request."""
    images = documents = hidden = 0
    pending: list[object] = [request.get("messages"), request.get("system")]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += cast("list[object]", value)
        elif isinstance(value, Mapping):
            block = cast("Mapping[str, object]", value)
            kind = block.get("type")
            source = block.get("source")
            if kind in {"tool_use", "server_tool_use"}:
                continue
            if kind in {"thinking", "redacted_thinking"}:
                hidden += len(str(block).encode("utf-8", "surrogatepass"))
            elif kind == "image":
                images += 1
            elif isinstance(source, Mapping):
                form = cast("Mapping[str, object]", source).get("type")
                documents += form not in {"text", "content"}
            pending += [block.get("content"), source]
    return images, documents, hidden
