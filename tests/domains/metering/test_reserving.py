"""Holding the worst case of calls."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from ledger_desk import LedgerDesk

from autovibe.v1 import metering_pb2


async def test_a_call_without_any_money_budget_is_refused(desk: LedgerDesk) -> None:
    await desk.budget("5", "api_calls")

    verdict = await desk.hold("0.10")

    assert (verdict.admitted, verdict.reason) == (False, "NO_BUDGET")
    assert "autovibe budget set website money AMOUNT" in verdict.message
    assert await desk.amounts() == [("5.00", "0.00", "0.00")]


@pytest.mark.req("S1-42")
async def test_a_call_that_fits_is_held_in_every_period_of_project_and_task(
    desk: LedgerDesk,
) -> None:
    task = await desk.task()
    for period in ("daily", "weekly", "monthly", "total"):
        await desk.budget("5", period=period)
    await desk.budget("3", task_id=task)
    await desk.budget("10", "api_calls")

    verdict = await desk.hold("0.125", task_id=task)

    assert verdict.admitted
    assert verdict.money_held == "0.125"
    held = {
        (one.resource_type, one.budget_period, bool(one.task_id)): one.reserved_amount
        for one in await desk.budgets()
    }
    assert held == {
        ("money", "daily", False): "0.125",
        ("money", "weekly", False): "0.125",
        ("money", "monthly", False): "0.125",
        ("money", "total", False): "0.125",
        ("api_calls", "total", False): "1.00",
        ("money", "total", True): "0.125",
    }


async def test_a_call_that_does_not_fit_one_budget_changes_none(desk: LedgerDesk) -> None:
    task = await desk.task()
    await desk.budget("5")
    await desk.budget("0.10", task_id=task)

    verdict = await desk.hold("0.11", task_id=task)

    assert (verdict.admitted, verdict.reason) == (False, "BUDGET_EXHAUSTED")
    assert verdict.shortage.budget.task_id == task
    assert verdict.shortage.needed_amount == "0.11"
    assert not verdict.shortage.HasField("resets_at")
    assert f"task {task}" in verdict.message
    assert f"--task {task}" in verdict.message
    assert [one[2] for one in await desk.amounts()] == ["0.00", "0.00"]


async def test_a_call_must_fit_the_budgets_of_every_ancestor_task(desk: LedgerDesk) -> None:
    grandparent = await desk.task()
    parent = await desk.task(parent=grandparent)
    child = await desk.task(parent=parent)
    await desk.budget("1", task_id=grandparent)

    first = await desk.hold("0.75", task_id=child)
    second = await desk.hold("0.75", task_id=parent)
    of_sibling = await desk.hold("0.75", task_id=await desk.task())

    assert first.admitted
    assert (second.reason, second.shortage.budget.task_id) == ("BUDGET_HELD", grandparent)
    assert of_sibling.reason == "NO_BUDGET"


async def test_the_refusal_names_budget_amounts_reset_and_remedy(desk: LedgerDesk) -> None:
    await desk.budget("1", period="daily")
    first = await desk.hold("0.6")
    await desk.settle(first.id, "0.6")

    verdict = await desk.hold("0.5")

    assert verdict.message == (
        "The daily money budget of project website cannot take this call (allocated 1.00 CAD, "
        "used 0.60 CAD, reserved 0.00 CAD, needed 0.50 CAD). It starts anew on 2026-11-24 00:00 "
        "UTC. Raise it with `autovibe budget raise website money AMOUNT --period daily`."
    )
    assert verdict.shortage.resets_at.ToDatetime(tzinfo=UTC) == datetime(2026, 11, 24, tzinfo=UTC)


async def test_a_call_that_fits_once_holds_settle_is_held_not_exhausted(desk: LedgerDesk) -> None:
    await desk.budget("1")
    first = await desk.hold("0.9")

    assert (await desk.hold("0.5")).reason == "BUDGET_HELD"
    await desk.settle(first.id, "0.6")
    assert (await desk.hold("0.5")).reason == "BUDGET_EXHAUSTED"


async def test_what_fits_is_held_when_it_is_not_below_the_floor(desk: LedgerDesk) -> None:
    await desk.budget("1.000001")

    clamped = await desk.hold("4.14", money_floor="0.30")
    assert (clamped.admitted, clamped.money_held) == (True, "1.000001")
    await desk.settle(clamped.id, "0.800000")

    refused = await desk.hold("4.14", money_floor="0.300000")
    assert (refused.reason, refused.shortage.needed_amount) == ("BUDGET_EXHAUSTED", "0.30")
    assert (await desk.hold("4.14", money_floor="0.2")).money_held == "0.200001"


async def test_a_budget_of_calls_refuses_the_call_that_is_one_too_many(desk: LedgerDesk) -> None:
    await desk.budget("100")
    await desk.budget("2", "api_calls", "daily")

    verdicts = [await desk.hold("0.01") for _ in range(3)]

    assert [one.admitted for one in verdicts] == [True, True, False]
    assert verdicts[2].shortage.budget.resource_type == "api_calls"
    assert verdicts[2].reason == "BUDGET_HELD"


async def test_items_of_a_batch_are_decided_in_order_and_each_by_itself(desk: LedgerDesk) -> None:
    await desk.budget("100")

    verdicts = await desk.reserve(*(desk.call(amount) for amount in ("30", "30", "50", "20", "20")))

    assert [one.admitted for one in verdicts] == [True, True, False, True, True]
    assert [one[2] for one in await desk.amounts()] == ["100.00"]


async def test_the_same_call_again_gets_the_same_verdict_and_is_held_once(
    desk: LedgerDesk,
) -> None:
    await desk.budget("1")
    call = desk.call("4", money_floor="0.5", execution_id=str(uuid.uuid4()))

    once = await desk.reserve(call)
    again = await desk.reserve(call, call)

    assert once[0] == again[0] == again[1]
    assert await desk.amounts() == [("1.00", "0.00", "1.00")]


async def test_an_id_that_was_used_cannot_carry_another_call(desk: LedgerDesk) -> None:
    await desk.budget("1")
    first = await desk.hold("0.1")
    other_terms = metering_pb2.CallTerms(provider="anthropic", model="claude-haiku-4-5")

    other = await desk.hold("0.1", id=first.id, terms=other_terms)
    await desk.settle(first.id, "0.1")
    after_the_end = await desk.hold("0.1", id=first.id)

    assert (other.admitted, other.reason) == (False, "DUPLICATE_CALL")
    assert (after_the_end.admitted, after_the_end.reason) == (False, "DUPLICATE_CALL")


async def test_a_key_can_be_used_once_in_an_execution(desk: LedgerDesk) -> None:
    await desk.budget("1")
    execution = str(uuid.uuid4())
    first = desk.call("0.1", execution_id=execution, idempotency_key="turn-1")

    verdicts = await desk.reserve(
        first,
        desk.call("0.1", execution_id=execution, idempotency_key="turn-1"),
        desk.call("0.1", execution_id=str(uuid.uuid4()), idempotency_key="turn-1"),
    )
    later = await desk.hold("0.1", execution_id=execution, idempotency_key="turn-1")

    assert [one.admitted for one in verdicts] == [True, False, True]
    assert verdicts[1].reason == later.reason == "DUPLICATE_CALL"
    assert first.id in later.message


async def test_a_key_of_an_older_lease_generation_is_refused(desk: LedgerDesk) -> None:
    await desk.budget("1")
    task = await desk.task()
    order = await desk.order(task, generation=3)

    fitting = {"task_id": task, "work_order_id": order}
    assert (await desk.hold("0.1", lease_generation=3, **fitting)).admitted
    assert (await desk.hold("0.1", lease_generation=2, **fitting)).reason == "LEASE_LOST"
    unknown = {"task_id": task, "work_order_id": str(uuid.uuid4())}
    assert (await desk.hold("0.1", lease_generation=3, **unknown)).reason == "LEASE_LOST"


async def test_a_new_period_opens_by_itself_with_the_same_amount(desk: LedgerDesk) -> None:
    await desk.budget("1", period="daily")
    await desk.budget("9", period="weekly")
    first = await desk.hold("0.9")
    await desk.settle(first.id, "0.9")
    desk.clock.advance(days=7)

    shown = await desk.amounts()
    assert (await desk.hold("0.9")).admitted

    assert sorted(shown) == [("1.00", "0.00", "0.00"), ("9.00", "0.00", "0.00")]
    assert sorted(await desk.amounts()) == [("1.00", "0.00", "0.90"), ("9.00", "0.00", "0.90")]
    periods = {
        one.budget_period: (one.period_start, one.period_end) for one in await desk.budgets()
    }
    assert periods == {
        "daily": ("2026-11-30", "2026-11-30"),
        "weekly": ("2026-11-30", "2026-12-06"),
    }


async def test_budgets_of_other_projects_and_tasks_are_not_touched(desk: LedgerDesk) -> None:
    other = await desk.task()
    await desk.budget("1")
    await desk.budget("1", task_id=other)

    await desk.hold("0.5", task_id=await desk.task())

    assert [one[2] for one in await desk.amounts(task_id=other)] == ["0.00"]


@pytest.mark.parametrize("callers", [16])
async def test_concurrent_callers_get_exactly_what_fits_the_cap(
    desk: LedgerDesk, callers: int
) -> None:
    await desk.budget("5", period="daily")
    await desk.budget("5")
    admitted: list[str] = []

    async def caller() -> None:
        for _ in range(5):
            verdict = await desk.hold("0.30")
            if verdict.admitted:
                admitted.append(verdict.id)

    await asyncio.gather(*(caller() for _ in range(callers)))

    assert len(admitted) == 16  # floor(5 / 0.30)
    assert {one[2] for one in await desk.amounts()} == {"4.80"}


async def test_concurrent_holds_and_settlements_stay_exact(desk: LedgerDesk) -> None:
    await desk.budget("1", period="monthly")
    await desk.budget("1")
    spent = Decimal(0)

    async def caller() -> None:
        nonlocal spent
        for _ in range(6):
            verdict = await desk.hold("0.05")
            if verdict.admitted:
                await desk.settle(verdict.id, "0.012345")
                spent += Decimal("0.012345")

    await asyncio.gather(*(caller() for _ in range(8)))

    used = {Decimal(one[1]) for one in await desk.amounts()}
    assert used == {spent} == {await desk.used_by_rows()}
    assert {one[2] for one in await desk.amounts()} == {"0.00"}
