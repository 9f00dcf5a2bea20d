"""The price of models: the catalogue of genai-prices and the user's own `prices.toml`.

A model that neither knows has no price, and a call without a price does not go out: the catalogue
would otherwise be asked for the nearest name or the standard tier and under-charge in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Final, cast

from genai_prices import data_snapshot, types

from autovibe.domains.metering.errors import NoPriceError
from autovibe.domains.metering.own_prices import (
    ANY_MODEL,
    CACHE_READ,
    CACHE_WRITE_1H,
    CACHE_WRITE_5M,
    INPUT,
    OUTPUT,
    WEB_SEARCH,
    UnitPrices,
    read_own_prices,
)
from autovibe.domains.metering.periods import utc_day

_FIELDS: Final = {
    INPUT: "input_mtok",
    OUTPUT: "output_mtok",
    CACHE_READ: "cache_read_mtok",
    CACHE_WRITE_5M: "cache_write_mtok",
    CACHE_WRITE_1H: "cache_write_1h_mtok",
    WEB_SEARCH: "web_searches_kcount",
}
# A kind without its own price costs at least what the provider's general rule says.
_SUBSTITUTES: Final = {
    CACHE_READ: Decimal(1),
    CACHE_WRITE_5M: Decimal("1.25"),
    CACHE_WRITE_1H: Decimal(2),
}
# What may follow a name that the catalogue matches by its beginning: a date or "latest".
_DATED: Final = re.compile(r"(?:[-@](?:20\d{6}|20\d\d-\d\d-\d\d|latest))?(?:-v\d+(?::\d+)?)?")
# A few beginnings stop within the date: "claude-sonnet-4-2025", "claude-sonnet-4@".
_INSIDE_DATE: Final = re.compile(r"(?:-20\d\d|@)$")
_REST_OF_DATE: Final = re.compile(r"\d{4}(?:\d{4})?")
_MOST_CACHED: Final = 1000
_FREE: Final = Decimal(0)
_LARGEST_WINDOW: Final = 1_000_000


@dataclass(frozen=True)
class ModelPrices:
    """Unit prices of one model on one day, with their source.

    `context_window` is the most input that the model takes, `most_output` the most it answers;
    `None` when it is not known.
    """

    model: str
    source: str
    currency: str
    unit_prices: UnitPrices
    context_window: int | None
    most_output: int | None = None

    @property
    def largest_input(self) -> int | None:
        """The most input of any request; a price beyond the window means that there is more."""
        if self.context_window is None:
            return None
        starts = [int(key.partition(">")[2]) for key in self.unit_prices if ">" in key]
        beyond = any(start >= self.context_window for start in starts)
        return max(self.context_window, _LARGEST_WINDOW) if beyond else self.context_window


class PriceBook:
    """All prices, offline. Look-ups are cached per model, variant and day."""

    def __init__(self, overlay: Path | None = None) -> None:
        """Open the bundled catalogue and, over it, a file of own prices if it exists.

        Raises:
            InvalidArgumentError: the file is malformed.
        """
        self._own = read_own_prices(overlay) if overlay is not None else {}
        self._catalogue = data_snapshot.get_snapshot()
        self._source = f"genai-prices {version('genai-prices')}"
        self._cache: dict[tuple[object, ...], ModelPrices] = {}

    def find(
        self,
        provider: str,
        model: str,
        at: datetime,
        variant: Mapping[str, str] | None = None,
    ) -> ModelPrices:
        """Return the prices of a model.

        Args:
            provider: as the catalogue names it: `anthropic`, `openai`, `google`.
            model: as the request names it.
            at: when the call is made; prices change by date.
            variant: what the request asks for beside the standard, such as `{"speed": "fast"}`.

        Raises:
            NoPriceError: the model, or this variant of it, has no known price.
        """
        wanted = dict(variant or {})
        key = (provider, model, tuple(sorted(wanted.items())), utc_day(at))
        found = self._cache.get(key)
        if found is None:
            found = self._find(provider, model, at, wanted)
            if len(self._cache) >= _MOST_CACHED:
                self._cache.clear()
            self._cache[key] = found
        return found

    def _find(
        self, provider: str, model: str, at: datetime, variant: dict[str, str]
    ) -> ModelPrices:
        own = self._own.get((provider, model)) or self._own.get((provider, ANY_MODEL))
        if own is None:
            return self._from_catalogue(provider, model, at, variant)
        prices = own.of(variant)
        if prices is not None:
            return ModelPrices(
                model, own.source, own.currency, complete(prices), own.window, own.most_output
            )
        found = self._from_catalogue(provider, model, at, variant)
        return replace(
            found,
            source=f"{found.source}, {own.source}",
            unit_prices={kind: own.discounted(price) for kind, price in found.unit_prices.items()},
            context_window=own.window or found.context_window,
            most_output=own.most_output,
        )

    def _from_catalogue(
        self, provider: str, model: str, at: datetime, variant: dict[str, str]
    ) -> ModelPrices:
        try:
            _, entry = self._catalogue.find_provider_model(model, None, provider, None)
        except LookupError:
            raise _no_price(provider, model) from None
        if not _names_exactly(entry.match, model.lower()):
            raise _no_price(provider, model)
        if variant and not _has_variant(entry, variant, utc_day(at)):
            raise _no_price(provider, model, variant)
        prices = _unit_prices(entry.get_prices(at, variant))
        if INPUT not in prices or OUTPUT not in prices:
            raise _no_price(provider, model)
        return ModelPrices(
            model=model,
            source=self._source,
            currency="USD",
            unit_prices=complete(prices),
            context_window=entry.context_window,
        )


def complete(prices: UnitPrices) -> dict[str, Decimal]:
    """Return the prices with those of cache traffic filled in from the input price."""
    filled = dict(prices)
    for kind, factor in _SUBSTITUTES.items():
        if kind not in filled:
            filled |= {
                key.replace(INPUT, kind, 1): price * factor
                for key, price in prices.items()
                if key.partition(">")[0] == INPUT
            }
    return filled


def unit_price(prices: UnitPrices, kind: str, input_tokens: int) -> Decimal:
    """Return the price of a kind in a request with so much input in all, cached or not."""
    best, price = -1, prices.get(kind, _FREE)
    tier = f"{kind}>"
    for key, candidate in prices.items():
        if key.startswith(tier) and best < (start := int(key[len(tier) :])) < input_tokens:
            best, price = start, candidate
    return price


def highest_price(prices: UnitPrices, kinds: tuple[str, ...], input_bound: int) -> Decimal:
    """Return the highest price of any of the kinds, at any tier that the input can reach."""
    highest = _FREE
    for key, candidate in prices.items():
        # Cheap first: this is looked at four times per call.
        if candidate <= highest or not key.startswith(kinds):
            continue
        name, _, start = key.partition(">")
        if name in kinds and (not start or int(start) < input_bound):
            highest = candidate
    return highest


def _unit_prices(prices: types.ModelPrice) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for kind, field in _FIELDS.items():
        value = cast("Decimal | types.TieredPrices | None", getattr(prices, field))
        if isinstance(value, types.TieredPrices):
            found[kind] = value.base
            found |= {f"{kind}>{tier.start}": tier.price for tier in value.tiers}
        elif value is not None:
            found[kind] = value
    return found


def _has_variant(entry: types.ModelInfo, variant: dict[str, str], day: date) -> bool:
    for known in entry.price_variants or ():
        if known.when != variant:
            continue
        limit = known.constraint
        if limit is None or (
            isinstance(limit, types.StartDateConstraint) and day >= limit.start_date
        ):
            return True
    return False


def _names_exactly(match: types.MatchLogic, model: str) -> bool:
    """Return whether a name is one of the entry's own, with a date at most after it.

    The catalogue matches by beginnings: a new, dearer variant of a model would get the old price.
    """
    if isinstance(match, types.ClauseOr):
        return any(_names_exactly(part, model) for part in match.or_)
    if isinstance(match, types.ClauseAnd):
        # One part names the model, the others leave out its relatives ("...-tts").
        return match.is_match(model) and any(_names_exactly(part, model) for part in match.and_)
    if isinstance(match, types.ClauseStartsWith):
        start = match.starts_with.lower()
        rest = model[len(start) :]
        dated = _REST_OF_DATE if _INSIDE_DATE.search(start) else _DATED
        return model.startswith(start) and dated.fullmatch(rest) is not None
    if isinstance(match, types.ClauseEquals | types.ClauseRegex):
        return match.is_match(model)
    return False


def _no_price(provider: str, model: str, variant: Mapping[str, str] | None = None) -> NoPriceError:
    how = "".join(f" with {name} {value}" for name, value in (variant or {}).items())
    return NoPriceError(
        f"The price of {provider} model {model!r}{how} is not known, so its cost cannot be held; "
        f"use another model, or put its prices into prices.toml in autovibe's home.",
        provider=provider,
        model=model,
    )
