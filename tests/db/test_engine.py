"""Opening databases, and their transactions."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import func, select, text

from autovibe.db import Database, ReadTx, WriteTx, open_database
from autovibe.db.errors import (
    DatabaseBusyError,
    DatabaseOpenError,
    DatabaseReadOnlyError,
    DatabaseUnavailableError,
    DatabaseUrlError,
)
from autovibe.db.records import AuditOutcome, AuditRecord, OutboxEvent
from autovibe.db.upgrade import ensure_schema
from autovibe.testing import factories
from autovibe.testing.databases import TestDatabases

Project = factories.model("projects")
# What the query cache tells other processes stands in the outbox too.
CREATED = select(OutboxEvent).where(OutboxEvent.topic == "project.created")
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class SteppedClock:
    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return 0.0


async def count(db: Database) -> int:
    async with db.read() as tx:
        return await tx.session.scalar(select(func.count()).select_from(Project)) or 0


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:////tmp/x.db", "sqlite+aiosqlite"),
        ("sqlite+aiosqlite:////tmp/x.db", "sqlite+aiosqlite"),
        ("postgresql://u:p@127.0.0.1:1/x", "postgresql+asyncpg"),
        ("postgresql+asyncpg://u:p@127.0.0.1:1/x", "postgresql+asyncpg"),
    ],
)
@pytest.mark.req("S0-05", "S3-01")
def test_a_url_gets_its_async_driver(url: str, driver: str) -> None:
    assert open_database(url).url.drivername == driver


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://h/x", "sqlite://", "sqlite:///:memory:", "postgresql://h:x/y"]
)
def test_a_url_of_no_use_is_refused(url: str) -> None:
    with pytest.raises(DatabaseUrlError) as caught:
        open_database(url)
    assert caught.value.exit_status == 2


@pytest.mark.req("S0-114", "S4-51")
async def test_the_pool_of_postgresql_has_the_sizes_of_the_sources() -> None:
    database = open_database("postgresql://u:p@127.0.0.1:1/x")
    pool = database.engine.sync_engine.pool
    assert (pool.size(), pool._max_overflow, pool._timeout, pool._recycle, pool._pre_ping) == (
        20,
        30,
        30,
        3600,
        True,
    )
    await database.close()


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    database = open_database("postgresql://u:p@127.0.0.1:1/x")
    with pytest.raises(DatabaseUnavailableError, match="cannot be reached"):
        async with database.read():
            pass
    with pytest.raises(DatabaseUnavailableError):
        await ensure_schema(database.engine)
    await database.close()


async def test_a_wrong_password_and_a_missing_database_are_told_apart(
    databases: TestDatabases,
) -> None:
    url = open_database(await databases.postgresql()).url
    for wrong, sentence in (
        (url.set(password="wrong"), "refused the user or password"),
        (url.set(database="nowhere"), "does not exist"),
    ):
        database = open_database(wrong.render_as_string(hide_password=False))
        with pytest.raises(DatabaseOpenError, match=sentence):
            async with database.write():
                pass
        await database.close()


async def test_a_sqlite_file_in_a_missing_directory_cannot_be_opened(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/none/x.db")
    with pytest.raises(DatabaseOpenError, match="its directory exists"):
        async with database.read():
            pass
    await database.close()


async def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"this is text, and long enough to be read as a header" * 20)
    database = open_database(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(DatabaseOpenError, match="no SQLite database"):
        await ensure_schema(database.engine)
    await database.close()


@pytest.mark.req("S0-02")
async def test_connections_speak_utc_and_have_their_settings(db: Database) -> None:
    async with db.write() as tx:
        if db.dialect.name == "postgresql":
            assert await tx.session.scalar(text("SHOW timezone")) == "UTC"
            assert await tx.session.scalar(text("SHOW jit")) == "off"
            assert int(await tx.session.scalar(text("SHOW server_version_num"))) >= 150_000
        else:
            values = [
                await tx.session.scalar(text(f"PRAGMA {name}"))
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
            assert values == ["wal", 2, 1, 5000]


async def test_a_write_commits_at_the_end_of_its_block(db: Database) -> None:
    async with db.write() as tx:
        await factories.add_project(tx)
        assert await count(db) == 0
    assert await count(db) == 1


async def test_an_error_rolls_the_block_back(db: Database) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - a transaction fails as a whole
        async with db.write() as tx:
            await factories.add_project(tx)
            raise ZeroDivisionError
    assert await count(db) == 0


async def test_a_task_cancelled_in_the_middle_leaves_nothing_and_blocks_nobody(
    db: Database,
) -> None:
    inside = asyncio.Event()

    async def hang() -> None:
        async with db.write() as tx:
            await factories.add_project(tx)
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with db.write() as tx:
        await factories.add_project(tx)
    assert await count(db) == 1


async def test_a_closed_connection_holds_no_lock_while_its_statements_live(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    first, second = open_database(url), open_database(url)
    await ensure_schema(first.engine)
    pooled = await first.engine.raw_connection()
    connection = cast("Any", pooled.driver_connection)
    await connection.execute("BEGIN IMMEDIATE")
    cursor = await connection.execute("SELECT name FROM sqlite_schema")
    await connection.close()
    async with second.write() as tx:
        await factories.add_project(tx)
    assert await count(second) == 1
    del cursor
    pooled.invalidate()
    await first.close()
    await second.close()


async def test_a_read_transaction_refuses_writes(db: Database) -> None:
    with pytest.raises(DatabaseReadOnlyError):
        async with db.read() as tx:
            await tx.session.execute(text("DELETE FROM projects"))
    async with db.write() as tx:
        await factories.add_project(tx)


async def test_a_read_transaction_sees_one_snapshot(db: Database) -> None:
    async with db.read() as tx:
        number = select(func.count()).select_from(Project)
        assert await tx.session.scalar(number) == 0
        async with db.write() as other:
            await factories.add_project(other)
        assert await tx.session.scalar(number) == 0
    assert await count(db) == 1


def test_reading_and_writing_are_distinct_types() -> None:
    assert issubclass(WriteTx, ReadTx)
    assert not hasattr(ReadTx, "emit")
    assert not hasattr(ReadTx, "audit")


async def test_writers_in_one_process_take_turns_and_lose_nothing(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx, metadata={"n": 0})

    async def raise_by_one() -> None:
        async with db.write() as tx:
            query = db.dialect.for_update(
                select(Project).where(Project.id == project.id), of=Project
            )
            found = (await tx.session.execute(query)).scalar_one()
            found.metadata_ = {"n": found.metadata_["n"] + 1}

    await asyncio.gather(*(raise_by_one() for _ in range(20)))
    async with db.read() as tx:
        assert (await tx.session.get_one(Project, project.id)).metadata_ == {"n": 20}


async def test_a_writer_of_another_process_is_waited_for(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    first, second = open_database(url), open_database(url)
    await ensure_schema(first.engine)
    started = asyncio.Event()

    async def wait_and_write() -> None:
        started.set()
        async with second.write() as tx:
            await factories.add_project(tx)

    async with first.write() as tx:
        waiting = asyncio.create_task(wait_and_write())
        await started.wait()
        await factories.add_project(tx)
    await waiting
    assert await count(first) == 2
    await first.close()
    await second.close()


async def test_a_database_that_stays_busy_is_reported_as_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autovibe.db.dialects.sqlite._PRAGMAS", ("PRAGMA busy_timeout=1",))
    monkeypatch.setattr("autovibe.db.engine._BUSY_PAUSE_S", 0.001)
    url = f"sqlite:///{tmp_path}/x.db"
    first, second = open_database(url), open_database(url)
    await ensure_schema(first.engine)
    async with first.write() as tx:
        await factories.add_project(tx)
        with pytest.raises(DatabaseBusyError) as caught:
            async with second.write():
                pass
        assert not second.dialect.is_retryable(caught.value)
    async with second.write() as tx:
        await factories.add_project(tx)
    await first.close()
    await second.close()


async def test_a_write_inside_a_write_is_a_defect_that_is_said_at_once(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/x.db")
    async with database.write():
        with pytest.raises(RuntimeError, match="inside another"):
            async with database.write():
                pass
    await database.close()


async def test_a_read_only_database_gives_a_clear_error(tmp_path: Path) -> None:
    await open_and_close(f"sqlite:///{tmp_path}/x.db")
    # Modes do not stop root, the open mode does.
    database = open_database(f"sqlite:///file:{tmp_path}/x.db?mode=ro&uri=true")
    with pytest.raises(DatabaseReadOnlyError, match="read-only"):
        async with database.write() as tx:
            await factories.add_project(tx)
    await database.close()


async def open_and_close(url: str) -> None:
    database = open_database(url)
    await ensure_schema(database.engine)
    await database.close()


async def test_times_come_from_the_injected_clock(database_url: str) -> None:
    clock = SteppedClock()
    database = open_database(database_url, clock=clock)
    async with database.write() as tx:
        project = await factories.add_project(tx)
        tx.emit("project.created", {"id": str(project.id)})
    assert (project.created_at, project.updated_at) == (START, START)
    clock.time += timedelta(hours=1)
    async with database.write() as tx:
        found = await tx.session.get_one(Project, project.id)
        found.description = "changed"
        await tx.session.flush()  # the time is set by the flush
        assert found.updated_at == clock.time
    async with database.read() as tx:
        found = await tx.session.get_one(Project, project.id)
        assert (found.created_at, found.updated_at) == (START, clock.time)
        event = (await tx.session.scalars(CREATED)).one()
        assert event.created_at == START
    await database.close()


async def test_events_and_audit_rows_stand_or_fall_with_the_change(db: Database) -> None:
    async with db.write() as tx:
        project = await factories.add_project(tx)
        tx.emit("project.created", {"id": str(project.id)})
        tx.audit(
            actor_type="user",
            actor_id="me",
            operation="CreateProject",
            resource_type="project",
            resource_id=project.id,
            request_id="r1",
            details={"name": project.name},
        )
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - a transaction fails as a whole
        async with db.write() as tx:
            tx.emit("never", {})
            tx.audit(actor_type="user", actor_id="me", operation="Never")
            raise ZeroDivisionError
    async with db.read() as tx:
        event = (await tx.session.scalars(CREATED)).one()
        record = (await tx.session.scalars(select(AuditRecord))).one()
    assert (event.id, event.topic, event.payload, event.relayed_at) == (
        1,
        "project.created",
        {"id": str(project.id)},
        None,
    )
    assert (record.outcome, record.resource_id) == (AuditOutcome.OK, str(project.id))
    assert record.details == {"name": project.name}
