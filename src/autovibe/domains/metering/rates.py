"""Exchange rates: configuration, never fetched; each call pins the one it was admitted under."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.metering import repository
from autovibe.domains.metering.errors import ExchangeRateDiffersError, NoExchangeRateError
from autovibe.domains.metering.messages import rate_message
from autovibe.domains.metering.periods import FIRST_DAY, start_of
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.money import to_text
from autovibe.kernel.paging import decode_named_place, encode_token, page_size
from autovibe.kernel.protoconv import timestamp
from autovibe.v1 import metering_pb2

STALE_AFTER: Final = timedelta(days=30)


async def find_rate(
    tx: ReadTx, currency: str, now: datetime, max_age_days: int | None
) -> metering_pb2.ExchangeRate:
    """Return the rate in force: the newest that is valid already.

    Args:
        tx: any transaction.
        currency: three capitals.
        now: the time of the call.
        max_age_days: refuse a rate older than this; `None` takes any (decision B4).

    Raises:
        NoExchangeRateError: there is none, or the newest is too old.
    """
    if currency == "CAD":
        return metering_pb2.ExchangeRate(
            currency="CAD", rate_to_cad="1.00", valid_from=timestamp(start_of(FIRST_DAY))
        )
    rate = await repository.newest_rate(tx, currency, now)
    if rate is None:
        raise NoExchangeRateError(
            f"There is no rate from {currency} to CAD; import one with `autovibe rates import "
            "FILE`, or give the amount in CAD.",
            currency=currency,
        )
    age = now - rate.valid_from
    if max_age_days is not None and age > timedelta(days=max_age_days):
        raise NoExchangeRateError(
            f"The newest {currency} rate is of {rate.valid_from:%Y-%m-%d}, older than the "
            f"{max_age_days} days that rates.max_age_days allows; import a newer one with "
            "`autovibe rates import FILE`.",
            currency=currency,
            valid_from=rate.valid_from.isoformat(),
        )
    return rate_message(rate, stale=age > STALE_AFTER)


async def list_rates(
    tx: ReadTx, now: datetime, request: metering_pb2.ListExchangeRatesRequest
) -> metering_pb2.ListExchangeRatesResponse:
    """Return one page of rates, by currency, the newest first."""
    size = page_size(request.page_size)
    after = decode_named_place(request.page_token)
    rates = await repository.rates_page(tx, request.currency, after, size + 1)
    last = rates[size - 1] if len(rates) > size else None
    return metering_pb2.ListExchangeRatesResponse(
        rates=[
            rate_message(rate, stale=now - rate.valid_from > STALE_AFTER) for rate in rates[:size]
        ],
        next_page_token=encode_token(last.currency, last.valid_from.isoformat(), str(last.id))
        if last
        else "",
    )


async def import_rates(
    tx: WriteTx, now: datetime, rates: Sequence[metering_pb2.DatedRate]
) -> metering_pb2.ImportExchangeRatesResponse:
    """Add dated rates, all or none; one that is there already, the same, changes nothing.

    A rate that is there cannot be changed: calls were priced by it.

    Raises:
        InvalidArgumentError: a day does not exist or is to come, a rate is 0, or one is given twice
            with two values.
        ExchangeRateDiffersError: another rate is there for the same day.
    """
    wanted: dict[tuple[str, datetime], tuple[Decimal, str]] = {}
    for index, rate in enumerate(rates):
        where = f"rates[{index}]"
        key, value = (rate.currency, _day(rate.valid_from, where, now)), _rate(rate, where)
        if wanted.setdefault(key, (value, rate.source))[0] != value:
            raise InvalidArgumentError(
                f"{where}: {rate.currency} of {rate.valid_from} is given twice, with two rates; "
                "leave one out.",
                field="rates",
            )
    known = await repository.rates_of(tx, {currency for currency, _ in wanted})
    added = 0
    for (currency, day), (value, source) in wanted.items():
        there = known.get((currency, day))
        if there is None:
            repository.insert_rate(tx, currency, value, day, source=source or "imported")
            added += 1
        elif there != value:
            raise ExchangeRateDiffersError(
                f"The {currency} rate of {day:%Y-%m-%d} is {to_text(there)} already, not "
                f"{to_text(value)}; calls were priced by it. Give the new one a later day.",
                currency=currency,
                valid_from=f"{day:%Y-%m-%d}",
            )
    return metering_pb2.ImportExchangeRatesResponse(added=added, unchanged=len(rates) - added)


def _day(text: str, where: str, now: datetime) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InvalidArgumentError(
            f"{where}: {text} is no day; write it as in 2026-10-31.", field="rates"
        ) from None
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if moment > now:
        raise InvalidArgumentError(
            f"{where}: {text} is still to come; import a rate once it is in force.",
            field="rates",
        )
    return moment


def _rate(rate: metering_pb2.DatedRate, where: str) -> Decimal:
    value = Decimal(rate.rate_to_cad)
    if not value or rate.currency == "CAD":
        raise InvalidArgumentError(
            f"{where}: give the price of one unit of another currency in CAD, above 0.",
            field="rates",
        )
    return value
