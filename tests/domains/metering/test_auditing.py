"""The audit of usage, and differences that were planted by SQL."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from ledger_desk import LedgerDesk
from sqlalchemy import text

from autovibe.db.visibility import Viewer, limit
from autovibe.domains.metering.auditing import audit_usage
from autovibe.kernel.context import ALL_SCOPES, Actor, CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.testing.factories import add, add_user
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


async def calls(desk: LedgerDesk, *tasks: str) -> None:
    """Make one call for each of these tasks."""
    held = await desk.reserve(*(desk.call("0.5", task_id=task) for task in tasks))
    amounts = [
        metering_pb2.ResourceAmount(resource_type="money", amount="0.100001"),
        metering_pb2.ResourceAmount(resource_type="api_calls", amount="1"),
    ]
    ends = [metering_pb2.Settlement(id=one.id, outcome="settled", amounts=amounts) for one in held]
    await desk.metering.settle_many(metering_pb2.SettleManyRequest(settlements=ends))


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
        await calls(desk, parent, child, "")
        await sample(desk, "time", "1.5")
        desk.clock.advance(hours=18)
    await sample(desk, "network", "0.25", cost_cad="0.01")
    _, gone, lost = await desk.reserve(
        desk.call("0.75", task_id=child), desk.call("0.75"), desk.call("0.3", task_id=child)
    )
    await desk.settle(gone.id, outcome="released")
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


async def test_what_a_budget_or_a_day_counts_wrongly_is_told(busy: LedgerDesk) -> None:
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
    await run_sql(busy, "UPDATE resource_budgets SET used_amount = 0 WHERE task_id IS NOT NULL")
    below = [one for one in await audit(busy) if one.task_id]
    # The task above counts what the one below it has used, too.
    assert told(below) == [
        ("used", "money", "0.00", "0.500002", "amount"),
        ("used", "money", "0.00", "0.700004", "amount"),
    ]
    assert all(f"task {one.task_id} of website, money" in one.message for one in below)
    daily = "UPDATE resource_usage_daily SET"
    await run_sql(busy, f"{daily} cost_cad = 0 WHERE resource_type = 'network'")
    await run_sql(busy, f"{daily} transaction_count = 70 WHERE resource_type = 'time'")
    days = [one for one in await audit(busy) if one.kind == "day"]
    assert {(one.resource_type, one.measure) for one in days} == {
        ("network", "cost_cad"),
        ("time", "rows"),
    }


async def test_rows_and_holds_that_do_not_belong_together_are_told(busy: LedgerDesk) -> None:
    await run_sql(busy, "DELETE FROM budget_holds WHERE settled_amount IS NULL")
    held = await audit(busy)
    assert {(kind, resource, amount) for kind, resource, _, amount, _ in told(held)} == {
        ("reserved", "money", "0.00"),
        ("reserved", "api_calls", "0.00"),
    }
    first, second = await busy.rows(
        "SELECT reservation_id FROM resource_usage WHERE resource_type = 'money' "
        "ORDER BY recorded_at, amount, reservation_id LIMIT 2"
    )
    await run_sql(
        busy,
        "DELETE FROM resource_usage WHERE resource_type = 'money' AND reservation_id = "
        f"'{first.reservation_id}'",
    )
    found = await audit(busy)
    assert {one.kind for one in found} == {"used", "reserved", "day", "call"}
    [call] = [one for one in found if one.kind == "call"]
    assert uuid.UUID(call.reservation_id) == uuid.UUID(str(first.reservation_id))
    assert (call.recorded_amount, call.expected_amount) == ("0.00", "0.100001")
    [day] = [one for one in found if one.kind == "day"]
    assert (day.usage_date, day.difference_amount) == ("2026-11-23", "0.100001")
    # Rows of a call that was never settled.
    await run_sql(
        busy,
        f"UPDATE budget_reservations SET state = 'released' WHERE id = '{second.reservation_id}'",
    )
    unfounded = [one for one in await audit(busy) if one.kind == "call"]
    assert told(unfounded) == [
        ("call", "api_calls", "1.00", "0.00", "amount"),
        ("call", "money", "0.00", "0.100001", "amount"),
        ("call", "money", "0.100001", "0.00", "amount"),
    ]


async def test_what_upkeep_has_taken_away_is_no_difference(busy: LedgerDesk) -> None:
    # Of an execution that was archived nobody knows the task: its budget may count it, or not.
    task = await busy.task()
    await busy.budget("100", "time", task_id=task)
    used = "2.5" if busy.db.dialect.name == "postgresql" else "2500000"
    of_task = "WHERE task_id IS NOT NULL AND resource_type = 'time'"
    await run_sql(busy, f"UPDATE resource_budgets SET used_amount = {used} {of_task}")
    await sample(busy, "time", "2.5", execution_id=str(uuid.uuid4()))
    assert await audit(busy) == []
    await run_sql(busy, f"UPDATE resource_budgets SET used_amount = 2 * {used} {of_task}")
    assert told(await audit(busy)) == [("used", "time", "5.00", "0.00", "amount")]
    await run_sql(busy, f"UPDATE resource_budgets SET used_amount = 0 {of_task}")
    # Rows are deleted after a year, the sums of their days are not.
    busy.clock.advance(days=400)
    await run_sql(busy, "DELETE FROM resource_usage")
    assert await audit(busy) == []
    budget = await busy.budget("50", "time", "total")
    assert budget.used_amount == "5.50"
    assert await audit(busy) == []


@pytest.mark.long
async def test_differences_come_in_pages_over_all_projects(busy: LedgerDesk) -> None:
    for name in ("other", "third"):
        project = await busy.services.projects.create_project(
            projects_pb2.CreateProjectRequest(name=name)
        )
        await busy.budget("1", project=project.id)
    for change in (
        "resource_budgets SET used_amount = used_amount + 1, reserved_amount = reserved_amount + 1",
        "resource_usage_daily SET amount = amount + 1",
        "budget_holds SET settled_amount = settled_amount + 1",
    ):
        await run_sql(busy, f"UPDATE {change}")
    whole = await audit(busy)
    assert len(whole) > 20
    assert {one.kind for one in whole} == {"used", "reserved", "day", "call"}
    assert {one.project_name for one in whole} == {"website", "other", "third"}
    assert await audit(busy, size=7) == whole
    only = await audit(busy, project="other", size=1)
    assert [one.kind for one in only] == ["used", "reserved"]
    for token in ("rubbish", "WyJhIiwiYiIsImMiLCJkIiwiZSJd"):
        with pytest.raises(InvalidArgumentError, match="start again without one"):
            await busy.metering.audit_usage(usage_pb2.AuditUsageRequest(page_token=token))


async def test_a_member_audits_the_own_projects_only(busy: LedgerDesk) -> None:
    other = await busy.services.projects.create_project(
        projects_pb2.CreateProjectRequest(name="other")
    )
    await busy.budget("1", project=other.id)
    await run_sql(busy, "UPDATE resource_budgets SET used_amount = allocated_amount")
    async with busy.db.write() as tx:
        user = await add_user(tx)
        member = {"project_id": uuid.UUID(other.id), "user_id": user.id, "role": "viewer"}
        await add(tx, "project_members", **member)
    actor = Actor("system", "tests", ALL_SCOPES)
    ctx = CallContext(actor=actor, clock=busy.clock, instance_id=uuid.uuid4())
    async with busy.db.read() as tx:
        limit(tx.session, Viewer(user.id, ("viewer",)))
        answer = await audit_usage(tx, ctx, usage_pb2.AuditUsageRequest())
    assert [(one.project_name, one.recorded_amount) for one in answer.differences] == [
        ("other", "1.00")
    ]
    assert (answer.budgets, answer.next_page_token) == (1, "")
