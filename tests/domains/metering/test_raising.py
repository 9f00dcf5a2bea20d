"""Adding to budgets, and what a new one gets when nobody says."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from ledger_desk import LedgerDesk

from autovibe.domains.metering import NoBudgetError
from autovibe.domains.metering.errors import BudgetBelowUseError
from autovibe.kernel.errors import InvalidArgumentError, NotFoundError
from autovibe.v1 import metering_pb2, projects_pb2


async def raised(desk: LedgerDesk, amount: str, **more: Any) -> str:
    request = {"project": desk.project_id, "resource_type": "money", "amount": amount} | more
    budget = await desk.metering.raise_budget(metering_pb2.RaiseBudgetRequest(**request))
    return budget.allocated_amount


async def project(desk: LedgerDesk, greediness: str) -> str:
    made = await desk.services.projects.create_project(
        projects_pb2.CreateProjectRequest(name=f"greedy-{greediness}", greediness=greediness)
    )
    return made.id


async def test_raising_adds_and_a_call_that_did_not_fit_fits(desk: LedgerDesk) -> None:
    await desk.budget("1", period="daily")
    assert (await desk.hold("1.5")).reason == "BUDGET_EXHAUSTED"

    assert await raised(desk, "0.75 CAD", budget_period="daily") == "1.75"

    assert (await desk.hold("1.5")).admitted
    assert await desk.amounts() == [("1.75", "0.00", "1.50")]


async def test_dollars_are_added_at_the_rate_of_the_day(sqlite_desk: LedgerDesk) -> None:
    desk = sqlite_desk
    await desk.budget("1")
    rate = await desk.metering.get_exchange_rate(
        metering_pb2.GetExchangeRateRequest(currency="USD")
    )

    assert Decimal(await raised(desk, "2USD")) == 1 + 2 * Decimal(rate.rate_to_cad)


async def test_of_raises_at_the_same_time_none_is_lost(desk: LedgerDesk) -> None:
    await desk.budget("1")

    await asyncio.gather(*(raised(desk, "0.25") for _ in range(8)))

    assert await desk.amounts() == [("3.00", "0.00", "0.00")]


async def test_a_budget_of_an_earlier_period_is_raised_from_now_on(
    sqlite_desk: LedgerDesk,
) -> None:
    desk = sqlite_desk
    await desk.budget("1", period="daily")
    desk.clock.advance(days=3)

    assert await raised(desk, "1", budget_period="daily") == "2.00"

    assert await desk.amounts() == [("2.00", "0.00", "0.00")]
    desk.clock.advance(days=1)
    assert await desk.amounts() == [("2.00", "0.00", "0.00")]


@pytest.mark.parametrize(
    ("amount", "more", "error"),
    [
        ("1", {"budget_period": "weekly"}, NoBudgetError),
        ("1", {"resource_type": "cpu"}, NoBudgetError),
        ("0", {}, InvalidArgumentError),
        ("-1", {}, InvalidArgumentError),
        ("999999999", {}, InvalidArgumentError),
        ("1", {"task_id": "00000000-0000-0000-0000-000000000009"}, NotFoundError),
    ],
)
async def test_what_cannot_be_raised_stays_as_it_is(
    sqlite_desk: LedgerDesk, amount: str, more: dict[str, str], error: type[Exception]
) -> None:
    await sqlite_desk.budget("1")

    with pytest.raises(error):
        await raised(sqlite_desk, amount, **more)

    assert await sqlite_desk.amounts() == [("1.00", "0.00", "0.00")]


async def test_lowering_below_what_is_used_needs_force_and_blocks_what_follows(
    sqlite_desk: LedgerDesk,
) -> None:
    desk = sqlite_desk
    await desk.budget("2")
    held = await desk.hold("1.5")

    with pytest.raises(BudgetBelowUseError, match="--force"):
        await desk.budget("1")
    await desk.budget("1", force=True)

    assert not (await desk.hold("0.01")).admitted
    await desk.settle(held.id, "1.2")
    assert await desk.amounts() == [("1.00", "1.20", "0.00")]


async def test_a_new_budget_gets_its_share_of_what_is_allocated_above_it(
    desk: LedgerDesk,
) -> None:
    """Greediness times the next larger budget, rounded down."""
    own = await project(desk, "0.25")
    parent, child = await desk.task(project_id=own), ""
    child = await desk.task(parent, project_id=own)
    await desk.budget("100.000001", project=own)

    daily = await desk.budget("", project=own, period="daily")
    monthly = await desk.budget("", project=own, period="monthly")
    of_parent = await desk.budget("", project=own, task_id=parent)
    of_child = await desk.budget("", project=own, task_id=child)
    weekly = await desk.budget("", project=own, period="weekly")

    assert daily.allocated_amount == monthly.allocated_amount == "25.00"
    assert weekly.allocated_amount == "6.25"
    assert of_parent.allocated_amount == "25.00"
    assert of_child.allocated_amount == "6.25"


async def test_shares_are_in_proportion_to_greediness(sqlite_desk: LedgerDesk) -> None:
    desk = sqlite_desk
    shares: list[Decimal] = []
    for greediness in ("1", "0.5", "0.1"):
        own = await project(desk, greediness)
        await desk.budget("60", "cpu", project=own)
        made = await desk.budget("", "cpu", period="daily", project=own)
        shares.append(Decimal(made.allocated_amount))

    assert shares == [60, 30, 6]


async def test_where_there_is_no_share_an_amount_is_asked_for(sqlite_desk: LedgerDesk) -> None:
    desk = sqlite_desk
    with pytest.raises(InvalidArgumentError, match="Nothing is allocated above"):
        await desk.budget("")
    own = await project(desk, "0")
    await desk.budget("5", project=own)
    with pytest.raises(InvalidArgumentError, match="greediness is 0"):
        await desk.budget("", project=own, period="daily")
