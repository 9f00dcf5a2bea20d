"""Exchange rates: imported with their day, listed, never changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from ledger_desk import NOON, LedgerDesk

from autovibe.domains.metering import NoExchangeRateError
from autovibe.domains.metering.errors import ExchangeRateDiffersError
from autovibe.domains.metering.rates import find_rate
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import metering_pb2


def rate(currency: str, value: str, day: str, source: str = "") -> metering_pb2.DatedRate:
    return metering_pb2.DatedRate(
        currency=currency, rate_to_cad=value, valid_from=day, source=source
    )


async def load(desk: LedgerDesk, *rates: Any) -> tuple[int, int]:
    answer = await desk.metering.import_exchange_rates(
        metering_pb2.ImportExchangeRatesRequest(rates=rates)
    )
    return answer.added, answer.unchanged


async def in_force(desk: LedgerDesk, currency: str) -> str:
    request = metering_pb2.GetExchangeRateRequest(currency=currency)
    return (await desk.metering.get_exchange_rate(request)).rate_to_cad


async def test_the_newest_rate_that_is_in_force_applies_in_whatever_order_they_come(
    desk: LedgerDesk,
) -> None:
    rows = (rate("EUR", "1.5", "2026-11-23"), rate("EUR", "1.61234567", "2026-11-01"))

    assert await load(desk, *rows) == (2, 0)
    assert await in_force(desk, "EUR") == "1.50"
    # A budget in euros could not be set before; a repeat changes nothing.
    assert await load(desk, *rows, rows[0]) == (0, 3)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (rate("EUR", "1.5", "2026-02-30"), "is no day"),
        (rate("EUR", "1.5", "2026-11-24"), "still to come"),
        (rate("EUR", "0", "2026-11-01"), "above 0"),
        (rate("CAD", "1", "2026-11-01"), "another currency"),
        (rate("EUR", "1.7", "2026-10-01"), "given twice"),
    ],
)
async def test_a_row_that_makes_no_sense_lets_none_in(
    sqlite_desk: LedgerDesk, bad: metering_pb2.DatedRate, says: str
) -> None:
    desk = sqlite_desk
    with pytest.raises(InvalidArgumentError, match=says):
        await load(desk, rate("EUR", "1.5", "2026-10-01"), bad)
    with pytest.raises(NoExchangeRateError):
        await in_force(desk, "EUR")


async def test_a_rate_that_calls_were_priced_by_cannot_be_changed(
    sqlite_desk: LedgerDesk,
) -> None:
    desk = sqlite_desk
    await load(desk, rate("EUR", "1.5", "2026-10-01"))

    with pytest.raises(ExchangeRateDiffersError, match="later day"):
        await load(desk, rate("EUR", "1.4", "2026-10-02"), rate("EUR", "1.6", "2026-10-01"))

    assert await in_force(desk, "EUR") == "1.50"


async def test_rates_are_listed_by_currency_and_the_newest_first(
    sqlite_desk: LedgerDesk,
) -> None:
    desk = sqlite_desk
    await load(
        desk,
        rate("EUR", "1.5", "2026-10-01"),
        rate("EUR", "1.6", "2026-11-01", "the bank"),
        rate("CHF", "1.7", "2026-11-01"),
    )

    async def page(**more: Any) -> metering_pb2.ListExchangeRatesResponse:
        return await desk.metering.list_exchange_rates(
            metering_pb2.ListExchangeRatesRequest(**more)
        )

    everything = [(one.currency, one.rate_to_cad, one.source) for one in (await page()).rates]
    assert everything[:3] == [
        ("CHF", "1.70", "imported"),
        ("EUR", "1.60", "the bank"),
        ("EUR", "1.50", "imported"),
    ]
    assert everything[3][0] == "USD"
    first = await page(currency="EUR", page_size=1)
    second = await page(currency="EUR", page_size=1, page_token=first.next_page_token)
    assert [one.rate_to_cad for one in (*first.rates, *second.rates)] == ["1.60", "1.50"]
    assert (first.rates[0].stale, second.rates[0].stale) == (False, True)
    assert not second.next_page_token


async def test_a_rate_older_than_the_limit_is_refused_and_a_newer_one_mends_it(
    sqlite_desk: LedgerDesk,
) -> None:
    desk = sqlite_desk
    await load(desk, rate("EUR", "1.5", "2026-10-01"))
    async with desk.db.read() as tx:
        with pytest.raises(NoExchangeRateError, match="autovibe rates import"):
            await find_rate(tx, "EUR", NOON, 30)
    await load(desk, rate("EUR", "1.6", (NOON - timedelta(days=30)).date().isoformat()))

    async with desk.db.read() as tx:
        assert (await find_rate(tx, "EUR", NOON - timedelta(hours=12), 30)).rate_to_cad == "1.60"
