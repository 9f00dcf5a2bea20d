"""Exchange rates: configuration, never fetched; each call pins the one it was admitted under."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from autovibe.db import ReadTx
from autovibe.domains.metering import repository
from autovibe.domains.metering.errors import NoExchangeRateError
from autovibe.domains.metering.messages import rate_message
from autovibe.domains.metering.periods import FIRST_DAY, start_of
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
            f"There is no rate from {currency} to CAD; give the amount in CAD or USD.",
            currency=currency,
        )
    age = now - rate.valid_from
    if max_age_days is not None and age > timedelta(days=max_age_days):
        raise NoExchangeRateError(
            f"The newest {currency} rate is of {rate.valid_from:%Y-%m-%d}, older than the "
            f"{max_age_days} days that rates.max_age_days allows; raise that setting, or upgrade "
            "autovibe.",
            currency=currency,
            valid_from=rate.valid_from.isoformat(),
        )
    return rate_message(rate, stale=age > STALE_AFTER)
