"""Samples that are sent twice, totals of machines, and how full budgets are said to be."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from ledger_desk import LedgerDesk

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.protoconv import timestamp
from autovibe.testing import factories
from autovibe.v1 import metering_pb2


async def execution(desk: LedgerDesk, *, parent: str = "") -> tuple[str, str, str]:
    """Add a task with an execution in a machine; return the ids of all three."""
    task_id = await desk.task(parent)
    async with desk.db.write() as tx:
        project_id = uuid.UUID(desk.project_id)
        machine = await factories.add_machine(tx, project_id)
        worker = await factories.add_worker(tx)
        order = await factories.add_order(tx, uuid.UUID(task_id))
        run = await factories.add_execution(
            tx, task_id=uuid.UUID(task_id), work_order_id=order.id, worker_id=worker.id
        )
    return task_id, str(run.id), str(machine.id)


def sample(desk: LedgerDesk, amount: str, kind: str = "time", **more: Any) -> Any:
    values = {
        "id": str(uuid.uuid4()),
        "project_id": desk.project_id,
        "recorded_at": timestamp(desk.clock.now()),
    } | more
    return metering_pb2.UsageSample(resource_type=kind, amount=amount, **values)


async def record(desk: LedgerDesk, *samples: Any) -> int:
    request = metering_pb2.RecordUsageManyRequest(samples=samples)
    return int((await desk.metering.record_usage_many(request)).recorded)


async def levels(desk: LedgerDesk, execution_id: str) -> Sequence[metering_pb2.BudgetLevel]:
    request = metering_pb2.GetBudgetLevelsRequest(execution_id=execution_id)
    return (await desk.metering.get_budget_levels(request)).levels


async def warnings(desk: LedgerDesk) -> list[dict[str, Any]]:
    rows = await desk.rows(
        "SELECT payload FROM outbox_events WHERE topic = 'budgets.warning' ORDER BY id"
    )
    return [json.loads(one) if isinstance(one, str) else one for (one,) in rows]


async def test_a_sample_that_is_sent_again_counts_once(desk: LedgerDesk) -> None:
    await desk.budget("10", "time")
    first, second = sample(desk, "1.5"), sample(desk, "2")
    assert await record(desk, first) == 1
    assert await record(desk, first) == 0
    assert await record(desk, first, second, second) == 1
    assert await desk.used_by_rows("time") == Decimal("3.5")
    assert await desk.amounts() == [("10.00", "3.50", "0.00")]
    days = await desk.rows("SELECT transaction_count FROM resource_usage_daily")
    assert [int(count) for (count,) in days] == [2]


async def test_the_same_sample_from_two_at_once_counts_once(desk: LedgerDesk) -> None:
    await desk.budget("10", "time")
    one = sample(desk, "1.5")
    recorded = await asyncio.gather(*(record(desk, one) for _ in range(4)))
    assert sorted(recorded) == [0, 0, 0, 1]
    assert await desk.amounts() == [("10.00", "1.50", "0.00")]


async def test_a_sample_with_an_id_needs_its_time(desk: LedgerDesk) -> None:
    timeless = sample(desk, "1")
    timeless.ClearField("recorded_at")
    with pytest.raises(InvalidArgumentError, match="recorded_at"):
        await record(desk, timeless)


@pytest.mark.req("S1-14")
async def test_recording_keeps_the_totals_of_machines(desk: LedgerDesk) -> None:
    _, run, machine = await execution(desk)
    where = {"execution_id": run, "machine_id": machine}
    first = sample(desk, "0.000001", **where)
    await record(desk, first, sample(desk, "2.5", "cpu", **where))
    await record(desk, first, sample(desk, "1.25", "cpu", **where))
    await record(desk, sample(desk, "7", "cpu", **where, unit="hours"))
    ((totals,),) = await desk.rows("SELECT resource_usage FROM intelligent_machines")
    totals = json.loads(totals) if isinstance(totals, str) else totals
    assert totals == {"time": "0.000001", "cpu": "3.75"}


async def test_levels_are_of_the_task_those_above_and_the_project(desk: LedgerDesk) -> None:
    above = await desk.task()
    task, run, _ = await execution(desk, parent=above)
    other = await desk.task()
    await desk.budget("10", "time")
    await desk.budget("4", "time", task_id=above)
    await desk.budget("2", "cpu", task_id=task)
    await desk.budget("1", "time", task_id=other)
    await desk.budget("1", "money")
    assert [one.low for one in await levels(desk, run)] == [False] * 4

    await record(desk, sample(desk, "3.2", execution_id=run))
    found = {one.budget.task_id: one for one in await levels(desk, run)}
    assert set(found) == {"", above, task}
    assert (found[above].low, found[above].exhausted) == (True, False)
    assert (found[""].low, found[task].low) == (False, False)

    await record(desk, sample(desk, "2", "cpu", execution_id=run))
    fullest = (await levels(desk, run))[0]
    assert (fullest.budget.task_id, fullest.exhausted) == (task, True)
    assert f"The total cpu budget of task {task} is used up" in fullest.message
    assert f"budget raise website cpu AMOUNT --task {task}" in fullest.message


async def test_a_new_period_has_room_again_before_anything_is_recorded(desk: LedgerDesk) -> None:
    _, run, _ = await execution(desk)
    await desk.budget("1", "time", "daily")
    await record(desk, sample(desk, "1", execution_id=run))
    (level,) = await levels(desk, run)
    assert level.exhausted
    assert "starts anew on 2026-11-24 00:00 UTC" in level.message
    assert "--period daily" in level.message
    desk.clock.advance(days=1)
    (level,) = await levels(desk, run)
    assert not level.low
    assert level.budget.used_amount == "0.00"


async def test_a_budget_of_nothing_is_used_up_from_the_start(desk: LedgerDesk) -> None:
    _, run, _ = await execution(desk)
    await desk.budget("0", "network")
    (level,) = await levels(desk, run)
    assert level.exhausted


async def test_an_execution_that_is_none_has_no_budgets(desk: LedgerDesk) -> None:
    await desk.budget("1", "time")
    assert await levels(desk, str(uuid.uuid4())) == []


async def test_eighty_percent_is_told_of_once_per_budget_and_period(desk: LedgerDesk) -> None:
    task, run, _ = await execution(desk)
    await desk.budget("10", "time", "daily")
    await desk.budget("5", "time", task_id=task)
    await record(desk, sample(desk, "3.9", execution_id=run))
    assert await warnings(desk) == []
    again = sample(desk, "0.1", execution_id=run)
    await record(desk, again)
    await record(desk, again)
    (told,) = await warnings(desk)
    assert (told["task_id"], told["resource_type"], told["used_amount"]) == (task, "time", "4.00")
    # From below 80 percent to far beyond: once, too.
    await record(desk, sample(desk, "9", execution_id=run), sample(desk, "1"))
    assert [one["budget_period"] for one in await warnings(desk)] == ["total", "daily"]
    await record(desk, sample(desk, "1"))
    assert len(await warnings(desk)) == 2
    desk.clock.advance(days=1)
    await record(desk, sample(desk, "8"))
    assert [one["period_start"] for one in await warnings(desk)][2:] == ["2026-11-24"]


async def test_a_late_sample_counts_in_the_period_in_which_it_was_taken(desk: LedgerDesk) -> None:
    await desk.budget("10", "time", "daily")
    late = sample(desk, "2")
    desk.clock.time += timedelta(days=1)
    await record(desk, late)
    assert await desk.amounts() == [("10.00", "0.00", "0.00")]
    used = await desk.rows("SELECT period_start FROM resource_budgets WHERE used_amount > 0")
    assert [str(day) for (day,) in used] == ["2026-11-23"]


async def test_settled_calls_warn_once_of_a_budget_that_is_nearly_used_up(desk: LedgerDesk) -> None:
    task, run, _ = await execution(desk)
    await desk.budget("2")
    await desk.budget("1", task_id=task)
    await desk.budget("4", "api_calls")
    for number, cost in enumerate(("0.5", "0.31", "0.1"), 1):
        call = await desk.hold("0.1", task_id=task, execution_id=run)
        await desk.settle(call.id, cost)
        # The database counts api_calls in the same transaction.
        assert len(await warnings(desk)) == (0 if number == 1 else 1)
    call = await desk.hold("0.05", task_id=task, execution_id=run)
    await desk.settle(call.id, "0.01")
    told = await warnings(desk)
    assert [(one["resource_type"], one["task_id"]) for one in told] == [
        ("money", task),
        ("api_calls", ""),
    ]
    assert told[0]["used_amount"] == "0.81"
    found = {one.budget.task_id: one for one in await levels(desk, run) if one.low}
    assert "total money budget of task" in found[task].message
    assert "nearly used up" in found[task].message
