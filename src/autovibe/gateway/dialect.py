"""What differs between the APIs that the gateway speaks: the `Dialect` that each of them has.

A refusal is HTTP 400 in the caller's own dialect with `x-should-retry: false`: that alone stops
every agent program at once; 402, 403 and 429 make some of them retry for minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, Protocol

from autovibe.domains.metering import Bounds, ModelPrices, ToolError
from autovibe.gateway.policy import ProviderPolicy, ProviderUse

Headers = list[tuple[bytes, bytes]]
Json = Mapping[str, Any]

CALL: Final = "call"
COUNT: Final = "count"
MODELS: Final = "models"

Kind = Literal[
    "invalid_request_error",
    "request_too_large",
    "authentication_error",
    "not_found_error",
    "billing_error",
    "rate_limit_error",
    "overloaded_error",
    "timeout_error",
    "api_error",
]
"""Why the gateway answers by itself; the names are those of the Messages dialect."""


@dataclass(frozen=True)
class Answer:
    """A complete answer."""

    status: int
    body: bytes
    headers: Headers = field(default_factory=Headers)


@dataclass(frozen=True)
class Endpoint:
    """What a path of a dialect stands for.

    `what` is `call` (costs money), `count` or `models` (are free). `path` is that at the provider,
    with `model` and `stream` where the path tells them.
    """

    what: str
    path: str
    model: str | None = None
    stream: bool | None = None


@dataclass(frozen=True)
class Asked:
    """What matters of a request that may be sent.

    `body` is what will be sent: the caller's bytes, but for what accounting needs. `max_tokens` is
    the limit in it, and `added_max_tokens` the same number when the gateway put it there.
    """

    model: str
    max_tokens: int
    stream: bool
    tool_use_ids: tuple[str, ...]
    body: bytes
    use: ProviderUse
    added_max_tokens: int | None = None
    tool_errors: tuple[ToolError, ...] = ()


PricesOf = Callable[[str, Mapping[str, str] | None], ModelPrices | None]


class UsageReader(Protocol):
    """Reads what an answer tells of its cost while its bytes pass by.

    `usage` are the provider's numbers, `final` says that they are those of the bill. `started` is
    whether the model has answered anything, `stopped` whether the answer is complete, `failed`
    whether the provider reported an error in it. `cleared_input_tokens` were left out by the
    provider before it counted.
    """

    model: str | None
    started: bool
    stopped: bool
    failed: bool
    cleared_input_tokens: int

    @property
    def usage(self) -> dict[str, Any]:
        """The numbers so far."""
        ...

    @property
    def final(self) -> bool:
        """Whether the numbers are those of the bill."""
        ...

    @property
    def input_known(self) -> bool:
        """Whether the provider has told its count of the input."""
        ...

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes, cut anywhere; return those that the client gets now."""
        ...

    def ended(self) -> bytes:
        """Take note that the stream has ended as it should; return what was held back."""
        ...

    def whole(self, body: bytes) -> None:
        """Take an answer that was not streamed."""
        ...


class Dialect(Protocol):
    """One API: its paths, what its requests ask for, what its answers say of cost, its errors.

    `name` is the one of its settings and of its routes below `/llm`; `provider` is whose prices
    apply; `label` and `key_variable` stand in messages.
    """

    @property
    def name(self) -> str:
        """`anthropic`, `openai` or `gemini`."""
        ...

    @property
    def provider(self) -> str:
        """The catalogue's name of the provider."""
        ...

    @property
    def label(self) -> str:
        """The provider's name for people."""
        ...

    @property
    def key_variable(self) -> str:
        """The environment variable that usually holds the provider's key."""
        ...

    def key(self, headers: Mapping[str, str], query: bytes) -> str | None:
        """Return the credential that a request carries."""
        ...

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        """Return what a path below `/llm/<name>` is, `None` when there is no such thing."""
        ...

    def query(self, given: bytes) -> bytes:
        """Return the part of a query that may go to the provider."""
        ...

    def headers(self, given: Iterable[tuple[bytes, bytes]], key: str) -> list[tuple[str, str]]:
        """Return the headers of a forwarded request: those that may pass, and our key."""
        ...

    def read(self, endpoint: Endpoint, request: Json, body: bytes, policy: ProviderPolicy) -> Asked:
        """Return what a request asks for.

        Raises:
            BadBodyError: it cannot be read.
            RequestRefusedError: it asks for what the project does not allow.
        """
        ...

    def check_free(self, request: Json, policy: ProviderPolicy) -> None:
        """Check a request to count tokens.

        Raises:
            RequestRefusedError: it asks for what the project does not allow.
        """
        ...

    def session(self, headers: Mapping[str, str], asked: Asked) -> str:
        """Return what tells the conversations of a machine apart."""
        ...

    def bounds(
        self, asked: Asked, request: Json, known: int | None, context_window: int | None
    ) -> Bounds:
        """Return the most that a call can use.

        Raises:
            UnboundedRequestError: nothing bounds it.
        """
        ...

    def smallest_output(self, asked: Asked, request: Json) -> int:
        """Return the lowest limit of output tokens that is still useful."""
        ...

    def with_limit(self, body: bytes, limit: int) -> bytes:
        """Return a body with another limit of output tokens."""
        ...

    def reader(self, asked: Asked, request: Json) -> UsageReader:
        """Return a reader for the answer to a request."""
        ...

    def cost(
        self,
        usage: Json,
        prices: ModelPrices,
        prices_of: PricesOf,
        variant: Mapping[str, str] | None,
    ) -> Decimal:
        """Return the exact cost in the currency of the prices.

        Raises:
            UnpriceableUsageError: it cannot be told.
        """
        ...

    def with_output(self, usage: Json, tokens: int) -> dict[str, Any]:
        """Return usage as if so many tokens had been answered in all."""
        ...

    def input_tokens(self, usage: Json) -> int:
        """Return all input tokens, cached or not.

        Raises:
            UnpriceableUsageError: the numbers make no sense.
        """
        ...

    def failure(
        self,
        status: int,
        kind: Kind,
        message: str,
        request_id: str,
        *,
        retry: bool | None = None,
        retry_after_s: int | None = None,
    ) -> Answer:
        """Return an error.

        Args:
            status: HTTP status.
            kind: why.
            message: a sentence that says what to do.
            request_id: the call's.
            retry: what `x-should-retry` tells the provider's SDKs; `None` leaves it to them.
            retry_after_s: seconds until a repeat makes sense.
        """
        ...


def error_headers(request_id: str, *, retry: bool | None, retry_after_s: int | None) -> Headers:
    """Return the headers of an error of the gateway, the same in every dialect."""
    headers: Headers = [
        (b"content-type", b"application/json"),
        (b"request-id", request_id.encode()),
    ]
    if retry is not None:
        headers.append((b"x-should-retry", b"true" if retry else b"false"))
    if retry_after_s is not None:
        headers.append((b"retry-after", str(retry_after_s).encode()))
    return headers


def refusal(dialect: Dialect, reason: str, message: str, request_id: str) -> Answer:
    """Return the answer to a call that the ledger did not admit (decision B12)."""
    if reason == "BUDGET_HELD":
        return dialect.failure(429, "rate_limit_error", message, request_id, retry_after_s=30)
    return dialect.failure(400, "billing_error", message, request_id, retry=False)


def invalid(dialect: Dialect, status: int, message: str, request_id: str) -> Answer:
    """Return the answer to a request that cannot be taken as it is."""
    kind: Kind = "request_too_large" if status == 413 else "invalid_request_error"
    return dialect.failure(status, kind, message, request_id, retry=False)


def plain_not_found() -> Answer:
    """Return the answer to programs that only look whether anybody is there."""
    return Answer(404, b"Not found\n", [(b"content-type", b"text/plain; charset=utf-8")])
