"""How the databases run each query on usage: through an index, in the months that it asks for."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from autovibe.db import Database, ReadTx, open_database
from autovibe.domains.metering import repository
from autovibe.domains.metering.repository import auditing, rebuilding, upkeep
from autovibe.domains.metering.state import BudgetKey
from autovibe.testing.databases import TestDatabases
from autovibe.testing.factories import add_execution, add_project, add_task, add_worker

PROJECT, TASK, OTHER = uuid.UUID(int=1), uuid.UUID(int=2), uuid.UUID(int=3)
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
SCOPE = auditing.Scope(PROJECT, NOVEMBER, NOVEMBER.date())
TOTAL = (date(1970, 1, 1), date(9999, 12, 31))
ROW = {
    "id": OTHER,
    "project_id": PROJECT,
    "resource_type": "money",
    "unit": "CAD",
    "recorded_at": NOVEMBER + timedelta(days=5),
}

BY_PROJECT = ("idx_resource_project_time", "project_id_recorded_at_idx")
BY_TYPE = ("idx_resource_type_time", "resource_type_recorded_at_idx")
BY_MACHINE = ("idx_resource_machine", "machine_id_idx")
BY_EXECUTION = ("idx_resource_usage_execution", "execution_id_idx")
BY_KEY = ("sqlite_autoindex_resource_usage_1", "_pkey")
# Both find the rows of one moment, or of one day, of one resource.
BY_PROJECT_OR_TYPE = (BY_TYPE[0], BY_PROJECT[1])
DAYS = ("sqlite_autoindex_resource_usage_daily_1", "pk_resource_usage_daily")

Query = Callable[[ReadTx], Awaitable[Any]]


async def used_by(tx: ReadTx, task_id: uuid.UUID | None) -> None:
    key = BudgetKey(PROJECT, task_id, "money", "total")
    await repository.used_so_far(tx, key, "CAD", TOTAL)


async def days_of_project(tx: ReadTx) -> None:
    await repository.daily_usage(
        tx, project_id=PROJECT, since=TOTAL[0], until=TOTAL[1], after=None, limit=50
    )


QUERIES: dict[str, tuple[Query, tuple[tuple[str, str], ...]]] = {
    "used by a project": (lambda tx: used_by(tx, None), (DAYS,)),
    "used by a task": (lambda tx: used_by(tx, TASK), (BY_EXECUTION, BY_PROJECT)),
    "report of a project": (
        lambda tx: repository.usage_lines(tx, project_id=PROJECT, since=NOVEMBER),
        (BY_PROJECT,),
    ),
    "report of a task": (
        lambda tx: repository.usage_lines(tx, task_id=TASK),
        (BY_EXECUTION, BY_PROJECT),
    ),
    "report of an execution": (
        lambda tx: repository.usage_lines(tx, execution_id=OTHER),
        (BY_EXECUTION,),
    ),
    "cost of a task": (
        lambda tx: repository.spent_on_task(tx, TASK),
        (BY_EXECUTION, BY_PROJECT),
    ),
    "samples sent again": (lambda tx: repository.recorded_ids(tx, [ROW]), (BY_KEY,)),
    "days of a project": (days_of_project, (DAYS,)),
    "costs of machines": (
        lambda tx: repository.costs_of_machines(tx, [OTHER], NOVEMBER),
        (BY_MACHINE,),
    ),
    "newest samples": (lambda tx: upkeep.newest_samples(tx, [PROJECT], "x"), (BY_PROJECT,)),
    "rows of a year ago": (lambda tx: upkeep.count_usage(tx, NOVEMBER), (BY_TYPE,)),
    "audit of budgets": (
        lambda tx: auditing.used_differences(tx, SCOPE, None, 50),
        (BY_PROJECT, DAYS),
    ),
    "audit of days": (
        lambda tx: auditing.day_differences(tx, SCOPE, None, 50),
        (BY_PROJECT, DAYS),
    ),
    "audit of calls": (lambda tx: auditing.call_differences(tx, SCOPE, None, 50), (BY_PROJECT,)),
    "calls without rows": (
        lambda tx: rebuilding.calls_without_rows(tx, SCOPE, None, 50),
        (BY_PROJECT_OR_TYPE,),
    ),
    "rows of calls": (
        lambda tx: rebuilding.resources_with_rows(tx, SCOPE, [OTHER]),
        (BY_PROJECT,),
    ),
}


async def plan_of(db: Database, query: Query) -> str:
    """Return how the database would run the statements of a query, were a whole scan the last."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "resource_usage" in statement:
            seen.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        async with db.read() as tx:
            await query(tx)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert seen
    lines: list[str] = []
    async with db.engine.connect() as connection:
        if db.dialect.name == "postgresql":
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
            # Of a table that autovacuum has found empty any index would do.
            await connection.execute(
                text(
                    "UPDATE pg_class SET reltuples = -1, relpages = 0"
                    " WHERE relname LIKE 'resource_usage%' AND relkind = 'r'"
                )
            )
        for statement, parameters in seen:
            lines += await db.dialect.explain(connection, statement, parameters)
    return "\n".join(lines)


@pytest.fixture
async def peopled(db: Database) -> Database:
    """Give a database in which the task has an execution: of none, there is nothing to look for."""
    async with db.write() as tx:
        await add_project(tx, id=PROJECT)
        await add_task(tx, PROJECT, id=TASK)
        await add_execution(tx, TASK, (await add_worker(tx)).id)
    return db


@pytest.fixture
async def pg(databases: TestDatabases) -> AsyncGenerator[Database]:
    """Give a clean PostgreSQL database with the schema."""
    database = open_database(await databases.postgresql())
    yield database
    await database.close()


@pytest.mark.parametrize("name", QUERIES)
async def test_a_query_on_usage_goes_through_an_index(peopled: Database, name: str) -> None:
    query, indexes = QUERIES[name]
    told = await plan_of(peopled, query)
    for sqlite, postgresql in indexes:
        assert (sqlite if peopled.dialect.name == "sqlite" else postgresql) in told, told
    # A partition is scanned whole by none of them, nor is the table.
    assert "Seq Scan on resource_usage" not in told
    assert "SCAN resource_usage\n" not in f"{told}\n"


@pytest.mark.req("S0-33")
async def test_queries_of_a_time_read_the_partitions_of_that_time_only(pg: Database) -> None:
    async with pg.write() as tx:
        for month in range(1, 13):
            await tx.session.execute(
                text("SELECT create_monthly_partition('resource_usage', :day)"),
                {"day": date(2026, month, 1)},
            )
    for name in (
        "report of a project",
        "samples sent again",
        "audit of budgets",
        "audit of days",
        "audit of calls",
    ):
        told = await plan_of(pg, QUERIES[name][0])
        assert "resource_usage_2026_11" in told, name
        assert not any(f"resource_usage_2026_{month:02}" in told for month in range(1, 11)), name
    old = await plan_of(pg, QUERIES["rows of a year ago"][0])
    assert "resource_usage_2026_10" in old
    assert "resource_usage_2026_11" not in old


async def test_the_days_that_are_summed_up_again_read_one_day(db: Database) -> None:
    async def sum_up(_tx: ReadTx) -> None:
        async with db.write() as tx:
            await rebuilding.sum_up_days(tx, [{**ROW, "amount": Decimal(1)}])

    told = await plan_of(db, sum_up)
    assert BY_PROJECT_OR_TYPE[0 if db.dialect.name == "sqlite" else 1] in told, told
