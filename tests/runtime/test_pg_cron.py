"""pg_cron runs in our place what is one statement. Needs a PostgreSQL that has it.

    AUTOVIBE_TEST_POSTGRESQL_BIN=/usr/lib/postgresql/15/bin \\
    AUTOVIBE_TEST_POSTGRESQL_SETTINGS="shared_preload_libraries=pg_cron" \\
    make test-long ARGS="-k pg_cron"
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from maintaining import scheduler_of
from plane import Plane, StillClock, open_plane
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from autovibe.db import open_database
from autovibe.db.engine import database_url
from autovibe.db.upgrade import ensure_schema
from autovibe.testing.databases import TestDatabases
from autovibe.v1 import maintenance_pb2

pytestmark = pytest.mark.long
OURS = {
    "refresh-project-summary",
    "refresh-machine-performance",
    "create-next-partition",
    "cleanup-resource-usage",
}


async def run(url: str, statement: str) -> Any:
    engine = create_async_engine(database_url(url), isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            result = await connection.execute(text(statement))
            return result.fetchall() if result.returns_rows else None
    finally:
        await engine.dispose()


@pytest.fixture
async def cron_plane(databases: TestDatabases, tmp_path: Path) -> AsyncGenerator[Plane, None]:
    empty = await databases.empty_postgresql()
    await databases.drop_postgresql(empty)
    # The extension can only be in the one database that the server was started with.
    url = make_url(empty).set(database="postgres").render_as_string(hide_password=False)
    ((there,),) = await run(
        url, "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_cron'"
    )
    ((loaded,),) = await run(url, "SHOW shared_preload_libraries")
    if not there or "pg_cron" not in loaded:
        pytest.skip("this PostgreSQL has no pg_cron; the first lines of this file say how")
    clock = StillClock()
    database = open_database(url, clock=clock)
    await ensure_schema(database.engine)
    await run(url, "CREATE EXTENSION pg_cron")
    yield open_plane(database, tmp_path / "plane", clock)
    await database.close()
    await run(url, "DROP EXTENSION pg_cron")
    await run(url, "DROP SCHEMA public CASCADE")
    await run(url, "CREATE SCHEMA public")


async def register(plane: Plane) -> set[str]:
    answer = await plane.services.maintenance.register_jobs(maintenance_pb2.RegisterJobsRequest())
    return set(answer.jobs)


CRON = "SELECT jobname, schedule, command FROM cron.job ORDER BY jobname"


@pytest.mark.req("S0-109", "S1-75")
async def test_pg_cron_has_the_jobs_once_and_our_scheduler_leaves_them_to_it(
    cron_plane: Plane, tmp_path: Path
) -> None:
    plane = cron_plane
    assert await register(plane) == OURS
    first = await plane.rows(CRON)
    assert await register(plane) == OURS
    assert await plane.rows(CRON) == first
    assert {row[0] for row in first} == OURS

    scheduler = scheduler_of(plane, tmp_path)
    assert {job.name for job in await scheduler.runner.jobs() if job.in_database} == OURS
    assert not OURS & {done.job for done in await scheduler.run_due()}

    async with plane.db.write() as tx:
        await tx.session.execute(
            text("SELECT cron.schedule('create-next-partition', '0 5 * * *', 'SELECT 1')")
        )
    assert await register(plane) == OURS
    assert await plane.rows(CRON) == first


async def test_what_is_registered_runs_and_its_row_tells_of_it(cron_plane: Plane) -> None:
    plane = cron_plane
    await register(plane)
    for name, _, command in await plane.rows(CRON):
        # The same text in the same way: one simple query, which is one transaction.
        async with plane.db.engine.connect() as connection:
            raw = await connection.get_raw_connection()
            await raw.driver_connection.execute(command)
        rows = await plane.rows(
            "SELECT status FROM maintenance_log WHERE operation = :name", name=name
        )
        assert rows == [("success",)], name
