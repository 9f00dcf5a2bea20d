"""Usage that was measured: budgets that the database keeps, whoever writes, and the days."""

from __future__ import annotations

import asyncio
import random
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from ledger_desk import NOON, LedgerDesk
from sqlalchemy import event, text

from autovibe.db.errors import CheckViolationError, RuleViolationError
from autovibe.domains.metering.errors import BudgetExceededError, BudgetUnitMismatchError
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.protoconv import timestamp
from autovibe.testing import factories
from autovibe.v1 import metering_pb2


def sample(desk: LedgerDesk, amount: str, kind: str = "time", **more: Any) -> Any:
    values = {"project_id": desk.project_id, "enforcement": "authorise"} | more
    return metering_pb2.UsageSample(resource_type=kind, amount=amount, **values)


async def record(desk: LedgerDesk, *samples: Any) -> int:
    answer = await desk.metering.record_usage_many(
        metering_pb2.RecordUsageManyRequest(samples=samples)
    )
    return int(answer.recorded)


async def amounts(desk: LedgerDesk) -> list[tuple[float, ...]]:
    """Return allocated, used and reserved of every budget; all of them are halves and quarters."""
    return [tuple(float(value) for value in one) for one in await desk.amounts()]


async def days(desk: LedgerDesk) -> list[tuple[str, str, Decimal, int]]:
    table = factories.model("resource_usage_daily").__table__
    async with desk.db.read() as tx:
        rows = (await tx.session.execute(table.select().order_by(*table.primary_key))).all()
    return [
        (f"{row.usage_date}", f"{row.resource_type}/{row.unit}", row.amount, row.transaction_count)
        for row in rows
    ]


async def insert_row(desk: LedgerDesk, amount: str, **values: Any) -> None:
    """Insert one usage row as somebody without autovibe would."""
    columns = {
        "id": uuid.uuid4(),
        "project_id": uuid.UUID(desk.project_id),
        "resource_type": "time",
        "unit": "minutes",
        "amount": Decimal(amount),
        "recorded_at": desk.clock.now(),
        "metadata": {},
    } | values
    async with desk.db.write() as tx:
        table = factories.model("resource_usage").__table__
        await tx.session.execute(table.insert().values(columns))


@pytest.mark.req("S0-120", "S1-79")
async def test_authorised_usage_is_added_to_every_budget_that_covers_it(desk: LedgerDesk) -> None:
    await desk.budget("100", "time", "daily")
    await desk.budget("1000", "time", "total")
    assert await record(desk, sample(desk, "12.5"), sample(desk, "0.25")) == 2
    assert await amounts(desk) == [(100, 12.75, 0), (1000, 12.75, 0)]


@pytest.mark.req("S0-120", "S1-78")
async def test_usage_that_does_not_fit_is_refused_whole_and_says_what_was_short(
    desk: LedgerDesk,
) -> None:
    await desk.budget("10", "time", "daily")
    await record(desk, sample(desk, "8"))
    with pytest.raises(BudgetExceededError) as caught:
        await record(desk, sample(desk, "1"), sample(desk, "1.5"))
    told = {name: Decimal(value) for name, value in caught.value.params.items()}
    assert told == {"current": Decimal(8), "attempted": Decimal("2.5"), "limit": Decimal(10)}
    assert await amounts(desk) == [(10, 8, 0)]
    assert await desk.used_by_rows("time") == Decimal(8)


@pytest.mark.req("S1-78")
async def test_sql_written_by_hand_is_refused_by_the_same_rule(desk: LedgerDesk) -> None:
    await desk.budget("10", "time", "daily")
    await insert_row(desk, "10")
    with pytest.raises(RuleViolationError) as caught:
        await insert_row(desk, "0.000001")
    assert caught.value.reason == "BUDGET_EXCEEDED"
    assert await amounts(desk) == [(10, 10, 0)]


@pytest.mark.req("S1-78")
async def test_without_a_budget_usage_is_only_recorded(desk: LedgerDesk) -> None:
    assert await record(desk, sample(desk, "5")) == 1
    assert await desk.used_by_rows("time") == Decimal(5)


async def test_a_fact_is_recorded_above_the_budget_and_blocks_what_follows(
    desk: LedgerDesk,
) -> None:
    await desk.budget("10", "time", "daily")
    await record(desk, sample(desk, "11", enforcement="record"))
    assert await amounts(desk) == [(10, 11, 0)]
    with pytest.raises(BudgetExceededError):
        await record(desk, sample(desk, "0.1"))


async def test_rows_of_the_ledger_are_not_counted_twice(desk: LedgerDesk) -> None:
    await desk.budget("10", "money", "total")
    held = await desk.hold("3")
    await desk.settle(held.id, "2")
    assert await amounts(desk) == [(10, 2, 0)]


async def test_what_calls_hold_is_not_free_for_measured_usage(desk: LedgerDesk) -> None:
    await desk.budget("10", "money", "total")
    await desk.hold("9")
    with pytest.raises(BudgetExceededError):
        await record(desk, sample(desk, "1.5", "money"))


async def test_another_unit_cannot_be_authorised(desk: LedgerDesk) -> None:
    await desk.budget("10", "time", "daily")
    with pytest.raises(BudgetUnitMismatchError):
        await record(desk, sample(desk, "1", unit="hours"))
    assert await record(desk, sample(desk, "1", unit="hours", enforcement="record")) == 1
    assert await amounts(desk) == [(10, 0, 0)]


async def test_the_budget_of_the_day_of_the_usage_counts_it(desk: LedgerDesk) -> None:
    await desk.budget("10", "time", "daily")
    desk.clock.advance(days=1)
    yesterday = timestamp(NOON.replace(hour=23, minute=59))
    await record(desk, sample(desk, "1", recorded_at=yesterday), sample(desk, "2"))
    async with desk.db.read() as tx:
        table = factories.model("resource_budgets").__table__
        rows = (await tx.session.execute(table.select().order_by(table.c.period_start))).all()
    assert [row.used_amount for row in rows] == [Decimal(1), Decimal(2)]


async def test_budgets_of_a_task_and_of_those_above_it_count_its_usage(desk: LedgerDesk) -> None:
    above = await desk.task()
    task = await desk.task(above)
    other = await desk.task()
    for one, limit in ((above, "10"), (task, "5"), (other, "1")):
        await desk.budget(limit, "time", "total", task_id=one)
    async with desk.db.write() as tx:
        worker = await factories.add_worker(tx)
        execution = await factories.add_execution(tx, uuid.UUID(task), worker.id)
    await record(desk, sample(desk, "4", execution_id=str(execution.id)))
    used = {one.task_id: float(one.used_amount) for one in await desk.budgets()}
    assert used == {above: 4, task: 4, other: 0}
    with pytest.raises(BudgetExceededError):
        await record(desk, sample(desk, "1.000001", execution_id=str(execution.id)))
    await record(desk, sample(desk, "100"))


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "1e3", ""])
async def test_an_amount_that_is_none_is_refused(desk: LedgerDesk, amount: str) -> None:
    with pytest.raises(InvalidArgumentError):
        await record(desk, sample(desk, amount))


@pytest.mark.req("S0-84")
async def test_a_batch_of_usage_is_one_statement(desk: LedgerDesk) -> None:
    batch = [sample(desk, f"{number}.25") for number in range(1, 101)]
    if desk.db.dialect.name == "postgresql":
        ran = await fired_by(desk, batch)
    else:
        ran = await sent_by(desk, batch)
    assert ran == 1
    assert await desk.used_by_rows("time") == Decimal(5050 + 25)


async def fired_by(desk: LedgerDesk, batch: list[Any]) -> int:
    """Let PostgreSQL itself count the statements that insert usage: COPY passes every hook by."""
    table = "CREATE TABLE fired (at timestamptz DEFAULT now())"
    function = (
        "CREATE FUNCTION note_fired() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO fired DEFAULT VALUES; RETURN NULL; END'"
    )
    trigger = (
        "CREATE TRIGGER note_fired AFTER INSERT ON resource_usage"
        " FOR EACH STATEMENT EXECUTE FUNCTION note_fired()"
    )
    for statement in (table, function, trigger):
        async with desk.db.write() as tx:
            await tx.session.execute(text(statement))
    try:
        assert await record(desk, *batch) == len(batch)
        async with desk.db.read() as tx:
            return int(await tx.session.scalar(text("SELECT count(*) FROM fired")) or 0)
    finally:
        async with desk.db.write() as tx:
            await tx.session.execute(text("DROP FUNCTION note_fired() CASCADE"))
            await tx.session.execute(text("DROP TABLE fired"))


async def sent_by(desk: LedgerDesk, batch: list[Any]) -> int:
    """Count what is sent to the driver to insert usage."""
    async with desk.db.write() as tx:
        engine = (await tx.session.connection()).sync_connection.engine  # pyright: ignore[reportOptionalMemberAccess]  # it is open
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO resource_usage "):
            sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        assert await record(desk, *batch) == len(batch)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return len(sent)


async def test_a_row_of_nothing_is_refused_by_the_database_too(desk: LedgerDesk) -> None:
    with pytest.raises(CheckViolationError):
        await insert_row(desk, "0")


async def test_many_writers_never_deadlock_and_never_pass_the_limit(desk: LedgerDesk) -> None:
    projects = [desk.project_id]
    async with desk.db.write() as tx:
        projects += [str((await factories.add_project(tx)).id) for _ in range(3)]
    for project in projects:
        await desk.budget("100", "cpu", "daily", project=project)
        await desk.budget("120", "cpu", "monthly", project=project)
    seed = 20261125
    print(f"seed {seed}")
    chance = random.Random(seed)
    batches = [
        [
            sample(desk, str(chance.randint(1, 3)), "cpu", project_id=project)
            for project in chance.sample(projects * 2, 6)
        ]
        for _ in range(40)
    ]

    async def one(batch: list[Any]) -> int:
        try:
            return await record(desk, *batch)
        except BudgetExceededError:
            return 0

    done = await asyncio.gather(*(one(batch) for batch in batches))
    written = sum(len(batch) for batch, count in zip(batches, done, strict=True) if count)
    assert sum(done) == written
    assert 0 in done, "the limit was to be met"
    for project in projects:
        budgets = await desk.budgets(project=project)
        report = await desk.usage(project=project)
        used = sum(Decimal(line.amount) for line in report.lines)
        assert {Decimal(one.used_amount) for one in budgets} == {used}
        assert used <= Decimal(100)


@pytest.mark.req("S0-82", "S0-107")
async def test_days_are_exact_however_usage_was_written(desk: LedgerDesk) -> None:
    await record(
        desk, sample(desk, "1.5"), sample(desk, "2", cost_cad="0.5"), sample(desk, "7", "cpu")
    )
    await insert_row(desk, "3", recorded_at=datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC))
    await insert_row(desk, "4", unit="hours")
    assert await days(desk) == [
        ("2026-11-22", "time/minutes", Decimal(3), 1),
        ("2026-11-23", "cpu/core_seconds", Decimal(7), 1),
        ("2026-11-23", "time/hours", Decimal(4), 1),
        ("2026-11-23", "time/minutes", Decimal("3.5"), 2),
    ]


@pytest.mark.req("S0-107", "S0-108", "S1-73", "S1-74")
async def test_the_summary_keeps_units_apart_and_says_what_the_rows_say(desk: LedgerDesk) -> None:
    # The view looks back from the real day.
    now = datetime.now(UTC)
    for amount, unit, age in (("1", "CAD", 0), ("2", "CAD", 0), ("5", "USD", 0), ("9", "CAD", 91)):
        await insert_row(
            desk,
            amount,
            unit=unit,
            resource_type="money",
            cost_cad=Decimal(amount),
            recorded_at=now - timedelta(days=age),
        )
    async with desk.db.write() as tx:
        if tx.dialect.name == "postgresql":
            refresh = "REFRESH MATERIALIZED VIEW CONCURRENTLY mv_project_resource_summary"
            await tx.session.execute(text(refresh))
    for view in ("mv_project_resource_summary", "project_resource_summary"):
        query = (
            "SELECT unit, total_amount, avg_amount, total_cost_cad, transaction_count"
            f" FROM {view} ORDER BY unit"
        )
        scale = 1 if desk.db.dialect.name == "postgresql" else 1_000_000
        found = [
            (row[0], *(Decimal(value) / scale for value in row[1:4]), row[4])
            for row in await desk.rows(query)
        ]
        assert found == [
            ("CAD", Decimal(3), Decimal("1.5"), Decimal(3), 2),
            ("USD", Decimal(5), Decimal(5), Decimal(5), 1),
        ]


@pytest.mark.req("S0-104")
async def test_usage_per_day_is_listed_by_project_the_newest_day_first(desk: LedgerDesk) -> None:
    async with desk.db.write() as tx:
        other = str((await factories.add_project(tx, name="aardvark")).id)
    for days_ago, amount, project in ((0, "1", other), (0, "2", desk.project_id), (29, "3", other)):
        when = timestamp(NOON - timedelta(days=days_ago))
        await record(desk, sample(desk, amount, project_id=project, recorded_at=when))
    await record(desk, sample(desk, "4", project_id=other, recorded_at=timestamp(NOON)))
    await record(desk, sample(desk, "9", recorded_at=timestamp(NOON - timedelta(days=31))))

    async def pages(**query: Any) -> list[tuple[str, str, Decimal, int]]:
        found: list[Any] = []
        token = ""
        while True:
            answer = await desk.metering.list_daily_usage(
                metering_pb2.ListDailyUsageRequest(page_token=token, page_size=1, **query)
            )
            found += answer.days
            token = answer.next_page_token
            if not token:
                break
        return [(one.project_name, one.usage_date, Decimal(one.amount), one.rows) for one in found]

    name = (await desk.rows("SELECT name FROM projects WHERE name <> 'aardvark'"))[0][0]
    assert await pages() == [
        ("aardvark", "2026-11-23", Decimal(5), 2),
        ("aardvark", "2026-10-25", Decimal(3), 1),
        (name, "2026-11-23", Decimal(2), 1),
    ]
    assert await pages(project=desk.project_id) == [(name, "2026-11-23", Decimal(2), 1)]
    since = timestamp(NOON - timedelta(days=40))
    until = timestamp(NOON.replace(hour=0))
    assert [one[1] for one in await pages(project=desk.project_id, since=since, until=until)] == [
        "2026-10-23"
    ]


async def test_the_history_of_a_path_says_which_machine_and_what_it_cost(desk: LedgerDesk) -> None:
    async with desk.db.write() as tx:
        project = uuid.UUID(desk.project_id)
        machine = await factories.add_machine(tx, project)
        parent = None
        for number in range(3):
            parent = await factories.add_checkpoint(
                tx,
                project,
                parent,
                created_at=NOON + timedelta(minutes=number),
                creating_machine_id=machine.id if number else None,
                file_manifest={"files": [{"path": "workspace/a.py", "size": "1"}], "deleted": []},
            )
    for seconds, cost in ((30, "0.5"), (90, "0.25"), (200, "9")):
        when = timestamp(NOON + timedelta(seconds=seconds))
        await record(
            desk,
            sample(
                desk,
                cost,
                "money",
                cost_cad=cost,
                machine_id=str(machine.id),
                recorded_at=when,
                enforcement="record",
            ),
        )
    desk.clock.advance(hours=1)
    answer = await desk.metering.list_path_history(
        metering_pb2.ListPathHistoryRequest(project=desk.project_id, path="a.py", page_size=2)
    )
    rest = await desk.metering.list_path_history(
        metering_pb2.ListPathHistoryRequest(
            project=desk.project_id, path="a.py", page_token=answer.next_page_token
        )
    )
    found = [
        (one.machine_type, one.cost_cad and Decimal(one.cost_cad))
        for one in (*answer.changes, *rest.changes)
    ]
    assert found == [
        ("claude_code", Decimal("0.25")),
        ("claude_code", Decimal("0.5")),
        ("", ""),
    ]
