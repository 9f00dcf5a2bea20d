"""Hot work on PostgreSQL goes past SQLAlchemy and still is a transaction like any other."""

from __future__ import annotations

import asyncio
import uuid
from datetime import date

import pytest
from sqlalchemy import bindparam, func, select, text

from autovibe.db import Database, WriteTx
from autovibe.db.errors import ForeignKeyViolationError
from autovibe.db.prepared import Prepared, driver_of
from autovibe.db.row_writes import InsertRows, Rows, write_rows
from autovibe.domains.metering.models import ResourceBudget
from autovibe.domains.projects.models import Project

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

PROJECTS = Project.__table__
ADD = InsertRows(PROJECTS)
COUNT = Prepared(select(func.count(PROJECTS.c.id)).where(PROJECTS.c.name == bindparam("name")))


async def add(tx: WriteTx, name: str = "one") -> None:
    await write_rows(tx, (ADD, Rows({"name": [name], "greediness": [0]})))


async def count(tx: WriteTx) -> int:
    return (await COUNT.rows(tx, {"name": "one"}))[0][0]


async def test_it_is_committed_and_its_connection_goes_back_when_idle(db: Database) -> None:
    await db.write_in_place(add)

    assert await db.write_in_place(count) == 1
    assert db.engine.pool.checkedout() == 1
    async with asyncio.timeout(10):
        while db.engine.pool.checkedout():  # noqa: ASYNC110 - a pool tells nobody
            await asyncio.sleep(0.01)
    assert await db.write_in_place(count) == 1


async def test_an_error_leaves_nothing_behind_and_the_connection_usable(db: Database) -> None:
    budgets = InsertRows(ResourceBudget.__table__)

    async def wrong(tx: WriteTx) -> None:
        await add(tx)
        of_nobody = {
            "resource_type": "money",
            "budget_period": "daily",
            "period_start": date(2026, 11, 25),
            "period_end": date(2026, 11, 25),
            "allocated_amount": 1,
            "unit": "CAD",
        }
        await write_rows(tx, (budgets, Rows({"project_id": [uuid.uuid4()]}, of_nobody)))

    with pytest.raises(ForeignKeyViolationError):
        await db.write_in_place(wrong)

    assert await db.write_in_place(count) == 0


async def test_a_connection_that_the_server_has_ended_is_replaced(db: Database) -> None:
    await db.write_in_place(add)
    async with db.write() as tx:
        await tx.session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )

    assert await db.write_in_place(count) == 1


async def test_work_that_needs_a_session_is_done_once_in_an_ordinary_transaction(
    db: Database,
) -> None:
    ways: list[bool] = []

    async def both(tx: WriteTx) -> None:
        ways.append(driver_of(tx) is not None)
        await add(tx)
        await tx.session.execute(text("SELECT 1"))

    await db.write_in_place(both)

    assert ways == [True, False]
    assert await db.write_in_place(count) == 1


async def test_work_that_is_given_up_writes_nothing_and_keeps_no_lock(db: Database) -> None:
    begun = asyncio.Event()

    async def endless(tx: WriteTx) -> None:
        await add(tx)
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(db.write_in_place(endless))
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    assert await db.write_in_place(count) == 0
