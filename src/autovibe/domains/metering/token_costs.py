"""The cost of usage as the OpenAI and Gemini APIs tell it: input includes what was cached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, cast

from autovibe.domains.metering.prices import (
    CACHE_READ,
    CACHE_WRITE_5M,
    INPUT,
    OUTPUT,
    UnitPrices,
    unit_price,
)
from autovibe.domains.metering.terms import UnpriceableUsageError

_MILLION: Final = Decimal(1_000_000)
# Beyond any real call; a number above it is a broken answer, not a bill.
_MOST_TOKENS: Final = 10**9
_AS_TEXT: Final = (None, "TEXT", "DOCUMENT")
_LONG_WRITE: Final = 2
"""A cache write that is kept for half a day costs twice one that is kept shortly."""


@dataclass(frozen=True)
class Counts:
    """Tokens of one call. `input` is all of it; the next three are parts of it or of each other."""

    input: int
    cached: int
    written: int
    written_long: int
    output: int


def counts_cost(counts: Counts, prices: UnitPrices) -> Decimal:
    """Return the exact cost.

    Raises:
        UnpriceableUsageError: the parts are more than the whole.
    """
    fresh = counts.input - counts.cached - counts.written
    if fresh < 0:
        raise UnpriceableUsageError("more input was cached than there was")
    write = unit_price(prices, CACHE_WRITE_5M, counts.input)
    return (
        unit_price(prices, INPUT, counts.input) * fresh
        + unit_price(prices, CACHE_READ, counts.input) * counts.cached
        + write * (counts.written - counts.written_long)
        + write * _LONG_WRITE * counts.written_long
        + unit_price(prices, OUTPUT, counts.input) * counts.output
    ) / _MILLION


def openai_cost(usage: Mapping[str, object], prices: UnitPrices) -> Decimal:
    """Return the exact cost of a call of Chat Completions or Responses.

    Raises:
        UnpriceableUsageError: a number is missing or absurd, or something has no price here.
    """
    return counts_cost(_openai_counts(usage), prices)


def openai_input_tokens(usage: Mapping[str, object]) -> int:
    """Return all input tokens of a call of Chat Completions or Responses, cached or not.

    Raises:
        UnpriceableUsageError: the numbers make no sense.
    """
    name = "input_tokens" if "input_tokens" in usage else "prompt_tokens"
    return count(usage, name, required=True)


def gemini_cost(usage: Mapping[str, object], prices: UnitPrices) -> Decimal:
    """Return the exact cost of a call of the Gemini API.

    Raises:
        UnpriceableUsageError: a number is missing or absurd, or something has no price here.
    """
    if usage.get("trafficType") not in {None, "ON_DEMAND", "TRAFFIC_TYPE_UNSPECIFIED"}:
        raise UnpriceableUsageError(f"trafficType is {usage['trafficType']!r}")
    for name, details in usage.items():
        if name.endswith("TokensDetails"):
            _refuse_other_than_text(name, details)
    given = gemini_input_tokens(usage)
    answered = count(usage, "candidatesTokenCount") + count(usage, "thoughtsTokenCount")
    output = max(answered, count(usage, "totalTokenCount") - given)
    cached = count(usage, "cachedContentTokenCount")
    return counts_cost(Counts(given, cached, 0, 0, output), prices)


def gemini_input_tokens(usage: Mapping[str, object]) -> int:
    """Return all input tokens of a call of the Gemini API, cached or not, and those of tools.

    Raises:
        UnpriceableUsageError: the numbers make no sense.
    """
    prompt = count(usage, "promptTokenCount", required=True)
    return prompt + count(usage, "toolUsePromptTokenCount")


def _openai_counts(usage: Mapping[str, object]) -> Counts:
    """Return what was used, from either API's names.

    Raises:
        UnpriceableUsageError: a number is missing or absurd, or something has no price here.
    """
    responses = "input_tokens" in usage
    into, out = ("input", "output") if responses else ("prompt", "completion")
    told = count(usage, f"{into}_tokens", required=True)
    details = part(usage, f"{into}_tokens_details")
    answered = part(usage, f"{out}_tokens_details")
    for name in ("audio_tokens", "image_tokens"):
        if count(details, name) * (name == "audio_tokens") or count(answered, name):
            raise UnpriceableUsageError(f"no price for {name}")
    _refuse_tools(usage)
    # Some compatible servers leave reasoning out of the output, but not out of the total.
    output = max(count(usage, f"{out}_tokens", required=True), count(usage, "total_tokens") - told)
    written = count(details, "cache_write_tokens")
    lifetimes = part(details, "cache_write_tokens_details")
    return Counts(
        input=told,
        cached=count(details, "cached_tokens"),
        written=written,
        written_long=min(written, count(lifetimes, "ttl_12h_tokens")),
        output=output,
    )


def _refuse_tools(usage: Mapping[str, object]) -> None:
    pending: list[object] = [usage.get("tool_usage")]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            pending += cast("Mapping[str, object]", value).values()
        elif value:
            raise UnpriceableUsageError("tools of the provider were used")


def _refuse_other_than_text(name: str, details: object) -> None:
    items = cast("list[object]", details) if isinstance(details, list) else [details]
    for item in items:
        detail = part({"detail": item}, "detail")
        modality = detail.get("modality")
        answered = name.startswith("candidates")
        cheap = modality in _AS_TEXT or (modality == "IMAGE" and not answered)
        if not cheap and count(detail, "tokenCount"):
            raise UnpriceableUsageError(f"no price for {modality} in {name}")


def count(usage: Mapping[str, object], name: str, *, required: bool = False) -> int:
    """Return a number of tokens.

    Raises:
        UnpriceableUsageError: it is missing though it must not, or absurd.
    """
    value = usage.get(name)
    if value is None and not required:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_TOKENS:
        raise UnpriceableUsageError(f"{name} is {value!r}")
    return value


def part(usage: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return an object within usage, an empty one when there is none.

    Raises:
        UnpriceableUsageError: it is something else.
    """
    value = usage.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UnpriceableUsageError(f"{name} is {value!r}")
    return cast("Mapping[str, object]", value)
