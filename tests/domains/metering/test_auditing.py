"""The audit of usage, and differences that were planted by SQL."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from ledger_desk import LedgerDesk
from sqlalchemy import text

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import metering_pb2, projects_pb2, usage_pb2


async def audit(desk: LedgerDesk, project: str = "", size: int = 0) -> list[Any]:
    """Return the differences of all pages."""
    request = usage_pb2.AuditUsageRequest(project=project, page_size=size)
    found: list[Any] = []
    while True:
        answer = await desk.metering.audit_usage(request)
        found += answer.differences
        assert len(answer.differences) <= (size or 50)
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token


async def run_sql(desk: LedgerDesk, statement: str) -> None:
    async with desk.db.write() as tx:
        await tx.session.execute(text(statement))


def told(found: list[Any]) -> list[tuple[str, str, str, str, str]]:
    """Return of each difference what it is about and its amounts, sorted."""
    return sorted(
        (one.kind, one.resource_type, one.recorded_amount, one.expected_amount, one.measure)
        for one in found
    )


async def sample(desk: LedgerDesk, resource: str, amount: str, **more: Any) -> None:
    usage = metering_pb2.UsageSample(
        project_id=desk.project_id, resource_type=resource, amount=amount, **more
    )
    await desk.metering.record_usage_many(metering_pb2.RecordUsageManyRequest(samples=[usage]))


@pytest.fixture
async def busy(desk: LedgerDesk) -> LedgerDesk:
    """Give a ledger with budgets of a project and two tasks, calls and samples of two days."""
    parent = await desk.task()
    child = await desk.task(parent)
    for period in ("daily", "total"):
        await desk.budget("20", period=period)
    await desk.budget("100", "api_calls", "monthly")
    await desk.budget("9", task_id=parent)
    await desk.budget("5", task_id=child)
    await desk.budget("1000", "time", "weekly")
    for _ in range(2):
        for task in (parent, child, ""):
            call = await desk.hold("0.5", task_id=task)
            await desk.settle(call.id, "0.100001")
        await sample(desk, "time", "1.5")
        await sample(desk, "network", "0.25", cost_cad="0.01")
        desk.clock.advance(hours=18)
    await desk.hold("0.75", task_id=child)
    gone = await desk.hold("0.75")
    await desk.settle(gone.id, outcome="released")
    lost = await desk.hold("0.3", task_id=child)
    await desk.settle(lost.id, outcome="uncertain")
    # A budget that is set when much was used already.
    await desk.budget("7", period="monthly")
    await desk.budget("7", "network", "monthly")
    return desk


@pytest.mark.req("S1-42")
async def test_a_ledger_that_only_autovibe_has_written_has_no_difference(busy: LedgerDesk) -> None:
    answer = await busy.metering.audit_usage(usage_pb2.AuditUsageRequest())
    assert list(answer.differences) == []
    assert answer.next_page_token == ""
    assert answer.calls == 7
    assert answer.budgets == 10
    assert answer.days > 5


async def test_a_budget_that_counts_wrongly_is_told_with_both_amounts(busy: LedgerDesk) -> None:
    [before] = [b for b in await busy.budgets() if b.task_id == "" and b.budget_period == "total"]
    # One unit of the last place: 0.000001 in either database.
    least = "0.000001" if busy.db.dialect.name == "postgresql" else "1"
    await run_sql(
        busy,
        f"UPDATE resource_budgets SET used_amount = used_amount + {least} "
        "WHERE task_id IS NULL AND budget_period = 'total'",
    )
    [one] = await audit(busy)
    assert (one.kind, one.budget_id, one.project_name) == ("used", before.id, "website")
    assert (one.expected_amount, one.difference_amount) == (before.used_amount, "0.000001")
    assert one.message == (
        f"website, money in CAD, total: the budget counts {one.recorded_amount} as used, its rows "
        f"make {before.used_amount}."
    )


async def test_a_task_counts_what_tasks_below_it_used(busy: LedgerDesk) -> None:
    await run_sql(
        busy,
        "UPDATE resource_budgets SET used_amount = used_amount - used_amount "
        "WHERE task_id IS NOT NULL",
    )
    found = await audit(busy)
    assert told(found) == [
        ("used", "money", "0.00", "0.500002", "amount"),
        ("used", "money", "0.00", "0.700004", "amount"),
    ]
    assert all(f"task {one.task_id} of website, money" in one.message for one in found)


async def test_holds_that_were_lost_are_told(busy: LedgerDesk) -> None:
    await run_sql(busy, "DELETE FROM budget_holds WHERE settled_amount IS NULL")
    assert {
        (kind, resource, expected) for kind, resource, _, expected, _ in told(await audit(busy))
    } == {
        ("reserved", "money", "0.00"),
        ("reserved", "api_calls", "0.00"),
    }


async def test_lost_rows_are_missed_by_budgets_days_and_calls(busy: LedgerDesk) -> None:
    [row] = await busy.rows(
        "SELECT reservation_id FROM resource_usage WHERE resource_type = 'money' "
        "ORDER BY recorded_at, amount LIMIT 1"
    )
    await run_sql(
        busy,
        "DELETE FROM resource_usage WHERE resource_type = 'money' AND reservation_id = "
        f"'{row.reservation_id}'",
    )
    found = await audit(busy)
    assert {one.kind for one in found} == {"used", "day", "call"}
    [call] = [one for one in found if one.kind == "call"]
    assert uuid.UUID(call.reservation_id) == uuid.UUID(str(row.reservation_id))
    assert (call.recorded_amount, call.expected_amount) == ("0.00", "0.100001")
    [day] = [one for one in found if one.kind == "day"]
    assert (day.usage_date, day.difference_amount) == ("2026-11-23", "0.100001")


async def test_rows_of_a_call_that_was_never_settled_are_told(busy: LedgerDesk) -> None:
    await run_sql(
        busy,
        "UPDATE budget_reservations SET state = 'released' WHERE id IN (SELECT reservation_id "
        "FROM resource_usage WHERE resource_type = 'money' ORDER BY recorded_at LIMIT 1)",
    )
    found = await audit(busy)
    assert told(found) == [
        ("call", "api_calls", "1.00", "0.00", "amount"),
        ("call", "money", "0.100001", "0.00", "amount"),
    ]


async def test_a_day_tells_of_cost_and_number_of_rows_too(busy: LedgerDesk) -> None:
    await run_sql(
        busy,
        "UPDATE resource_usage_daily SET cost_cad = 0 WHERE resource_type = 'network'",
    )
    await run_sql(
        busy,
        "UPDATE resource_usage_daily SET transaction_count = 70 WHERE resource_type = 'time'",
    )
    found = await audit(busy)
    assert {(one.resource_type, one.measure) for one in found} == {
        ("network", "cost_cad"),
        ("time", "rows"),
    }


async def test_usage_of_executions_that_were_archived_is_no_difference(busy: LedgerDesk) -> None:
    """The rows of a task cannot be told from others' then; a budget outside of both bounds can."""
    task = await busy.task()
    await busy.budget("100", "time", task_id=task)
    await run_sql(
        busy,
        "UPDATE resource_budgets SET used_amount = "
        + ("2.5" if busy.db.dialect.name == "postgresql" else "2500000")
        + " WHERE task_id IS NOT NULL AND resource_type = 'time'",
    )
    await sample(busy, "time", "2.5", execution_id=str(uuid.uuid4()))
    assert await audit(busy) == []
    await run_sql(
        busy,
        "UPDATE resource_budgets SET used_amount = used_amount + used_amount "
        "WHERE task_id IS NOT NULL AND resource_type = 'time'",
    )
    assert told(await audit(busy)) == [("used", "time", "5.00", "0.00", "amount")]


async def test_rows_that_were_deleted_for_their_age_are_no_difference(busy: LedgerDesk) -> None:
    busy.clock.advance(days=400)
    await run_sql(busy, "DELETE FROM resource_usage")
    assert await audit(busy) == []
    # Nor has a budget forgotten them that is set only now.
    budget = await busy.budget("50", "time", "total")
    assert budget.used_amount == "3.00"
    assert await audit(busy) == []


async def test_differences_come_in_pages_over_all_projects(busy: LedgerDesk) -> None:
    for name in ("other", "third"):
        project = await busy.services.projects.create_project(
            projects_pb2.CreateProjectRequest(name=name)
        )
        await busy.budget("1", project=project.id)
    await run_sql(busy, "UPDATE resource_budgets SET used_amount = used_amount + 1")
    await run_sql(busy, "UPDATE resource_budgets SET reserved_amount = reserved_amount + 1")
    await run_sql(busy, "UPDATE resource_usage_daily SET amount = amount + 1")
    await run_sql(busy, "UPDATE budget_holds SET settled_amount = settled_amount + 1")
    whole = await audit(busy)
    assert len(whole) > 20
    assert {one.kind for one in whole} == {"used", "reserved", "day", "call"}
    assert {one.project_name for one in whole} == {"website", "other", "third"}
    assert await audit(busy, size=3) == whole
    only = await audit(busy, project="other", size=1)
    assert [one.kind for one in only] == ["used", "reserved"]


@pytest.mark.parametrize("token", ["rubbish", "WyJhIiwiYiIsImMiLCJkIiwiZSJd"])
async def test_a_token_of_somebody_else_is_refused(desk: LedgerDesk, token: str) -> None:
    with pytest.raises(InvalidArgumentError, match="start again without one"):
        await desk.metering.audit_usage(usage_pb2.AuditUsageRequest(page_token=token))
