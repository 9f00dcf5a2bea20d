"""Hot work in the thread of the connection."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal
from functools import partial

import pytest
from sqlalchemy import insert, select, text

from autovibe.db import Database, WriteTx, open_database
from autovibe.db.errors import DatabaseBusyError, UniqueViolationError
from autovibe.domains.projects.models import Project


async def _add(tx: WriteTx, name: str) -> None:
    await tx.session.execute(insert(Project).values(name=name, greediness=Decimal("0.50")))


async def _names(tx: WriteTx) -> list[str]:
    return list(await tx.session.scalars(select(Project.name).order_by(Project.name)))


async def test_hot_work_commits_by_itself(db: Database) -> None:
    await db.write_in_place(lambda tx: _add(tx, "a"))
    async with db.write() as tx:
        await _add(tx, "b")

    assert await db.write_in_place(_names) == ["a", "b"]
    async with db.read() as tx:
        assert list(await tx.session.scalars(select(Project.name).order_by(Project.name))) == [
            "a",
            "b",
        ]


async def test_hot_work_that_fails_leaves_nothing_and_a_usable_connection(db: Database) -> None:
    async def add_and_fail(tx: WriteTx) -> None:
        await _add(tx, "a")
        raise LookupError

    async def add_twice(tx: WriteTx) -> None:
        await _add(tx, "a")
        await _add(tx, "a")

    with pytest.raises(LookupError):
        await db.write_in_place(add_and_fail)
    with pytest.raises(UniqueViolationError) as error:
        await db.write_in_place(add_twice)

    assert error.value.constraint == "idx_projects_name"
    assert await db.write_in_place(_names) == []
    await db.write_in_place(lambda tx: _add(tx, "a"))
    assert await db.write_in_place(_one) == "a"


async def _one(tx: WriteTx) -> str | None:
    project = await tx.session.scalar(select(Project))
    assert project is not None
    again = await tx.session.get(Project, project.id)
    return again.name if again else None


async def test_hot_work_runs_in_one_piece_on_sqlite(db: Database) -> None:
    threads: set[int] = set()

    async def look(tx: WriteTx) -> None:
        threads.add(threading.get_ident())
        await _names(tx)
        threads.add(threading.get_ident())

    await db.write_in_place(look)

    assert len(threads) == 1
    assert (threads == {threading.get_ident()}) == (db.dialect.name == "postgresql")


async def test_hot_work_that_waits_for_something_else_is_a_mistake(db: Database) -> None:
    async def wait(tx: WriteTx) -> None:
        await _add(tx, "a")
        await asyncio.sleep(0)

    if db.dialect.name == "sqlite":
        with pytest.raises(RuntimeError, match="its own statements"):
            await db.write_in_place(wait)
        assert await db.write_in_place(_names) == []


async def test_hot_work_waits_its_turn_among_many_writers(db: Database) -> None:
    async def plain(name: str) -> None:
        async with db.write() as tx:
            await _add(tx, name)

    hot = [db.write_in_place(partial(_add, name=f"hot-{number}")) for number in range(8)]
    await asyncio.gather(*hot, *(plain(f"plain-{number}") for number in range(8)))

    assert len(await db.write_in_place(_names)) == 16


async def test_a_database_that_another_process_holds_is_busy_for_hot_work_too(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    if db.dialect.name != "sqlite":
        return
    monkeypatch.setattr("autovibe.db.engine._BUSY_PAUSE_S", 0.001)
    await db.write_in_place(lambda tx: _add(tx, "a"))
    other = open_database(str(db.url))

    async def no_patience(tx: WriteTx) -> None:
        await tx.session.execute(text("PRAGMA busy_timeout = 1"))

    await db.write_in_place(no_patience)
    async with other.write() as tx:
        await _add(tx, "b")
        with pytest.raises(DatabaseBusyError):
            await db.write_in_place(lambda hot: _add(hot, "c"))
    await other.close()

    assert await db.write_in_place(_names) == ["a", "b"]
