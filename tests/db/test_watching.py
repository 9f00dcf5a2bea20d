"""What is measured of a database: pools, statements, and slow ones with their plan."""

from __future__ import annotations

import asyncio
import logging
import re
from decimal import Decimal

import pytest
from sqlalchemy import insert, select, text

from autovibe.db import Database, open_database
from autovibe.db.errors import DatabaseBusyError
from autovibe.kernel.clock import SystemClock
from autovibe.kernel.database_settings import DatabaseSettings
from autovibe.kernel.errors import AutovibeError
from autovibe.testing import factories

Project = factories.model("projects")


class LeapingClock(SystemClock):
    """A clock on which whatever happens takes a second."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        self.at += 1.0
        return self.at


def opened(url: str, **settings: object) -> Database:
    return open_database(url, settings=DatabaseSettings(**settings), clock=LeapingClock())


def metric(database: Database, name: str) -> float:
    """Return a sample by its name with labels."""
    found = re.search(
        rf"^{re.escape(name)} (\S+)$", database.metrics.render().decode(), re.MULTILINE
    )
    return float(found[1]) if found else 0.0


async def slow_lines(database: Database, caplog: pytest.LogCaptureFixture) -> list[str]:
    await database._watch.close()
    return [record.getMessage() for record in caplog.records if "slow query" in record.message]


@pytest.mark.req("S3-107")
async def test_a_slow_query_is_logged_with_its_plan_and_without_its_values(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = opened(database_url, slow_query_s=0.5)
    with caplog.at_level(logging.WARNING, "autovibe.db.slow_queries"):
        async with database.read() as tx:
            query = select(Project.id).where(Project.name == "very-secret")
            assert (await tx.session.execute(query)).all() == []
        lines = await slow_lines(database, caplog)
    (line,) = [line for line in lines if "SELECT projects.id" in line]
    assert "1.000 s" in line
    assert "very-secret" not in line
    plan = line.splitlines()[1:]
    assert plan
    assert "projects" in plan[0]
    assert metric(database, "autovibe_db_slow_queries_total") >= 1
    await database.close()


async def test_the_plan_of_a_statement_that_writes_is_shown_and_it_is_not_run_again(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = opened(database_url, slow_query_s=0.5)
    with caplog.at_level(logging.WARNING, "autovibe.db.slow_queries"):
        async with database.write() as tx:
            await tx.session.execute(
                insert(Project).values(
                    name="a", greediness=Decimal("0.5"), metadata_={"k": "hidden"}
                )
            )
        async with database.write() as tx:
            await tx.session.execute(text("UPDATE projects SET description = 'blanked'"))
        await slow_lines(database, caplog)
        lines = await slow_lines(database, caplog)
    assert any("INSERT INTO projects" in line for line in lines)
    assert "hidden" not in "".join(lines)
    assert "blanked" not in "".join(lines)
    async with database.read() as tx:
        assert await tx.session.scalar(text("SELECT count(*) FROM projects")) == 1
    await database.close()


async def test_quick_queries_are_not_logged_and_0_logs_none(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "autovibe.db.slow_queries"):
        for threshold in (0.0, 1.5):
            database = opened(database_url, slow_query_s=threshold)
            async with database.read() as tx:
                await tx.session.execute(select(Project))
            assert await slow_lines(database, caplog) == []
            await database.close()


async def test_each_statement_is_counted_once(database_url: str) -> None:
    database = opened(database_url, slow_query_s=0.0)
    name = 'autovibe_db_query_seconds_count{verb="select"}'
    async with database.read() as tx:
        await tx.session.execute(select(Project))
        before = metric(database, name)
        await tx.session.execute(select(Project))
        await tx.session.execute(select(Project))
    assert metric(database, name) == before + 2
    await database.close()


async def test_a_failed_statement_is_counted_by_its_reason(database_url: str) -> None:
    database = opened(database_url)

    async def twice() -> None:
        async with database.write() as tx:
            for _ in range(2):
                await tx.session.execute(
                    insert(Project).values(name="same", greediness=Decimal("0.5"), metadata_={})
                )

    with pytest.raises(AutovibeError) as caught:
        await twice()
    name = f'autovibe_db_query_errors_total{{reason="{caught.value.reason}"}}'
    assert metric(database, name) == 1
    await database.close()


@pytest.mark.req("S0-114")
async def test_waits_and_timeouts_of_the_pool_are_counted(databases) -> None:
    url = await databases.postgresql()
    database = opened(url, pool_size=1, max_overflow=1, pool_timeout_s=0.05)
    assert metric(database, 'autovibe_db_pool_size{pool="write"}') == 1
    async with database.read(), database.read():
        assert metric(database, 'autovibe_db_pool_checked_out{pool="write"}') == 2
        assert metric(database, 'autovibe_db_pool_overflow{pool="write"}') == 1
        with pytest.raises(DatabaseBusyError, match="Every database connection is in use"):
            async with database.read():
                pass
    tries = metric(database, 'autovibe_db_pool_timeouts_total{pool="write"}')
    assert tries >= 1
    assert metric(database, 'autovibe_db_pool_waits_total{pool="write"}') == tries
    assert metric(database, 'autovibe_db_pool_wait_seconds_count{pool="write"}') == tries
    await database.close()


async def test_sqlite_reports_its_two_pools(tmp_path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/x.db")
    assert metric(database, 'autovibe_db_pool_size{pool="read"}') == 8
    assert metric(database, 'autovibe_db_pool_size{pool="write"}') == 1
    await database.close()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("timezone", "UTC"), ("jit", "off"), ("statement_timeout", "3s"), ("lock_timeout", "1500ms"),
     ("application_name", "autovibe")],
)  # fmt: skip
@pytest.mark.req("S2-09")
async def test_a_connection_of_postgresql_has_the_settings(databases, setting, value) -> None:
    url = await databases.postgresql()
    database = opened(url, statement_timeout_s=3, lock_timeout_s=1.5)
    async with database.read() as tx:
        assert await tx.session.scalar(text(f"SHOW {setting}")) == value
    await database.close()


async def test_a_statement_that_takes_too_long_is_ended(databases) -> None:
    database = opened(await databases.postgresql(), statement_timeout_s=0.05)
    with pytest.raises(DatabaseBusyError, match="took too long"):
        async with database.read() as tx:
            await tx.session.execute(text("SELECT pg_sleep(30)"))
    await database.close()


async def test_a_row_lock_is_waited_for_as_long_as_the_settings_say(databases) -> None:
    url = await databases.postgresql()
    holder, other = opened(url), opened(url, lock_timeout_s=0.05)
    async with holder.write() as tx:
        await factories.add_project(tx, name="held")
    change = text("UPDATE projects SET description = 'x'")

    async def wait() -> None:
        async with other.write() as tx:
            await tx.session.execute(change)

    async with holder.write() as tx:
        await tx.session.execute(change)
        with pytest.raises(DatabaseBusyError):
            await asyncio.wait_for(wait(), 60)
    for database in (holder, other):
        await database.close()
