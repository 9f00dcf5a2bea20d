"""Hot work in the thread of the connection."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal

import pytest
from sqlalchemy import insert, select

from autovibe.db import Database, WriteTx
from autovibe.db.errors import UniqueViolationError
from autovibe.db.in_place import run_in_place
from autovibe.domains.projects.models import Project


async def _add(tx: WriteTx, name: str) -> None:
    await tx.session.execute(insert(Project).values(name=name, greediness=Decimal("0.50")))


async def _names(tx: WriteTx) -> list[str]:
    return list(await tx.session.scalars(select(Project.name).order_by(Project.name)))


async def test_hot_work_is_part_of_the_transaction_that_it_was_given(db: Database) -> None:
    async with db.write() as tx:
        await _add(tx, "a")
        seen = await run_in_place(tx, _names)
        await run_in_place(tx, lambda hot: _add(hot, "b"))
        after = await _names(tx)

    async with db.read() as tx:
        committed = list(await tx.session.scalars(select(Project.name).order_by(Project.name)))
    assert (seen, after, committed) == (["a"], ["a", "b"], ["a", "b"])


async def test_hot_work_is_undone_with_its_transaction(db: Database) -> None:
    async def add_and_fail() -> None:
        async with db.write() as tx:
            await run_in_place(tx, lambda hot: _add(hot, "a"))
            raise LookupError

    with pytest.raises(LookupError):
        await add_and_fail()
    async with db.write() as tx:
        assert await run_in_place(tx, _names) == []


async def test_errors_of_the_database_are_typed_and_leave_the_connection_usable(
    db: Database,
) -> None:
    async def twice(hot: WriteTx) -> None:
        await _add(hot, "a")
        await _add(hot, "a")

    async def add_twice() -> None:
        async with db.write() as tx:
            await run_in_place(tx, twice)

    with pytest.raises(UniqueViolationError) as error:
        await add_twice()
    async with db.write() as tx:
        await run_in_place(tx, lambda hot: _add(hot, "a"))

    assert error.value.constraint == "idx_projects_name"
    async with db.write() as tx:
        assert await run_in_place(tx, _names) == ["a"]
        found = await run_in_place(tx, _one)
    assert found == "a"


async def _one(hot: WriteTx) -> str | None:
    project = await hot.session.scalar(select(Project))
    assert project is not None
    again = await hot.session.get(Project, project.id)
    return again.name if again else None


async def test_hot_work_runs_in_one_piece_on_sqlite(db: Database) -> None:
    threads: set[int] = set()

    async def look(hot: WriteTx) -> None:
        threads.add(threading.get_ident())
        await _names(hot)
        threads.add(threading.get_ident())

    async with db.write() as tx:
        await run_in_place(tx, look)

    own_thread = threads == {threading.get_ident()}
    assert len(threads) == 1
    assert own_thread == (db.dialect.name == "postgresql")


async def test_hot_work_that_waits_for_something_else_is_a_mistake(db: Database) -> None:
    if db.dialect.name == "postgresql":
        return

    async def wait(hot: WriteTx) -> None:
        del hot
        await asyncio.sleep(0)

    async with db.write() as tx:
        with pytest.raises(RuntimeError, match="its own statements"):
            await run_in_place(tx, wait)
