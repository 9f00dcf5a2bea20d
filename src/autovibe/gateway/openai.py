"""What OpenAI's two APIs, Chat Completions and Responses, have in common."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, cast

from autovibe.domains.metering import (
    ModelPrices,
    UnpriceableUsageError,
    openai_cost,
    openai_input_tokens,
)
from autovibe.gateway.body import BadBodyError
from autovibe.gateway.bounds import CLAMP_FLOOR
from autovibe.gateway.dialect import (
    MODELS,
    Answer,
    Asked,
    Endpoint,
    Json,
    Kind,
    PricesOf,
    error_headers,
)
from autovibe.gateway.forwarding import passed_headers
from autovibe.gateway.messages import bearer
from autovibe.gateway.policy import ProviderPolicy, never, refused

IMAGE_TOKENS: Final = 50_000
"""The most that an image counts for with any model, whatever its size in bytes."""
PREAMBLE: Final = 100
"""What is added to any request, rounded up."""
TOOLS_PREAMBLE: Final = 1_000
TYPED_TOOL: Final = 2_000

_PASSED_PREFIXES: Final = ("openai-beta", "x-stainless-", "originator", "session_id", "session-id")
_STANDARD_TIERS: Final = (None, "auto", "default")
_SHORT_RETENTION: Final = (None, "in_memory", "in-memory", "30m")
# These search the web, or use it for minutes, whatever the request says.
_SEARCHING_MODELS: Final = ("-search", "deep-research")
_DEFAULT_OUTPUT: Final = 32_768
# The most that a model may be asked for, by the beginning of its name; the longest one counts.
_MOST_OUTPUT: Final = {
    "": 4_096,
    "chatgpt-": 16_384,
    "codex-": 100_000,
    "gpt-4.1": 32_768,
    "gpt-4.5": 16_384,
    "gpt-4o": 16_384,
    "gpt-4o-2024-05-13": 4_096,
    "gpt-5": 128_000,
    "gpt-5-chat": 16_384,
    "gpt-6": 128_000,
    "o1": 100_000,
    "o1-mini": 65_536,
    "o1-preview": 32_768,
    "o3": 100_000,
    "o4": 100_000,
}
_TYPES: Final[dict[str, tuple[str, str | None]]] = {
    "authentication_error": ("invalid_request_error", "invalid_api_key"),
    "billing_error": ("insufficient_quota", "insufficient_quota"),
    "rate_limit_error": ("rate_limit_error", "rate_limit_exceeded"),
    "not_found_error": ("invalid_request_error", "not_found"),
    "request_too_large": ("invalid_request_error", "request_too_large"),
    "invalid_request_error": ("invalid_request_error", None),
}


class OpenAiDialect:
    """The half of a dialect that is the same for both APIs."""

    name = "openai"
    provider = "openai"
    label = "OpenAI"
    key_variable = "OPENAI_API_KEY"
    limit_path: tuple[str, ...] = ()
    call_path = ""

    def key(self, headers: Mapping[str, str], query: bytes) -> str | None:  # noqa: ARG002  # as the Protocol says
        """Return the bearer token, or `x-api-key`."""
        return bearer(headers) or headers.get("x-api-key")

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        """Return what a path is."""
        if (method, path) == ("GET", "/v1/models"):
            return Endpoint(MODELS, path)
        return Endpoint("call", path) if (method, path) == ("POST", self.call_path) else None

    def query(self, given: bytes) -> bytes:  # noqa: ARG002  # as the Protocol says
        """Return nothing: these APIs take no query, and a key could stand in it."""
        return b""

    def headers(self, given: Iterable[tuple[bytes, bytes]], key: str) -> list[tuple[str, str]]:
        """Return the headers of a forwarded request."""
        kept = passed_headers(
            ((name, value) for name, value in given if name != b"content-type"), _PASSED_PREFIXES
        )
        return [*kept, ("authorization", f"Bearer {key}")]

    def check_free(self, request: Json, policy: ProviderPolicy) -> None:
        """Do nothing: there is no free endpoint with a body."""

    def session(self, headers: Mapping[str, str], asked: Asked) -> str:
        """Return what tells the conversations of a machine apart."""
        session = headers.get("session_id") or headers.get("session-id", "")
        return f"{session}\n{asked.model}"

    def smallest_output(self, asked: Asked, request: Json) -> int:  # noqa: ARG002  # as the Protocol says
        """Return the lowest limit that is still useful."""
        return min(CLAMP_FLOOR, asked.max_tokens)

    def with_output(self, usage: Json, tokens: int) -> dict[str, Any]:
        """Return usage as if so many tokens had been answered in all choices."""
        name = "output_tokens" if "input_tokens" in usage else "completion_tokens"
        known = {key: value for key, value in usage.items() if key != "total_tokens"}
        return {**known, name: tokens}

    def input_tokens(self, usage: Json) -> int:
        """Return all input tokens, cached or not.

        Raises:
            UnpriceableUsageError: the numbers make no sense.
        """
        return openai_input_tokens(usage)

    def cost(
        self,
        usage: Json,
        prices: ModelPrices,
        prices_of: PricesOf,
        variant: Mapping[str, str] | None,
    ) -> Decimal:
        """Return the exact cost, at the price of the tier that has served the call.

        Raises:
            UnpriceableUsageError: it cannot be told.
        """
        served = usage.get("service_tier")
        if served not in {None, "default", "standard", (variant or {}).get("service_tier")}:
            other = prices_of(prices.model, {"service_tier": str(served)})
            if other is None:
                raise UnpriceableUsageError(f"service_tier is {served!r}")
            prices = other
        return openai_cost(usage, prices.unit_prices)

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
        """Return an error of these APIs."""
        name, code = _TYPES.get(kind, ("server_error", kind))
        body = {"error": {"message": message, "type": name, "param": None, "code": code}}
        headers = error_headers(request_id, retry=retry, retry_after_s=retry_after_s)
        headers.append((b"x-request-id", request_id.encode()))
        return Answer(status, json.dumps(body).encode(), headers)


def most_output(model: str) -> int:
    """Return the limit for a request that names none: never above what the model takes."""
    known = max((start for start in _MOST_OUTPUT if model.startswith(start)), key=len)
    return min(_MOST_OUTPUT[known], _DEFAULT_OUTPUT)


def asked_model(request: Json) -> str:
    """Return the model that a request names.

    Raises:
        BadBodyError: it names none.
        RequestRefusedError: that model works outside by itself.
    """
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise BadBodyError("model: give the name of a model.")
    if any(part in model for part in _SEARCHING_MODELS):
        raise never("model", model)
    return model


def asked_variant(request: Json, policy: ProviderPolicy) -> dict[str, str] | None:
    """Return the tier that a request asks for, `None` for the standard one.

    Raises:
        RequestRefusedError: the project does not allow it, or its price has no bound.
    """
    retention = request.get("prompt_cache_retention")
    if retention not in _SHORT_RETENTION:
        raise never("prompt_cache_retention", str(retention))
    tier = request.get("service_tier")
    if tier in _STANDARD_TIERS:
        return None
    if "service_tier" not in policy.allowed or not isinstance(tier, str):
        raise refused("service_tier", f"service_tier {tier!r}", "service_tier")
    return {"service_tier": tier}


def check_source(where: str, url: object, policy: ProviderPolicy) -> bool:
    """Refuse an image or file that the provider would fetch; return whether there is one.

    Raises:
        RequestRefusedError: the project does not allow it.
    """
    if url is None or (isinstance(url, str) and url.startswith("data:")):
        return False
    if "url_sources" not in policy.allowed:
        raise refused(where, "a source of type url", "url_sources")
    return True


def check_file(where: str, policy: ProviderPolicy) -> None:
    """Refuse a file that is stored at the provider.

    Raises:
        RequestRefusedError: the project does not allow it.
    """
    if "file_sources" not in policy.allowed:
        raise refused(where, "a source of type file", "file_sources")


def as_list(value: object) -> list[object]:
    """Return a list, nothing when it is none."""
    return cast("list[object]", value) if isinstance(value, list) else []
