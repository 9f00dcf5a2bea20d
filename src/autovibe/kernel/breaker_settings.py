"""Settings of the breaker on spend without outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from autovibe.kernel.database_settings import Source
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.money import parse_decimal


@dataclass(frozen=True)
class BreakerSettings:
    """When a task is paused because nothing comes of it; 0 turns a rule off."""

    attempts: int = 3
    """So many failed attempts in a row that changed no file."""
    spend_cad: Decimal = Decimal(5)
    """So much spent since a file was changed last, over all attempts."""
    same_errors: int = 10
    """The same error of a tool so many times without a change, or three times as often at all."""


BREAKER_KEYS: Final = frozenset({"attempts", "spend_cad", "same_errors"})


def read_breaker_settings(env: Mapping[str, str], table: Mapping[str, object]) -> BreakerSettings:
    """Return the settings of `AUTOVIBE_BREAKER_*` over those of the table `[breaker]`.

    Raises:
        InvalidArgumentError: a value is malformed.
    """
    source = Source(env, "AUTOVIBE_BREAKER_", table)
    own = BreakerSettings()
    given, where = source.value("spend_cad")
    if isinstance(given, bool):
        raise InvalidArgumentError(f"{where} must be an amount in CAD.", name="spend_cad")
    return BreakerSettings(
        attempts=source.number("attempts", int, own.attempts),
        # A bare 0.1 of TOML is a float already; its shortest text is what was written.
        spend_cad=own.spend_cad if given is None else parse_decimal(str(given), where),
        same_errors=source.number("same_errors", int, own.same_errors),
    )
