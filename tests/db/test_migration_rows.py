"""Revision 0002 keeps the rows of 0001, and goes back and forth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text

from autovibe.db import Database, open_database
from autovibe.db.upgrade import migrate
from autovibe.testing.every_table import add_one_of_each

OLD_ROWS = (
    "INSERT INTO projects (name, greediness, metadata) VALUES ('kept', 0, '{\"a\":[1]}')",
    (
        "INSERT INTO users (username, email, hashed_password, role)"
        " VALUES ('u', 'u@example.org', 'x', 'admin')"
    ),
    "INSERT INTO workers (name, worker_type, status) VALUES ('w', 'docs', 'idle')",
    (
        "INSERT INTO intelligent_machines (machine_type, project_id, worker_id)"
        " SELECT 'shell', projects.id, workers.id FROM projects, workers"
    ),
    (
        "INSERT INTO checkpoints (project_id, creating_machine_id, checkpoint_type)"
        " SELECT project_id, id, 'genesis' FROM intelligent_machines"
    ),
    "UPDATE intelligent_machines SET parent_checkpoint_id = (SELECT id FROM checkpoints)",
    (
        "INSERT INTO tasks (project_id, title, task_type, permission_level, created_by)"
        " SELECT projects.id, 't', 'docs', 'supervised', users.id FROM projects, users"
    ),
    "INSERT INTO work_orders (task_id, queue_name, payload) SELECT id, 'default', '{}' FROM tasks",
    (
        "INSERT INTO executions (task_id, worker_id, correlation_id)"
        " SELECT tasks.id, workers.id, 'c' FROM tasks, workers"
    ),
)
KEPT = (
    "projects",
    "users",
    "workers",
    "intelligent_machines",
    "checkpoints",
    "tasks",
    "work_orders",
    "executions",
    "exchange_rates",
)


async def rows_of(database: Database) -> dict[str, Sequence[Any]]:
    async with database.engine.connect() as connection:
        return {
            table: [tuple(row) for row in await connection.execute(text(f"SELECT * FROM {table}"))]
            for table in KEPT
        }


async def move(database: Database, target: str) -> None:
    async with database.engine.begin() as connection:
        await connection.run_sync(migrate, target)
    await database.engine.dispose()  # its connections know the tables as they were


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


@pytest.mark.req("S4-50")
async def test_rows_of_the_first_revision_outlive_the_way_up_down_and_up(
    empty_database_url: str,
) -> None:
    database = open_database(empty_database_url)
    await move(database, "0001")
    async with database.engine.begin() as connection:
        for statement in OLD_ROWS:
            await connection.execute(text(statement))
    before = await rows_of(database)
    assert all(len(rows) == 1 for rows in before.values())
    for target in ("0002", "-0001", "0002", "head", "-0001", "head"):
        await move(database, target)
        after = await rows_of(database)
        for table in KEPT:
            old = [row[: len(before[table][0])] for row in after[table]]
            assert old == before[table], (target, table)
    async with database.engine.connect() as connection:
        assert "hub_experiments" in await connection.run_sync(tables)
    await database.close()


async def test_full_tables_can_be_left_behind(empty_database_url: str) -> None:
    database = open_database(empty_database_url)
    await move(database, "head")
    async with database.write() as tx:
        await add_one_of_each(tx)
    await move(database, "-0001")
    async with database.engine.connect() as connection:
        left = await connection.run_sync(tables)
        assert "projects" in left
        assert not left & {"hub_instances", "chat_messages", "products", "approval_requests"}
        assert await connection.scalar(text("SELECT count(*) FROM tasks")) == 2
    await move(database, "base")
    async with database.engine.connect() as connection:
        assert await connection.run_sync(tables) == {"alembic_version"}
    await database.close()
