"""Text for people: tables, amounts, sizes, times, ids."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from autovibe.kernel.money import to_text
from autovibe.kernel.text import printable

SHORT_ID: Final = 8
_MONEY_PLACES: Final = Decimal("0.0001")
_SIZE_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def short(identifier: str) -> str:
    """Return the first characters of an id: every command takes them in its place."""
    return identifier[:SHORT_ID]


def cad(amount: str) -> str:
    """Return an amount of money with four decimals at most, rounded up; "unlimited" when empty."""
    if not amount:
        return "unlimited"
    try:
        value = Decimal(amount)
        return to_text(value.quantize(_MONEY_PLACES, rounding=ROUND_CEILING))
    except InvalidOperation:
        return printable(amount, one_line=True)


def size(count_bytes: float) -> str:
    """Return a number of bytes with a unit."""
    unit = _SIZE_UNITS[0]
    for unit in _SIZE_UNITS:
        if count_bytes < 1024 or unit == _SIZE_UNITS[-1]:
            break
        count_bytes /= 1024
    return f"{count_bytes:.0f} {unit}" if unit == "B" else f"{count_bytes:.1f} {unit}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def moment(at: Timestamp) -> str:
    """Return a time in UTC to the second, "" when it is not set."""
    if not at.seconds:
        return ""
    return datetime.fromtimestamp(at.seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def day(at: Timestamp) -> str:
    """Return the day of a time in UTC."""
    return moment(at)[:10]


def width(text: str) -> int:
    """Return how many terminal cells a text takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], right: str = "") -> list[str]:
    """Return aligned lines, the headers first; the last column is not padded.

    Args:
        headers: one per column.
        rows: cells; control characters in them are escaped.
        right: the names of the columns that are aligned to the right, parted by blanks.
    """
    clean = [[printable(cell, one_line=True) for cell in row] for row in (headers, *rows)]
    widths = [max(width(row[index]) for row in clean) for index in range(len(headers))]
    to_right = [header in right.split() for header in headers]
    return ["  ".join(_cells(row, widths, to_right)).rstrip() for row in clean]


def pairs(items: Sequence[tuple[str, str]]) -> list[str]:
    """Return lines of name and value, without those whose value is empty."""
    shown = [(name, value) for name, value in items if value]
    pad = max((len(name) for name, _ in shown), default=0)
    return [f"{name:<{pad}}  {printable(value, one_line=True)}" for name, value in shown]


def clipped(text: str, cells: int) -> str:
    """Return a text on one line, cut at a width."""
    line = printable(" ".join(text.split()), one_line=True)
    if width(line) <= cells:
        return line
    while width(line) > cells - 1:
        line = line[:-1]
    return f"{line}…"


def _cells(row: Sequence[str], widths: Sequence[int], to_right: Sequence[bool]) -> list[str]:
    cells: list[str] = []
    for cell, wide, right in zip(row, widths, to_right, strict=True):
        pad = " " * (wide - width(cell))
        cells.append(f"{pad}{cell}" if right else f"{cell}{pad}")
    return cells
