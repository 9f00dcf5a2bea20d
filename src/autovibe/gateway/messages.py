"""The Anthropic Messages API."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from autovibe.domains.metering import (
    Bounds,
    ModelPrices,
    anthropic_cost,
    anthropic_input_tokens,
)
from autovibe.gateway.body import BadBodyError, whole_number, with_max_tokens
from autovibe.gateway.bounds import request_bounds, smallest_output
from autovibe.gateway.dialect import (
    CALL,
    COUNT,
    MODELS,
    Answer,
    Asked,
    Endpoint,
    Json,
    Kind,
    PricesOf,
    UsageReader,
    error_headers,
)
from autovibe.gateway.forwarding import passed_headers
from autovibe.gateway.policy import ProviderPolicy, check_request, objects
from autovibe.gateway.tool_errors import messages_errors
from autovibe.gateway.usage_stream import AnthropicUsage

_ENDPOINTS: Final = {
    ("POST", "/v1/messages"): CALL,
    ("POST", "/v1/messages/count_tokens"): COUNT,
    ("GET", "/v1/models"): MODELS,
}
_PASSED_PREFIXES: Final = ("anthropic-", "x-stainless-", "x-claude-code-")


class MessagesDialect:
    """Anthropic Messages: `/llm/anthropic/v1/messages`."""

    name = "anthropic"
    provider = "anthropic"
    label = "Anthropic"
    key_variable = "ANTHROPIC_API_KEY"

    def key(self, headers: Mapping[str, str], query: bytes) -> str | None:  # noqa: ARG002  # as the Protocol says
        """Return `x-api-key`, or the bearer token."""
        return headers.get("x-api-key") or bearer(headers)

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        """Return what a path is."""
        what = _ENDPOINTS.get((method, path))
        return Endpoint(what, path) if what else None

    def query(self, given: bytes) -> bytes:
        """Return the query as it is: betas stand in it."""
        return given

    def headers(self, given: Iterable[tuple[bytes, bytes]], key: str) -> list[tuple[str, str]]:
        """Return the headers of a forwarded request."""
        return [*passed_headers(given, _PASSED_PREFIXES), ("x-api-key", key)]

    def read(self, endpoint: Endpoint, request: Json, body: bytes, policy: ProviderPolicy) -> Asked:  # noqa: ARG002  # as the Protocol says
        """Return what a request asks for.

        Raises:
            BadBodyError: it has no usable `model` or `max_tokens`.
            RequestRefusedError: it asks for what the project does not allow.
        """
        model = request.get("model")
        if not isinstance(model, str) or not model:
            raise BadBodyError("model: give the name of a model.")
        return Asked(
            model=model,
            max_tokens=whole_number(request.get("max_tokens"), "max_tokens"),
            stream=request.get("stream") is True,
            tool_use_ids=_answered_tools(request.get("messages")),
            body=body,
            use=check_request(request, policy),
            tool_errors=messages_errors(request.get("messages")),
        )

    def check_free(self, request: Json, policy: ProviderPolicy) -> None:
        """Check a request to count tokens.

        Raises:
            RequestRefusedError: it asks for what the project does not allow.
        """
        check_request(request, policy)

    def session(self, headers: Mapping[str, str], asked: Asked) -> str:
        """Return what tells the conversations of a machine apart."""
        return f"{headers.get('x-claude-code-session-id', '')}\n{asked.model}"

    def bounds(
        self, asked: Asked, request: Json, known: int | None, context_window: int | None
    ) -> Bounds:
        """Return the most that a call can use.

        Raises:
            UnboundedRequestError: nothing bounds it.
        """
        return request_bounds(asked.body, request, asked.use, known, context_window)

    def smallest_output(self, asked: Asked, request: Json) -> int:  # noqa: ARG002  # as the Protocol says
        """Return the lowest `max_tokens` that is still useful."""
        return smallest_output(request)

    def with_limit(self, body: bytes, limit: int) -> bytes:
        """Return a body with another `max_tokens`."""
        return with_max_tokens(body, limit)

    def reader(self, asked: Asked, request: Json) -> UsageReader:  # noqa: ARG002  # as the Protocol says
        """Return a reader for the answer to a request."""
        return AnthropicUsage()

    def cost(
        self,
        usage: Json,
        prices: ModelPrices,
        prices_of: PricesOf,
        variant: Mapping[str, str] | None,
    ) -> Decimal:
        """Return the exact cost.

        Raises:
            UnpriceableUsageError: it cannot be told.
        """

        def units_of(model: str) -> Mapping[str, Decimal] | None:
            found = prices_of(model, None)
            return found.unit_prices if found else None

        return anthropic_cost(usage, prices.unit_prices, prices.model, units_of, variant)

    def with_output(self, usage: Json, tokens: int) -> dict[str, Any]:
        """Return usage as if so many tokens had been answered."""
        return {**usage, "output_tokens": tokens}

    def input_tokens(self, usage: Json) -> int:
        """Return all input tokens, cached or not.

        Raises:
            UnpriceableUsageError: the numbers make no sense.
        """
        return anthropic_input_tokens(usage)

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
        """Return an error of the Messages API."""
        body = {
            "type": "error",
            "error": {"type": kind, "message": message},
            "request_id": request_id,
        }
        headers = error_headers(request_id, retry=retry, retry_after_s=retry_after_s)
        return Answer(status, json.dumps(body).encode(), headers)


def bearer(headers: Mapping[str, str]) -> str | None:
    """Return the bearer token of a request."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _answered_tools(messages: object) -> tuple[str, ...]:
    """Return the ids of the tool calls that the newest messages of the user answer."""
    found: list[str] = []
    for message in reversed(objects(messages)):
        if message.get("role") == "assistant":
            break
        ids = [
            block.get("tool_use_id")
            for block in objects(message.get("content"))
            if block.get("type") == "tool_result"
        ]
        found[:0] = [value for value in ids if isinstance(value, str)]
    return tuple(found)
