"""Setting and listing budgets, and exchange rates."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from ledger_desk import LedgerDesk

from autovibe.domains.metering import (
    UNLIMITED,
    MeteringService,
    ensure_task_budget,
    set_task_budget,
    spend_of_task,
)
from autovibe.domains.metering.models import ExchangeRate
from autovibe.domains.metering.periods import period_bounds
from autovibe.domains.metering.rates import find_rate
from autovibe.kernel.context import ALL_SCOPES, Actor, CallContext
from autovibe.kernel.errors import AutovibeError
from autovibe.v1 import metering_pb2


def _context(desk: LedgerDesk) -> CallContext:
    return CallContext(Actor("system", "tests", ALL_SCOPES), desk.clock, uuid.uuid4())


async def test_setting_a_budget_again_replaces_the_amount(desk: LedgerDesk) -> None:
    first = await desk.budget("5", period="monthly")
    second = await desk.budget("7.5CAD", period="monthly")

    assert second.id == first.id
    assert await desk.amounts() == [("7.50", "0.00", "0.00")]
    assert (second.unit, second.period_start, second.period_end, second.auto_reset) == (
        "CAD",
        "2026-11-01",
        "2026-11-30",
        True,
    )


async def test_dollars_are_kept_in_cad_at_the_rate_of_the_day(desk: LedgerDesk) -> None:
    rate = await desk.metering.get_exchange_rate(
        metering_pb2.GetExchangeRateRequest(currency="USD")
    )

    budget = await desk.budget("2USD")

    assert Decimal(budget.allocated_amount) == Decimal(2) * Decimal(rate.rate_to_cad)


@pytest.mark.parametrize("text", ["", "-1", "1e3", "2EUR", "two", "NaN", "0.0000001"])
async def test_an_amount_that_is_none_is_refused(desk: LedgerDesk, text: str) -> None:
    with pytest.raises(AutovibeError) as error:
        await desk.budget(text)
    assert error.value.reason == "INVALID_ARGUMENT"


async def test_an_amount_below_what_is_used_and_held_needs_force(desk: LedgerDesk) -> None:
    await desk.budget("5")
    call = await desk.hold("2")
    await desk.settle(call.id, "1.5")
    await desk.hold("1")

    with pytest.raises(AutovibeError) as error:
        await desk.budget("2.49")
    forced = await desk.budget("2", force=True)

    assert error.value.reason == "BUDGET_BELOW_USE"
    assert forced.available_amount == "-0.50"
    assert (await desk.hold("0.01")).reason == "BUDGET_HELD"
    assert (await desk.hold("0.6")).reason == "BUDGET_EXHAUSTED"
    assert (await desk.budget("2.5")).available_amount == "0.00"


async def test_a_new_budget_knows_what_was_used_and_is_held_in_its_period(
    desk: LedgerDesk,
) -> None:
    parent = await desk.task()
    child = await desk.task(parent=parent)
    await desk.budget("50")
    desk.clock.time = datetime(2026, 10, 31, 12, tzinfo=UTC)
    old = await desk.hold("3", task_id=child)
    await desk.settle(old.id, "3")
    desk.clock.time = datetime(2026, 11, 2, 12, tzinfo=UTC)
    used = await desk.hold("2", task_id=child)
    await desk.settle(used.id, "1.25")
    under_way = await desk.hold("4", task_id=parent)

    month = await desk.budget("20", period="monthly")
    of_child = await desk.budget("20", task_id=child)
    of_parent = await desk.budget("20", task_id=parent)
    calls = await desk.budget("20", "api_calls", "monthly")

    shown = [(b.used_amount, b.reserved_amount) for b in (month, of_child, of_parent, calls)]
    assert shown == [("1.25", "4.00"), ("4.25", "0.00"), ("4.25", "4.00"), ("1.00", "1.00")]
    await desk.settle(under_way.id, "0.5")
    assert [one[1:] for one in await desk.amounts(task_id=parent)] == [("4.75", "0.00")]
    settled = {(b.resource_type, b.budget_period): b.used_amount for b in await desk.budgets()}
    assert settled["money", "monthly"] == "1.75"
    assert settled["api_calls", "monthly"] == "2.00"


async def test_a_task_has_one_budget_for_all_its_time(desk: LedgerDesk) -> None:
    task = await desk.task()

    with pytest.raises(AutovibeError) as error:
        await desk.budget("1", period="daily", task_id=task)
    assert error.value.reason == "INVALID_ARGUMENT"


async def test_a_task_of_another_project_cannot_be_given_a_budget(desk: LedgerDesk) -> None:
    with pytest.raises(AutovibeError) as error:
        await desk.budget("1", task_id=str(uuid.uuid4()))
    assert error.value.reason == "NOT_FOUND"

    with pytest.raises(AutovibeError) as unknown:
        await desk.budget("1", project="nowhere")
    assert unknown.value.reason == "PROJECT_NOT_FOUND"


async def test_the_list_shows_projects_first_and_one_task_alone_when_asked(
    desk: LedgerDesk,
) -> None:
    task = await desk.task()
    await desk.budget("1", task_id=task)
    await desk.budget("2")

    assert [one.task_id for one in await desk.budgets()] == ["", task]
    assert [one.task_id for one in await desk.budgets(task_id=task)] == [task]
    assert [one.task_id for one in await desk.budgets(project="", task_id=task)] == [task]


async def test_the_cap_of_a_task_is_its_new_total(desk: LedgerDesk) -> None:
    task = uuid.UUID(await desk.task())
    project, ctx = uuid.UUID(desk.project_id), _context(desk)
    async with desk.db.write() as tx:
        await set_task_budget(tx, ctx, project, task, "2.00CAD")
    call = await desk.hold("2", task_id=str(task))
    await desk.settle(call.id, "1.5")

    async with desk.db.write() as tx:
        await ensure_task_budget(tx, ctx, project, task, Decimal(3))
    async with desk.db.read() as tx:
        spend = await spend_of_task(tx, task)

    assert (spend.cost_cad, spend.api_calls, spend.cap_cad) == (Decimal("1.5"), 1, Decimal(3))
    assert await desk.amounts(task_id=str(task)) == [("3.00", "1.50", "0.00")]


async def test_no_limit_is_a_budget_that_never_refuses(desk: LedgerDesk) -> None:
    task = await desk.task()
    async with desk.db.write() as tx:
        await set_task_budget(tx, _context(desk), uuid.UUID(desk.project_id), uuid.UUID(task), "")

    assert (await desk.hold("1000000", task_id=task)).admitted
    async with desk.db.read() as tx:
        assert (await spend_of_task(tx, uuid.UUID(task))).cap_cad is None
    assert Decimal((await desk.budgets(task_id=task))[0].allocated_amount) == UNLIMITED


async def test_the_newest_rate_that_is_valid_already_is_in_force(desk: LedgerDesk) -> None:
    now = desk.clock.now()
    async with desk.db.write() as tx:
        connection = await tx.session.connection()
        await connection.exec_driver_sql("DELETE FROM exchange_rates")
    for rate, age in (("1.30", 40), ("1.35", 31), ("1.99", -1)):
        await _add_rate(desk, rate, age)

    async with desk.db.read() as tx:
        found = await find_rate(tx, "USD", now, None)
        with pytest.raises(AutovibeError) as too_old:
            await find_rate(tx, "USD", now, 30)
        with pytest.raises(AutovibeError) as unknown:
            await find_rate(tx, "EUR", now, None)
        own = await find_rate(tx, "CAD", now, 1)

    assert (found.rate_to_cad, found.stale) == ("1.35", True)
    assert {too_old.value.reason, unknown.value.reason} == {"NO_EXCHANGE_RATE"}
    assert own.rate_to_cad == "1.00"


async def test_the_service_refuses_rates_older_than_the_setting(desk: LedgerDesk) -> None:
    desk.clock.advance(days=400)
    service = MeteringService(max_rate_age_days=7)

    async with desk.db.read() as tx:
        with pytest.raises(AutovibeError) as error:
            await service.get_exchange_rate(
                tx, _context(desk), metering_pb2.GetExchangeRateRequest(currency="USD")
            )
    assert error.value.reason == "NO_EXCHANGE_RATE"


@pytest.mark.parametrize(
    ("day", "week", "month"),
    [
        ((2026, 11, 29), ("2026-11-23", "2026-11-29"), ("2026-11-01", "2026-11-30")),
        ((2026, 12, 31), ("2026-12-28", "2027-01-03"), ("2026-12-01", "2026-12-31")),
        ((2028, 2, 29), ("2028-02-28", "2028-03-05"), ("2028-02-01", "2028-02-29")),
    ],
)
def test_periods_are_utc_days_iso_weeks_and_months(
    day: tuple[int, int, int], week: tuple[str, str], month: tuple[str, str]
) -> None:
    date = datetime(*day, tzinfo=UTC).date()

    def bounds(period: str) -> tuple[str, str]:
        first, last = period_bounds(period, date)
        return first.isoformat(), last.isoformat()

    assert bounds("daily") == (date.isoformat(), date.isoformat())
    assert bounds("weekly") == week
    assert bounds("monthly") == month
    assert bounds("total") == ("1970-01-01", "9999-12-31")


async def _add_rate(desk: LedgerDesk, rate: str, age_days: int) -> None:
    valid_from = desk.clock.now() - timedelta(days=age_days)
    async with desk.db.write() as tx:
        tx.session.add(
            ExchangeRate(
                currency="USD", rate_to_cad=Decimal(rate), valid_from=valid_from, source="tests"
            )
        )
