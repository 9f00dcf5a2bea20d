"""Gemini's generateContent and streamGenerateContent.

Model and method stand in the path. Usage is in nearly every event of a stream and grows: the last
one counts. Names may be written in two ways, and lists of one thing without the list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qs

from autovibe.domains.metering import Bounds, ModelPrices, gemini_cost, gemini_input_tokens
from autovibe.gateway.body import BadBodyError, whole_number, with_member
from autovibe.gateway.bounds import CLAMP_FLOOR, UnboundedRequestError
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
from autovibe.gateway.gemini_usage import GeminiUsage
from autovibe.gateway.messages import bearer
from autovibe.gateway.policy import ProviderPolicy, ProviderUse, as_json, never, refused
from autovibe.gateway.tool_errors import gemini_errors

_PATH: Final = re.compile(r"/v1beta/models/([A-Za-z0-9][A-Za-z0-9._-]*):([A-Za-z]+)")
_METHODS: Final = {
    "generateContent": (CALL, False),
    "streamGenerateContent": (CALL, True),
    "countTokens": (COUNT, None),
}
_PASSED_PREFIXES: Final = ("x-goog-api-client",)
_IMAGE: Final = 5_000
_PREAMBLE: Final = 1_000
_MOST_CHOICES: Final = 8
_DEFAULT_OUTPUT: Final = 32_768
_SMALL_OUTPUT: Final = 8_192
_SMALL: Final = ("gemini-1", "gemini-2.0", "gemini-exp", "gemma", "learnlm")
_TEXT: Final = ("image/", "text/", "application/pdf", "application/json")
_STATUS: Final[dict[str, str]] = {
    "invalid_request_error": "INVALID_ARGUMENT",
    "request_too_large": "INVALID_ARGUMENT",
    "authentication_error": "UNAUTHENTICATED",
    "not_found_error": "NOT_FOUND",
    "billing_error": "FAILED_PRECONDITION",
    "rate_limit_error": "RESOURCE_EXHAUSTED",
    "overloaded_error": "UNAVAILABLE",
    "timeout_error": "DEADLINE_EXCEEDED",
}
_STANDARD_TIERS: Final = (None, "standard", "unspecified", "SERVICE_TIER_UNSPECIFIED")


class GeminiDialect:
    """`/llm/gemini/v1beta/models/MODEL:METHOD`."""

    name = "gemini"
    provider = "google"
    label = "Gemini"
    key_variable = "GEMINI_API_KEY"

    def key(self, headers: Mapping[str, str], query: bytes) -> str | None:
        """Return `x-goog-api-key`, the `key` of the query, or the bearer token."""
        in_query = parse_qs(query.decode("latin-1")).get("key", [""])[0]
        return headers.get("x-goog-api-key") or in_query or bearer(headers)

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        """Return what a path is."""
        if (method, path) == ("GET", "/v1beta/models"):
            return Endpoint(MODELS, path)
        found = _PATH.fullmatch(path) if method == "POST" else None
        if found is None or found[2] not in _METHODS:
            return None
        what, stream = _METHODS[found[2]]
        return Endpoint(what, path, found[1], stream)

    def query(self, given: bytes) -> bytes:
        """Return in which form the answer is to come; nothing else, least of all a key."""
        alt = parse_qs(given.decode("latin-1")).get("alt", [""])[-1]
        return f"alt={alt}".encode() if alt in {"sse", "json"} else b""

    def headers(self, given: Iterable[tuple[bytes, bytes]], key: str) -> list[tuple[str, str]]:
        """Return the headers of a forwarded request."""
        kept = passed_headers(
            ((name, value) for name, value in given if name != b"content-type"), _PASSED_PREFIXES
        )
        return [*kept, ("x-goog-api-key", key)]

    def read(self, endpoint: Endpoint, request: Json, body: bytes, policy: ProviderPolicy) -> Asked:
        """Return what a request asks for.

        Raises:
            BadBodyError: it cannot be read.
            RequestRefusedError: it asks for what the project does not allow.
        """
        model = endpoint.model or ""
        use = _check(request, policy)
        settings = _settings(request)
        given = _field(settings, "maxOutputTokens")
        added = None
        if given is None:
            small = model.startswith(_SMALL)
            added = _SMALL_OUTPUT if small else _DEFAULT_OUTPUT
            body = self.with_limit(body, added)
        return Asked(
            model=model,
            max_tokens=added or whole_number(given, "generationConfig.maxOutputTokens"),
            stream=bool(endpoint.stream),
            tool_use_ids=_answered_tools(request),
            tool_errors=gemini_errors(_results(request)),
            body=body,
            use=use,
            added_max_tokens=added,
        )

    def check_free(self, request: Json, policy: ProviderPolicy) -> None:
        """Check a request to count tokens.

        Raises:
            RequestRefusedError: it asks for what the project does not allow.
        """
        _check(request, policy)
        _check(as_json(_field(request, "generateContentRequest")), policy)

    def session(self, headers: Mapping[str, str], asked: Asked) -> str:  # noqa: ARG002  # as the Protocol says
        """Return what tells the conversations of a machine apart: the model."""
        return asked.model

    def bounds(
        self, asked: Asked, request: Json, known: int | None, context_window: int | None
    ) -> Bounds:
        """Return the most that a call can use.

        Raises:
            UnboundedRequestError: it has input that is not text in its body.
        """
        images = documents = 0
        for _, part in _parts(request):
            kind = _mime(part)
            images += kind.startswith("image/")
            documents += bool(kind) and not kind.startswith(("image/", "text/"))
        tokens = len(asked.body)
        if known is not None and not images and not documents:
            tokens = min(tokens, known)
        tokens += _PREAMBLE + images * _IMAGE
        if documents or asked.use.unseen_input:
            if context_window is None:
                raise UnboundedRequestError(
                    "the request has input that is not text in its body, and the context window "
                    "of the model is not known"
                )
            tokens = context_window
        return Bounds(tokens, asked.max_tokens, output_samplings=_choices(request))

    def smallest_output(self, asked: Asked, request: Json) -> int:
        """Return the lowest limit that is still useful: thoughts count against it."""
        thinking = as_json(_field(_settings(request), "thinkingConfig"))
        budget = _field(thinking, "thinkingBudget")
        floor = CLAMP_FLOOR
        if isinstance(budget, int) and not isinstance(budget, bool):
            floor = max(floor, budget + 1)
        return min(floor, asked.max_tokens)

    def with_limit(self, body: bytes, limit: int) -> bytes:
        """Return a body with another limit of output tokens, under the names that it uses."""
        request: dict[str, Any] = json.loads(body)
        parent = _spelling(request, "generationConfig")
        name = _spelling(as_json(request.get(parent)), "maxOutputTokens")
        return with_member(body, (parent, name), str(limit).encode())

    def reader(self, asked: Asked, request: Json) -> UsageReader:  # noqa: ARG002  # as the Protocol says
        """Return a reader for the answer to a request."""
        return GeminiUsage()

    def cost(
        self,
        usage: Json,
        prices: ModelPrices,
        prices_of: PricesOf,  # noqa: ARG002  # as the Protocol says
        variant: Mapping[str, str] | None,  # noqa: ARG002  # as the Protocol says
    ) -> Decimal:
        """Return the exact cost.

        Raises:
            UnpriceableUsageError: it cannot be told.
        """
        return gemini_cost(usage, prices.unit_prices)

    def with_output(self, usage: Json, tokens: int) -> dict[str, Any]:
        """Return usage as if so many tokens had been answered in all candidates."""
        left_out = {"totalTokenCount", "thoughtsTokenCount"}
        known = {name: value for name, value in usage.items() if name not in left_out}
        return {**known, "candidatesTokenCount": tokens}

    def input_tokens(self, usage: Json) -> int:
        """Return all input tokens, cached or not, and those of tools.

        Raises:
            UnpriceableUsageError: the numbers make no sense.
        """
        return gemini_input_tokens(usage)

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
        """Return an error of this API."""
        error = {"code": status, "message": message, "status": _STATUS.get(kind, "INTERNAL")}
        headers = error_headers(request_id, retry=retry, retry_after_s=retry_after_s)
        return Answer(status, json.dumps({"error": error}).encode(), headers)


def _spelling(value: Json, name: str) -> str:
    """Return how an object spells a name: as it is, or with underscores."""
    other = re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
    if other in value and name in value and other != name:
        raise BadBodyError(f"The name {name!r} occurs twice in one object of the request body.")
    return other if other in value else name


def _field(value: Json, name: str) -> Any:
    return value.get(_spelling(value, name))


def _settings(request: Json) -> Json:
    return as_json(_field(request, "generationConfig"))


def _several(value: object) -> list[Any]:
    """Return a list; the provider takes one thing for a list of it."""
    if isinstance(value, list):
        return [*value]
    return [] if value is None else [value]


def _choices(request: Json) -> int:
    n = _field(_settings(request), "candidateCount")
    if n is None:
        return 1
    if isinstance(n, bool) or not isinstance(n, int) or not 0 < n <= _MOST_CHOICES:
        raise BadBodyError(f"candidateCount: give a whole number from 1 to {_MOST_CHOICES}.")
    return n


def _check(request: Json, policy: ProviderPolicy) -> ProviderUse:
    """Return what an admissible request makes the provider do (decision C9).

    Raises:
        RequestRefusedError: it asks for what the project does not allow.
    """
    _choices(request)
    if _field(request, "serviceTier") not in _STANDARD_TIERS:
        raise never("serviceTier")
    for index, tool in enumerate(_several(request.get("tools"))):
        for name in as_json(tool):
            if name not in {"functionDeclarations", "function_declarations"}:
                raise never(f"tools[{index}].{name}")
    _check_settings(_settings(request))
    unseen = bool(_field(request, "cachedContent"))
    if unseen and "cached_content" not in policy.allowed:
        what = "cachedContent, which names text that is not in the request,"
        raise refused("cachedContent", what, "cached_content")
    for where, part in _parts(request):
        unseen |= _check_part(where, part, policy)
    return ProviderUse(unseen_input=unseen)


def _check_settings(settings: Json) -> None:
    """Refuse answers in other forms than text, which have prices of their own."""
    for kind in _several(_field(settings, "responseModalities")):
        if str(kind).upper() not in {"TEXT", "MODALITY_UNSPECIFIED"}:
            raise never("generationConfig.responseModalities", str(kind))
    for name in ("speechConfig", "imageConfig"):
        if _field(settings, name):
            raise never(f"generationConfig.{name}")


def _check_part(where: str, part: Json, policy: ProviderPolicy) -> bool:
    """Refuse what the provider has stored, and sound; say whether a part is not in the request."""
    stored = _field(part, "fileData") is not None
    if stored and "file_sources" not in policy.allowed:
        raise refused(f"{where}.fileData", "a source of type file", "file_sources")
    kind = _mime(part)
    if kind and not kind.startswith(_TEXT):
        raise never(f"{where}.inlineData", kind)
    return stored


def _mime(part: Json) -> str:
    """Return the type of data within a part, "" when there is none."""
    data = _field(part, "inlineData")
    if data is None:
        return ""
    return str(_field(as_json(data), "mimeType") or "unknown").lower()


def _parts(request: Json) -> Iterator[tuple[str, Json]]:
    """Give every part of the request with its place, those within tool results too."""
    contents = [
        (f"contents[{index}]", content)
        for index, content in enumerate(_several(request.get("contents")))
    ]
    for place, content in [*contents, ("systemInstruction", _field(request, "systemInstruction"))]:
        for number, part in enumerate(_several(as_json(content).get("parts"))):
            where = f"{place}.parts[{number}]"
            yield where, as_json(part)
            result = as_json(_field(as_json(part), "functionResponse"))
            for index, inner in enumerate(_several(result.get("parts"))):
                yield f"{where}.functionResponse.parts[{index}]", as_json(inner)


def _answered_tools(request: Json) -> tuple[str, ...]:
    """Return what names the tool calls that the last message answers: ids, else their names."""
    named = (result.get("id") or result.get("name") for result in _results(request))
    return tuple(name for name in named if isinstance(name, str))


def _results(request: Json) -> Iterator[Json]:
    """Give the results of tools in the last message."""
    contents = _several(request.get("contents"))
    last = as_json(contents[-1] if contents else None)
    for part in _several(last.get("parts")):
        result = as_json(_field(as_json(part), "functionResponse"))
        if result:
            yield result
