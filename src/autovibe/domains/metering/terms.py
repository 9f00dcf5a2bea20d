"""What a call may cost at most, what it has cost, and the terms that both are computed under."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Final, cast

from autovibe.domains.metering.prices import (
    CACHE_READ,
    CACHE_WRITE_1H,
    CACHE_WRITE_5M,
    INPUT,
    OUTPUT,
    WEB_SEARCH,
    ModelPrices,
    UnitPrices,
    highest_price,
    unit_price,
)
from autovibe.kernel.money import round_up
from autovibe.v1 import metering_pb2

_MILLION: Final = Decimal(1_000_000)
_SEARCHES: Final = Decimal(1_000)
_INPUT_KINDS: Final = (INPUT, CACHE_READ, CACHE_WRITE_5M, CACHE_WRITE_1H)
# Beyond any real call; a number above it is a broken answer, not a bill.
_MOST_TOKENS: Final = 10**9
_STANDARD: Final = {
    "service_tier": {"standard", "auto"},
    "speed": {"standard"},
    "inference_geo": {"global", "not_available", ""},
}
_PRICED_TOOLS: Final = {"web_search_requests", "web_fetch_requests"}


class UnpriceableUsageError(ValueError):
    """A provider's usage cannot be priced exactly; the call is settled at its full hold."""


@dataclass(frozen=True)
class Bounds:
    """The most that a call can use, whatever the provider does with it.

    `samplings` is how often the model may read the input: once, and again for every compaction or
    search on the provider's side.
    """

    input_tokens: int
    output_tokens: int
    samplings: int = 1
    output_samplings: int = 1
    web_searches: int = 0


def call_terms(
    provider: str,
    prices: ModelPrices,
    rate: metering_pb2.ExchangeRate,
    bounds: Bounds,
) -> metering_pb2.CallTerms:
    """Return the terms of a call, to be pinned at its reservation."""
    in_cad = prices.currency == "CAD"
    return metering_pb2.CallTerms(
        provider=provider,
        model=prices.model,
        price_source=prices.source,
        currency=prices.currency,
        rate_to_cad="1" if in_cad else rate.rate_to_cad,
        rate_date="" if in_cad else rate.valid_from.ToDatetime().date().isoformat(),
        unit_prices={kind: f"{price:f}" for kind, price in prices.unit_prices.items()},
        input_bound_tokens=bounds.input_tokens,
        output_bound_tokens=bounds.output_tokens,
    )


def pinned_prices(terms: metering_pb2.CallTerms) -> dict[str, Decimal]:
    """Return the unit prices that were pinned."""
    return {kind: Decimal(price) for kind, price in terms.unit_prices.items()}


def worst_case(prices: UnitPrices, bounds: Bounds) -> Decimal:
    """Return the most that a call can cost, in the provider's currency.

    Every input token at the dearest kind (a cache write, as a rule) and tier that the bound can
    reach, every output token at the dearest tier, and the fees.
    """
    per_input = highest_price(prices, _INPUT_KINDS, bounds.input_tokens)
    per_output = highest_price(prices, (OUTPUT,), bounds.input_tokens)
    tokens = (
        per_input * bounds.input_tokens * bounds.samplings
        + per_output * bounds.output_tokens * bounds.output_samplings
    ) / _MILLION
    return tokens + prices.get(WEB_SEARCH, Decimal(0)) * bounds.web_searches / _SEARCHES


def affordable_output(prices: UnitPrices, bounds: Bounds, native_amount: Decimal) -> int:
    """Return for how many output tokens an amount lasts after the worst case of the input."""
    fixed = worst_case(
        prices,
        Bounds(bounds.input_tokens, 0, bounds.samplings, 0, bounds.web_searches),
    )
    per_output = highest_price(prices, (OUTPUT,), bounds.input_tokens) * bounds.output_samplings
    if per_output == 0:
        return bounds.output_tokens
    left = (native_amount - fixed) * _MILLION / per_output
    return max(0, int(left.to_integral_value(rounding=ROUND_FLOOR)))


def in_cad(native_cost: Decimal, terms: metering_pb2.CallTerms) -> Decimal:
    """Return a cost in CAD, rounded up to 6 decimals, at the pinned rate (decision D3)."""
    return round_up(native_cost * Decimal(terms.rate_to_cad))


def anthropic_cost(
    usage: Mapping[str, object],
    prices: UnitPrices,
    model: str,
    prices_of: Callable[[str], UnitPrices | None],
    variant: Mapping[str, str] | None = None,
) -> Decimal:
    """Return the exact cost of a Messages call in the provider's currency.

    Cache writes whose lifetime is not told cost as for an hour. Iterations that the top-level
    numbers leave out (compaction, advisors) are added, each at the price of its own model.

    Args:
        usage: the provider's usage, with `message_delta` merged over `message_start`.
        prices: those pinned for `model`.
        model: the model asked for.
        prices_of: finds the prices of another model that an iteration names.
        variant: what `prices` are for beside the standard, such as `{"speed": "fast"}`.

    Raises:
        UnpriceableUsageError: a number is missing or absurd, or something was used whose price
            is not known.
    """
    _refuse_other_than_standard(usage, variant or {})
    cost = _tokens_cost(usage, prices)
    for iteration in _objects(usage, "iterations"):
        kind = iteration.get("type")
        if kind == "message":
            continue
        name = iteration.get("model")
        own = prices if name in {None, model} else prices_of(str(name))
        if own is None:
            raise UnpriceableUsageError(f"no price for an iteration of type {kind!r} by {name!r}")
        cost += _tokens_cost(iteration, own)
    return cost + _tools_cost(usage, prices)


def anthropic_input_tokens(usage: Mapping[str, object]) -> int:
    """Return all input tokens of a call, cached or not.

    Raises:
        UnpriceableUsageError: a number is missing or absurd.
    """
    return (
        _count(usage, "input_tokens", required=True)
        + _count(usage, "cache_creation_input_tokens")
        + _count(usage, "cache_read_input_tokens")
    )


def _tokens_cost(usage: Mapping[str, object], prices: UnitPrices) -> Decimal:
    fresh = _count(usage, "input_tokens", required=True)
    read = _count(usage, "cache_read_input_tokens")
    lifetimes = _object(usage, "cache_creation")
    five_minutes = _count(lifetimes, "ephemeral_5m_input_tokens")
    one_hour = _count(lifetimes, "ephemeral_1h_input_tokens")
    written = max(_count(usage, "cache_creation_input_tokens"), five_minutes + one_hour)
    one_hour += written - five_minutes - one_hour
    total = fresh + read + written
    counts = {
        INPUT: fresh,
        CACHE_READ: read,
        CACHE_WRITE_5M: five_minutes,
        CACHE_WRITE_1H: one_hour,
        OUTPUT: _count(usage, "output_tokens", required=True),
    }
    priced = (unit_price(prices, kind, total) * count for kind, count in counts.items())
    return sum(priced, Decimal(0)) / _MILLION


def _tools_cost(usage: Mapping[str, object], prices: UnitPrices) -> Decimal:
    tools = _object(usage, "server_tool_use")
    for name in tools:
        if name not in _PRICED_TOOLS and _count(tools, name):
            raise UnpriceableUsageError(f"no price for {name}")
    searches = _count(tools, "web_search_requests")
    if searches and WEB_SEARCH not in prices:
        raise UnpriceableUsageError("no price for web searches")
    return prices.get(WEB_SEARCH, Decimal(0)) * searches / _SEARCHES


def _refuse_other_than_standard(usage: Mapping[str, object], variant: Mapping[str, str]) -> None:
    for name, standard in _STANDARD.items():
        value = usage.get(name)
        if value is None or value == variant.get(name):
            continue
        if not isinstance(value, str) or value not in standard:
            raise UnpriceableUsageError(f"{name} is {value!r}")


def _count(usage: Mapping[str, object], name: str, *, required: bool = False) -> int:
    value = usage.get(name)
    if value is None and not required:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_TOKENS:
        raise UnpriceableUsageError(f"{name} is {value!r}")
    return value


def _object(usage: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = usage.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UnpriceableUsageError(f"{name} is {value!r}")
    return cast("Mapping[str, object]", value)


def _objects(usage: Mapping[str, object], name: str) -> list[Mapping[str, object]]:
    value = usage.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(
        isinstance(item, Mapping) for item in cast("list[object]", value)
    ):
        raise UnpriceableUsageError(f"{name} is not a list of objects")
    return cast("list[Mapping[str, object]]", value)
