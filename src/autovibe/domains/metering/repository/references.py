"""What the ledger reads of later domains: keys of tasks, work orders and executions, no more."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Final

from sqlalchemy import (
    BigInteger,
    Select,
    Uuid,
    bindparam,
    column,
    func,
    literal,
    select,
    table,
    text,
)

from autovibe.db import ReadTx, WriteTx
from autovibe.db.prepared import Prepared, driver_of

_TASKS: Final = table(
    "tasks", column("id", Uuid()), column("parent_task_id", Uuid()), column("project_id", Uuid())
)
_ORDERS: Final = table("work_orders", column("id", Uuid()), column("lease_generation"))
EXECUTIONS: Final = table("executions", column("id", Uuid()), column("task_id", Uuid()))
_GENERATIONS: Final = Prepared(
    select(_ORDERS.c.id, _ORDERS.c.lease_generation).where(
        _ORDERS.c.id.in_(bindparam("ids", type_=Uuid(), expanding=True))
    )
)


def _lines() -> Select[uuid.UUID, uuid.UUID]:
    line = (
        select(_TASKS.c.id.label("leaf_id"), _TASKS.c.id, _TASKS.c.parent_task_id)
        .where(_TASKS.c.id.in_(bindparam("ids", type_=Uuid(), expanding=True)))
        .cte("line", recursive=True)
    )
    line = line.union(
        select(line.c.leaf_id, _TASKS.c.id, _TASKS.c.parent_task_id).join(
            line, _TASKS.c.id == line.c.parent_task_id
        )
    )
    return select(line.c.leaf_id, line.c.id)


_LINES: Final = Prepared(_lines())


async def lock_quickly(tx: WriteTx) -> None:
    """Let this transaction wait two seconds for a lock, no more (decision D7)."""
    # Hot work has a short limit from its beginning.
    if tx.dialect.name == "postgresql" and driver_of(tx) is None:
        await tx.session.execute(text("SET LOCAL lock_timeout = '2s'"))


_SHARE_PROJECT: Final = Prepared(
    select(func.pg_advisory_xact_lock_shared(bindparam("key", type_=BigInteger())))
)
_LOCK_PROJECT: Final = Prepared(
    select(func.pg_advisory_xact_lock(bindparam("key", type_=BigInteger())))
)


async def keep_budgets_of(tx: WriteTx, project_ids: Collection[uuid.UUID]) -> None:
    """Let nobody add a budget to these projects until this transaction ends.

    What holds or records must call this first: a budget that it does not see yet would miss it. On
    SQLite nobody else writes in the meantime anyway.
    """
    if tx.dialect.name == "postgresql":
        for key in sorted(map(_lock_key, project_ids)):
            await _SHARE_PROJECT.rows(tx, {"key": key})


async def wait_for_calls_of(tx: WriteTx, project_id: uuid.UUID) -> None:
    """Wait until nobody who holds or records in a project is under way, and let nobody begin."""
    if tx.dialect.name == "postgresql":
        await _LOCK_PROJECT.rows(tx, {"key": _lock_key(project_id)})


def _lock_key(project_id: uuid.UUID) -> int:
    """Return half of an id; two projects of one key would wait for each other, no more."""
    return int.from_bytes(project_id.bytes[8:], signed=True)


async def lease_generations(tx: ReadTx, order_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Return the present lease generation of work orders."""
    if not order_ids:
        return {}
    found = await _GENERATIONS.rows(tx, {"ids": list(order_ids)})
    return {row[0]: row[1] for row in found}


async def task_lines(
    tx: ReadTx, task_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, frozenset[uuid.UUID]]:
    """Return for each task itself and all its ancestors."""
    if not task_ids:
        return {}
    lines: dict[uuid.UUID, set[uuid.UUID]] = {}
    for leaf_id, task_id in await _LINES.rows(tx, {"ids": list(task_ids)}):
        lines.setdefault(leaf_id, set()).add(task_id)
    return {leaf: frozenset(members) for leaf, members in lines.items()}


async def tasks_of_executions(
    tx: ReadTx, execution_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, uuid.UUID]:
    """Return the task of each execution that there is."""
    if not execution_ids:
        return {}
    query = select(EXECUTIONS.c.id, EXECUTIONS.c.task_id).where(EXECUTIONS.c.id.in_(execution_ids))
    return {row.id: row.task_id for row in await tx.session.execute(query)}


async def project_of_task(tx: ReadTx, task_id: uuid.UUID) -> uuid.UUID | None:
    """Return the project of a task; `None` when there is no such task, or it has none."""
    found = await tx.session.execute(select(_TASKS.c.project_id).where(_TASKS.c.id == task_id))
    return found.scalar_one_or_none()


async def tasks_above(tx: ReadTx, task_id: uuid.UUID) -> list[uuid.UUID]:
    """Return the tasks above a task, the nearest first."""
    line = (
        select(_TASKS.c.parent_task_id.label("id"), literal(1).label("height"))
        .where(_TASKS.c.id == task_id)
        .cte("above", recursive=True)
    )
    line = line.union_all(
        select(_TASKS.c.parent_task_id, line.c.height + 1).join(line, _TASKS.c.id == line.c.id)
    )
    query = select(line.c.id).where(line.c.id.is_not(None)).order_by(line.c.height)
    return list((await tx.session.execute(query)).scalars())


def subtree(task_id: uuid.UUID) -> Select[uuid.UUID]:
    """Return a query for a task and all tasks below it."""
    below = select(_TASKS.c.id).where(_TASKS.c.id == task_id).cte(recursive=True)
    below = below.union(select(_TASKS.c.id).join(below, _TASKS.c.parent_task_id == below.c.id))
    return select(below.c.id)
