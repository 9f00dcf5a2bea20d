"""The user's own prices: `prices.toml` in autovibe's home, over the catalogue."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, cast

from autovibe.kernel.errors import InvalidArgumentError

INPUT: Final = "input"
OUTPUT: Final = "output"
CACHE_READ: Final = "cache_read"
CACHE_WRITE_5M: Final = "cache_write_5m"
CACHE_WRITE_1H: Final = "cache_write_1h"
WEB_SEARCH: Final = "web_search"
"""Per 1,000 searches; the other kinds are per million tokens."""
ANY_MODEL: Final = "*"
"""The name under which a provider's models without prices of their own find theirs."""

UnitPrices = Mapping[str, Decimal]
"""Price by kind of token; `input>200000` is the price of every input token of a request that has
more than 200,000 of them."""

_KINDS: Final = frozenset({INPUT, OUTPUT, CACHE_READ, CACHE_WRITE_5M, CACHE_WRITE_1H, WEB_SEARCH})
_CURRENCIES: Final = frozenset({"USD", "CAD"})


@dataclass(frozen=True)
class OwnPrices:
    """What a table of the file says of a model.

    `prices` are empty where only something else than prices is stated; the catalogue's apply then,
    less the discount. `variants` are prices of other ways to be served, such as a tier.
    """

    source: str
    currency: str
    prices: UnitPrices
    discount: Decimal
    window: int | None
    most_output: int | None
    variants: Mapping[tuple[tuple[str, str], ...], UnitPrices] = field(
        default_factory=dict[tuple[tuple[str, str], ...], UnitPrices]
    )

    def of(self, variant: Mapping[str, str]) -> UnitPrices | None:
        """Return the prices of a variant, the standard one when it is empty; `None` if not here."""
        found = self.variants.get(tuple(sorted(variant.items()))) if variant else self.prices
        if not found:
            return None
        return {kind: self.discounted(price) for kind, price in found.items()}

    def discounted(self, price: Decimal) -> Decimal:
        """Return a price less the discount."""
        return price * (1 - self.discount)


def read_own_prices(path: Path) -> dict[tuple[str, str], OwnPrices]:
    """Return the tables `[provider."model"]` of a file, by provider and model.

    Raises:
        InvalidArgumentError: the file is malformed.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error.strerror}.") from error
    source = f"{path.name} {hashlib.sha256(text).hexdigest()[:12]}"
    try:
        tables = tomllib.loads(text.decode(), parse_float=Decimal)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidArgumentError(f"{path} is not valid TOML: {error}.") from error
    own: dict[tuple[str, str], OwnPrices] = {}
    for provider, models in tables.items():
        for model, values in _table(path, provider, models).items():
            own[provider, model] = _own(path, f"{provider}.{model}", source, values)
    return own


def _own(path: Path, name: str, source: str, values: object) -> OwnPrices:
    table = dict(_table(path, name, values))
    currency = str(table.pop("currency", "USD"))
    window = _count(path, name, table, "context_window")
    most_output = _count(path, name, table, "max_output_tokens")
    discount = _number(table.pop("discount", 0))
    if not 0 <= discount < 1:
        raise InvalidArgumentError(
            f"{path}: {name}.discount must be a part of the price, from 0 to below 1.", name=name
        )
    variants = {
        _variant(path, name, key): _prices(path, f"{name}.variants.{key}", prices)
        for key, prices in _table(path, name, table.pop("variants", {})).items()
    }
    if currency not in _CURRENCIES:
        raise InvalidArgumentError(f"{path}: {name}.currency must be USD or CAD.", name=name)
    stated = bool(discount or window or most_output or variants)
    if not table and not stated:
        raise InvalidArgumentError(f"{path}: {name} needs input and output prices.", name=name)
    if not table and currency != "USD":
        raise InvalidArgumentError(
            f"{path}: {name} takes the catalogue's prices, which are in USD; leave currency out.",
            name=name,
        )
    prices = _prices(path, name, table) if table else {}
    return OwnPrices(source, currency, prices, discount, window, most_output, variants)


def _prices(path: Path, name: str, values: object) -> dict[str, Decimal]:
    prices: dict[str, Decimal] = {}
    for key, value in _table(path, name, values).items():
        kind, _, start = key.partition(">")
        price = _number(value)
        if kind not in _KINDS or price < 0:
            raise InvalidArgumentError(
                f"{path}: {name}.{key} must be one of {', '.join(sorted(_KINDS))} with a "
                "price per million tokens.",
                name=key,
            )
        if start and not start.isdecimal():
            raise InvalidArgumentError(f"{path}: {name}.{key}: no number follows '>'.", name=key)
        prices[key] = price
    if INPUT not in prices or OUTPUT not in prices:
        raise InvalidArgumentError(f"{path}: {name} needs input and output prices.", name=name)
    return prices


def _variant(path: Path, name: str, key: str) -> tuple[tuple[str, str], ...]:
    """Return what `speed=fast` or `inference_geo=us,speed=fast` names."""
    parts = [part.strip().partition("=") for part in key.split(",")]
    if not all(left and right for left, _, right in parts):
        raise InvalidArgumentError(
            f'{path}: {name}.variants has {key!r}; write it as in "service_tier=priority".',
            name=name,
        )
    return tuple(sorted((left.strip(), right.strip()) for left, _, right in parts))


def _count(path: Path, name: str, table: dict[str, object], key: str) -> int | None:
    value = table.pop(key, None)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidArgumentError(f"{path}: {name}.{key} must be a number.", name=name)
    return value


def _number(value: object) -> Decimal:
    """Return a number, -1 for what is none."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return Decimal(-1)
    return number if number.is_finite() and not isinstance(value, bool) else Decimal(-1)


def _table(path: Path, name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise InvalidArgumentError(f"{path}: [{name}] must be a table.", name=name)
    return cast("dict[str, object]", value)
