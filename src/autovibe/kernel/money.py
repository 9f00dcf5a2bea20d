"""Money: exact decimals in Canadian dollars, never floats."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from typing import Final

from autovibe.kernel.errors import InvalidArgumentError

ZERO: Final = Decimal(0)
_SIX_PLACES: Final = Decimal("0.000001")
_NUMBER: Final = r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,6})?)"
_DECIMAL: Final = re.compile(rf"\s*{_NUMBER}\s*")
_AMOUNT: Final = re.compile(rf"\s*\$?\s*{_NUMBER}\s*(?P<currency>[A-Za-z]{{3}})?\s*")


def round_up(amount: Decimal) -> Decimal:
    """Round up to 6 decimals, the scale of every money column (decision D3)."""
    return amount.quantize(_SIX_PLACES, rounding=ROUND_CEILING)


def parse_decimal(text: str, what: str) -> Decimal:
    """Parse a plain non-negative decimal with at most 6 decimals and 9 digits before them.

    Raises:
        InvalidArgumentError: anything else, exponents and signs included.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        msg = f"{text!r} is not a valid {what}; write a number such as 2 or 2.50."
        raise InvalidArgumentError(msg, what=what, value=text)
    return Decimal(match["number"])


def parse_amount(text: str) -> tuple[Decimal, str]:
    """Parse an amount such as `2.00CAD`, `2 USD`, `2` (CAD).

    Returns:
        The amount and its currency, `CAD` or `USD`.

    Raises:
        InvalidArgumentError: malformed, or another currency.
    """
    match = _AMOUNT.fullmatch(text)
    currency = (match["currency"] or "CAD").upper() if match else ""
    if match is None or currency not in {"CAD", "USD"}:
        msg = f"{text!r} is not an amount of money; write for example 2.00CAD or 1.50USD."
        raise InvalidArgumentError(msg, what="amount", value=text)
    return Decimal(match["number"]), currency


def to_text(amount: Decimal) -> str:
    """Write a decimal plainly: no exponent, two decimals or as many as it has."""
    text = f"{amount:f}"
    if "." not in text:
        return f"{text}.00"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"
