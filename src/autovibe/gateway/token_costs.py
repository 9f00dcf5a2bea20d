"""The price of counted tokens, for APIs whose input count includes what was cached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, cast

from autovibe.domains.metering import UnpriceableUsageError
from autovibe.domains.metering.prices import (
    CACHE_READ,
    CACHE_WRITE_5M,
    INPUT,
    OUTPUT,
    UnitPrices,
    unit_price,
)

_MILLION: Final = Decimal(1_000_000)
# Beyond any real call; a number above it is a broken answer, not a bill.
_MOST_TOKENS: Final = 10**9
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
