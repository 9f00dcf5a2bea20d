"""`autovibe rates`."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, cast

import click

from autovibe.cli.client.command import json_option, limit_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.paging import collect, more
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import table
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import metering_pb2

_COLUMNS: Final = ("currency", "rate_to_cad", "valid_from", "source")
_NEEDED: Final = frozenset(_COLUMNS[:3])
_CURRENCY: Final = re.compile("[A-Z]{3}")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_LARGEST_FILE: Final = 4 * 1024 * 1024


@click.group(epilog="Example: autovibe rates list")
def rates() -> None:
    """Import and list exchange rates to CAD."""


@rates.command("import", epilog="Example: autovibe rates import rates.csv")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
def import_(file: Path, *, as_json: bool) -> None:
    """Add dated rates from a file, all or none; a repeat changes nothing.

    FILE is CSV with the columns currency, rate_to_cad, valid_from (a day) and, if you like, source;
    or JSON: a list of objects with these names. The newest rate that is in force applies.
    """
    dated = read_rates(file)

    async def body(connection: Connection) -> metering_pb2.ImportExchangeRatesResponse:
        return await connection.services.metering.import_exchange_rates(
            metering_pb2.ImportExchangeRatesRequest(rates=dated)
        )

    done = with_connection(body)
    if as_json:
        print_json(to_document(done))
    else:
        print_notes([f"{done.added} rates added, {done.unchanged} there already."])


@rates.command("list", epilog="Example: autovibe rates list --currency USD")
@click.option("--currency", default="", help="Only this one, as in USD.")
@limit_option
@json_option
def list_(currency: str, limit: int, *, as_json: bool) -> None:
    """List rates by currency, the newest first."""

    async def body(connection: Connection) -> tuple[list[metering_pb2.ExchangeRate], str]:
        async def fetch(size: int, token: str) -> tuple[Sequence[metering_pb2.ExchangeRate], str]:
            answer = await connection.services.metering.list_exchange_rates(
                metering_pb2.ListExchangeRatesRequest(
                    currency=currency, page_size=size, page_token=token
                )
            )
            return answer.rates, answer.next_page_token

        return await collect(fetch, limit)

    found, token = with_connection(body)
    if as_json:
        print_json({"rates": [to_document(one) for one in found], "next_page_token": token})
        return
    if not found:
        print_notes(["No rates; import some with `autovibe rates import FILE`."])
        return
    rows = [
        (
            one.currency,
            one.rate_to_cad,
            f"{one.valid_from.ToDatetime():%Y-%m-%d}",
            one.source,
            "older than 30 days" if one.stale else "",
        )
        for one in found
    ]
    print_lines(table(("CURRENCY", "IN CAD", "FROM", "SOURCE", ""), rows, right="IN CAD"))
    print_notes(more(token))


def read_rates(path: Path) -> list[metering_pb2.DatedRate]:
    """Return the rates in a file.

    Raises:
        InvalidArgumentError: it cannot be read, or a row makes no sense; the message names it.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise InvalidArgumentError(f"{path} is larger than 4 MiB; split it.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error}.") from error
    rows = _json_rows(path, text) if text.lstrip().startswith(("[", "{")) else _csv_rows(path, text)
    if not rows:
        raise InvalidArgumentError(f"{path} has no rates; give at least one row.")
    return [_rate(f"{path}, {where}", row) for where, row in rows]


def _csv_rows(path: Path, text: str) -> list[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text), strict=True, restkey="too many")
    names = {name.strip() for name in reader.fieldnames or ()}
    if not names >= _NEEDED or names - set(_COLUMNS):
        raise InvalidArgumentError(
            f"{path}: the first line must name the columns {', '.join(_COLUMNS)}; only the last "
            "may be missing."
        )
    rows: list[tuple[str, dict[str, Any]]] = []
    try:
        rows.extend(
            (f"line {reader.line_num}", {name.strip(): value for name, value in row.items()})
            for row in reader
        )
    except csv.Error as error:
        raise InvalidArgumentError(f"{path}, line {reader.line_num}: {error}.") from error
    return rows


def _json_rows(path: Path, text: str) -> list[tuple[str, dict[str, Any]]]:
    try:
        # The text of a number is kept: 1.4012 is not what a float makes of it.
        items: object = json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"{path} is no JSON: {error}.") from error
    if not isinstance(items, list):
        raise InvalidArgumentError(f"{path} must be a list of objects.")
    rows: list[tuple[str, dict[str, Any]]] = []
    for number, item in enumerate(cast("list[object]", items), 1):
        if not isinstance(item, dict):
            raise InvalidArgumentError(f"{path}, item {number}: must be an object.")
        rows.append((f"item {number}", cast("dict[str, Any]", item)))
    return rows


def _rate(where: str, row: dict[str, Any]) -> metering_pb2.DatedRate:
    values = {name: value.strip() if isinstance(value, str) else "" for name, value in row.items()}
    unknown = set(values) - set(_COLUMNS)
    if unknown:
        raise InvalidArgumentError(f"{where}: {min(unknown)} is not known; remove it.")
    currency, day = values.get("currency", ""), values.get("valid_from", "")
    if not _CURRENCY.fullmatch(currency):
        raise InvalidArgumentError(f"{where}: currency must be three capitals, as in USD.")
    if not _DAY.fullmatch(day):
        raise InvalidArgumentError(f"{where}: valid_from must be a day, as in 2026-10-31.")
    try:
        rate = Decimal(values.get("rate_to_cad", ""))
    except InvalidOperation:
        rate = Decimal("NaN")
    places = rate.as_tuple().exponent
    if not rate.is_finite() or not 0 < rate < 10**9 or not isinstance(places, int) or places < -8:
        raise InvalidArgumentError(
            f"{where}: rate_to_cad must be a number above 0 with at most 8 places."
        )
    return metering_pb2.DatedRate(
        currency=currency,
        rate_to_cad=f"{rate:f}",
        valid_from=day,
        source=values.get("source", ""),
    )
