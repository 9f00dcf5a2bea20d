"""Monthly partitions of usage, the queue of verifications, the summaries: PostgreSQL's own."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from autovibe.db import Database, open_database
from autovibe.testing import factories
from autovibe.testing.databases import TestDatabases


@pytest.fixture
async def pg(databases: TestDatabases) -> AsyncGenerator[Database, None]:
    """Give a clean PostgreSQL database with the schema."""
    database = open_database(await databases.postgresql())
    yield database
    await database.close()


async def run(database: Database, query: str, **values: Any) -> list[Any]:
    async with database.write() as tx:
        found = await tx.session.execute(text(query), values)
        return list(found.all()) if found.returns_rows else []  # pyright: ignore[reportAttributeAccessIssue]


async def make(database: Database, day: date) -> bool:
    query = "SELECT create_monthly_partition('resource_usage', :day)"
    return bool((await run(database, query, day=day))[0][0])


async def use(database: Database, *moments: datetime) -> uuid.UUID:
    """Insert one usage row of a new project for each moment."""
    async with database.write() as tx:
        project = await factories.add_project(tx)
        for moment in moments:
            await factories.add(
                tx,
                "resource_usage",
                project_id=project.id,
                resource_type="time",
                unit="minutes",
                amount=Decimal(1),
                recorded_at=moment,
            )
    return project.id


async def counts(database: Database) -> dict[str, int]:
    """Return how many rows each partition has."""
    query = "SELECT tableoid::regclass::text, count(*) FROM resource_usage GROUP BY 1"
    return dict(await run(database, query))


@pytest.mark.req("S0-11", "S0-31", "S0-79", "S0-112", "S1-38")
async def test_a_month_gets_its_partition_with_edges_in_utc(pg: Database) -> None:
    assert await make(pg, date(2026, 8, 17))
    assert not await make(pg, date(2026, 8, 1)), "there is one already"
    first = datetime(2026, 8, 1, tzinfo=UTC)
    last = datetime(2026, 8, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    instant = timedelta(microseconds=1)
    await use(pg, first - instant, first, last, last + instant)
    assert await counts(pg) == {"resource_usage_2026_08": 2, "resource_usage_default": 2}
    indexes = await run(
        pg, "SELECT indexdef FROM pg_indexes WHERE tablename = 'resource_usage_2026_08'"
    )
    for columns in ("(id, recorded_at)", "(project_id, recorded_at)", "(machine_id)"):
        assert any(columns in definition for (definition,) in indexes), columns


async def test_rows_that_came_before_their_partition_move_into_it(pg: Database) -> None:
    project = await use(pg, datetime(2026, 9, 30, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC))
    days_before = await run(pg, "SELECT * FROM resource_usage_daily ORDER BY usage_date")
    assert await make(pg, date(2026, 9, 1))
    assert await counts(pg) == {"resource_usage_2026_09": 1, "resource_usage_default": 1}
    # Moving is not using: no sum and no budget changes.
    assert await run(pg, "SELECT * FROM resource_usage_daily ORDER BY usage_date") == days_before
    # The rules of the whole table hold in the new part.
    await run(pg, "DELETE FROM projects WHERE id = :id", id=project)
    assert await counts(pg) == {}


async def test_two_who_make_the_same_partition_do_not_collide(pg: Database) -> None:
    made = await asyncio.gather(*(make(pg, date(2026, 12, 1)) for _ in range(6)))
    assert sorted(made) == [False] * 5 + [True]


@pytest.mark.req("S0-33", "S0-81", "S2-14")
async def test_a_range_of_time_reads_its_partitions_only(pg: Database) -> None:
    for month in range(1, 13):
        await make(pg, date(2026, month, 1))
    project = await use(pg, datetime(2026, 5, 5, tzinfo=UTC))
    async with pg.read() as tx:
        plan = await tx.session.execute(
            text(
                "EXPLAIN (FORMAT JSON) SELECT sum(amount) FROM resource_usage"
                " WHERE project_id = :project AND recorded_at >= :since AND recorded_at < :until"
            ),
            {
                "project": project,
                "since": datetime(2026, 5, 1, tzinfo=UTC),
                "until": datetime(2026, 6, 1, tzinfo=UTC),
            },
        )
        told = json.dumps(plan.scalar_one())
    assert "resource_usage_2026_05" in told
    assert not any(f"resource_usage_2026_{month:02}" in told for month in (4, 6, 7))


@pytest.mark.req("S1-84", "S1-85")
async def test_old_usage_goes_by_whole_months_and_what_is_left_row_by_row(pg: Database) -> None:
    for month in (1, 2, 3):
        await make(pg, date(2025, month, 1))
    moments = [datetime(2025, month, 10, tzinfo=UTC) for month in (1, 1, 2, 3)]
    moments += [datetime(2024, 6, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)]
    await use(pg, *moments)
    before = datetime(2025, 3, 15, tzinfo=UTC)
    gone = await run(pg, "SELECT cleanup_old_resource_usage(:before)", before=before)
    assert gone == [(5,)]
    assert await counts(pg) == {"resource_usage_default": 1}
    parts = await run(
        pg, "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent = 'resource_usage'::regclass ORDER BY 1"
    )  # fmt: skip
    assert parts == [("resource_usage_2025_03",), ("resource_usage_default",)]
    logged = await run(pg, "SELECT operation, affected_rows, status FROM maintenance_log")
    assert logged == [("cleanup_resource_usage", 5, "success")]


@pytest.mark.req("S0-124", "S1-81", "S1-82", "S1-83")
async def test_a_pending_checkpoint_waits_in_the_queue_until_it_is_verified(db: Database) -> None:
    async def queue() -> list[tuple[str, bool]]:
        rows = await run(db, "SELECT status, finished_at FROM checkpoint_verification_queue")
        return [(row[0], row[1] is not None) for row in rows]

    async with db.write() as tx:
        project = await factories.add_project(tx)
        pending = await factories.add_checkpoint(tx, project.id)
        now = pending.created_at
        await factories.add_checkpoint(
            tx, project.id, verification_status="verified", created_at=now, verified_at=now
        )
    assert await queue() == [("queued", False)]
    async with db.write() as tx:
        row = await tx.session.get_one(type(pending), pending.id)
        row.verification_status = "verified"
        row.verified_at = now
    assert await queue() == [("done", True)]


@pytest.mark.req("S0-122", "S0-123")
async def test_whoever_listens_is_told_of_a_pending_checkpoint(pg: Database) -> None:
    url = pg.engine.url
    listener = await asyncpg.connect(
        host=url.host, port=url.port, user=url.username, password=url.password,
        database=url.database,
    )  # fmt: skip
    heard: asyncio.Queue[str] = asyncio.Queue()
    await listener.add_listener(
        "checkpoint_verification", lambda *arguments: heard.put_nowait(arguments[3])
    )
    async with pg.write() as tx:
        project = await factories.add_project(tx)
        made = await factories.add_checkpoint(tx, project.id)
    told = json.loads(await asyncio.wait_for(heard.get(), 10))
    await listener.close()
    assert told["checkpoint_id"] == str(made.id)
    assert datetime.fromisoformat(told["created_at"]) == made.created_at


@pytest.mark.req("S0-110", "S0-111", "S1-76", "S2-14")
async def test_performance_of_machines_leaves_out_hubs_and_divides_by_nothing(
    db: Database,
) -> None:
    now = datetime.now(UTC)
    async with db.write() as tx:
        project = await factories.add_project(tx)
        for kind, status, error, minutes, usage, days in (
            ("aider", "terminated", None, 10, {"money": "1.5", "api_calls": "3"}, 1),
            ("aider", "terminated", "broke", 20, {"money": "0.5", "api_calls": "1"}, 1),
            ("aider", "working", None, None, {}, 1),
            ("aider", "terminated", None, 500, {}, 31),
            ("claude_code", "working", None, None, {"money": "not a number"}, 1),
            ("hub", "terminated", None, 1, {}, 1),
        ):
            spawned = now - timedelta(days=days)
            await factories.add_machine(
                tx,
                None if kind == "hub" else project.id,
                machine_type=kind,
                status=status,
                error_message=error,
                spawned_at=spawned,
                terminated_at=None if minutes is None else spawned + timedelta(minutes=minutes),
                resource_usage=usage,
                checkpoint_count=2,
            )
        if tx.dialect.name == "postgresql":
            refresh = "REFRESH MATERIALIZED VIEW CONCURRENTLY mv_machine_performance"
            await tx.session.execute(text(refresh))
    rows = await run(
        db,
        "SELECT machine_type, total_machines, avg_runtime_minutes, successful_count,"
        " success_rate_percent FROM mv_machine_performance ORDER BY machine_type",
    )
    scale = 1 if db.dialect.name == "postgresql" else 100
    found = [(*row[:4], None if row[4] is None else Decimal(row[4]) / scale) for row in rows]
    assert found == [("aider", 3, 15, 1, Decimal(50)), ("claude_code", 1, None, 0, None)]
    other = await run(
        db,
        "SELECT machine_type, total_machines, avg_runtime_minutes, successful_machines,"
        " success_rate_percent, avg_money_cost, avg_api_calls, avg_checkpoints_created"
        " FROM machine_performance_metrics ORDER BY machine_type",
    )
    whole = 1 if db.dialect.name == "postgresql" else 1_000_000
    told = [
        (
            *row[:4],
            Decimal(row[4]) / scale,
            *(None if n is None else Decimal(n) / whole for n in row[5:]),
        )
        for row in other
    ]
    assert told == [
        ("aider", 3, 15, 1, Decimal("33.33"), 1, 2, 2),
        ("claude_code", 1, None, 0, 0, None, None, 2),
    ]
