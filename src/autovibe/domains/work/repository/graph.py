"""Queries on how tasks hang together."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import delete, exists, literal, or_, select, text

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.work.models import DependencyType, Task, TaskDependency, TaskStatus

WAITING: Final = "WAITING_FOR_DEPENDENCY"
"""Why a task is blocked whose blockers can still complete."""
STUCK: Final = "DEPENDENCY_"
"""How the reason begins of a task one of whose blockers has failed or was cancelled."""


class Blocker(NamedTuple):
    """A task that has not completed, and that another one waits for."""

    dependant_id: uuid.UUID
    id: uuid.UUID
    status: TaskStatus
    title: str


class Node(NamedTuple):
    """What a graph shows of a task."""

    id: uuid.UUID
    title: str
    status: TaskStatus
    block_reason: str | None
    parent_task_id: uuid.UUID | None
    priority: str


async def lock_graph(tx: WriteTx, project_id: uuid.UUID | None) -> None:
    """Let no one else add dependencies in a project until this transaction ends.

    Two that each add one half of a cycle would not see each other. On SQLite there is one writer.
    """
    if tx.dialect.name == "postgresql":
        await tx.session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"),
            {"key": f"task graph {project_id}"},
        )


async def lock_tasks(tx: WriteTx, task_ids: Collection[uuid.UUID]) -> list[Task]:
    """Return tasks, locked and as they are now, by id."""
    if not task_ids:
        return []
    query = select(Task).where(Task.id.in_(task_ids)).order_by(Task.id)
    locked = tx.dialect.for_update(query, Task).execution_options(populate_existing=True)
    return list((await tx.session.scalars(locked)).all())


async def lock_waiting_dependants(tx: WriteTx, task_ids: Collection[uuid.UUID]) -> list[Task]:
    """Return, locked and as they are now, the tasks that wait for these and do nothing else.

    PostgreSQL looks at a row again when it has waited for its lock: one that another blocker has
    let go meanwhile is not returned.
    """
    query = (
        select(Task)
        .where(
            exists().where(
                TaskDependency.task_id == Task.id,
                TaskDependency.depends_on_task_id.in_(task_ids),
                TaskDependency.dependency_type == DependencyType.BLOCKS,
            ),
            Task.status == TaskStatus.BLOCKED,
            or_(Task.block_reason == WAITING, Task.block_reason.startswith(STUCK, autoescape=True)),
            Task.deleted_at.is_(None),
        )
        .order_by(Task.id)
    )
    locked = tx.dialect.for_update(query, Task).execution_options(populate_existing=True)
    return list((await tx.session.scalars(locked)).all())


async def unfinished_below(tx: ReadTx, task_id: uuid.UUID, limit: int) -> list[uuid.UUID]:
    """Return some of the tasks directly below one that may go on."""
    query = (
        select(Task.id)
        .where(
            Task.parent_task_id == task_id,
            Task.status.not_in((TaskStatus.COMPLETED, TaskStatus.CANCELLED)),
            Task.deleted_at.is_(None),
        )
        .order_by(Task.id)
        .limit(limit)
    )
    return list(await tx.session.scalars(query))


async def levels_below(tx: ReadTx, task_id: uuid.UUID) -> list[str]:
    """Return the permission levels of the tasks directly below one that may go on."""
    query = (
        select(Task.permission_level)
        .where(
            Task.parent_task_id == task_id,
            Task.status.not_in((TaskStatus.COMPLETED, TaskStatus.CANCELLED)),
            Task.deleted_at.is_(None),
        )
        .distinct()
    )
    return list(await tx.session.scalars(query))


async def open_blockers(
    tx: ReadTx | WriteTx, task_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, list[Blocker]]:
    """Return for each task what it waits for that has not completed, the oldest first."""
    found: dict[uuid.UUID, list[Blocker]] = {task_id: [] for task_id in task_ids}
    if not found:
        return found
    query = (
        select(TaskDependency.task_id, Task.id, Task.status, Task.title)
        .join(Task, Task.id == TaskDependency.depends_on_task_id)
        .where(
            TaskDependency.task_id.in_(found),
            TaskDependency.dependency_type == DependencyType.BLOCKS,
            Task.status != TaskStatus.COMPLETED,
            Task.deleted_at.is_(None),
        )
        .order_by(TaskDependency.created_at, TaskDependency.id)
    )
    for row in await tx.session.execute(query):
        blocker = Blocker(*row)
        found[blocker.dependant_id].append(blocker)
    return found


async def blocks_below(
    tx: ReadTx | WriteTx, task_id: uuid.UUID
) -> dict[uuid.UUID, list[uuid.UUID]]:
    """Return what a task waits for, what that waits for, and so on, as edges."""
    reached = select(TaskDependency.depends_on_task_id.label("id")).where(
        TaskDependency.task_id == task_id, TaskDependency.dependency_type == DependencyType.BLOCKS
    )
    below = reached.cte("below", recursive=True)
    below = below.union(
        select(TaskDependency.depends_on_task_id)
        .join(below, TaskDependency.task_id == below.c.id)
        .where(TaskDependency.dependency_type == DependencyType.BLOCKS)
    )
    query = select(TaskDependency.task_id, TaskDependency.depends_on_task_id).where(
        or_(TaskDependency.task_id == task_id, TaskDependency.task_id.in_(select(below.c.id))),
        TaskDependency.dependency_type == DependencyType.BLOCKS,
    )
    edges: dict[uuid.UUID, list[uuid.UUID]] = {}
    for waiting, first in await tx.session.execute(query):
        edges.setdefault(waiting, []).append(first)
    return edges


async def find_dependency(
    tx: ReadTx | WriteTx, task_id: uuid.UUID, depends_on_task_id: uuid.UUID
) -> TaskDependency | None:
    """Return the dependency of one task on another."""
    query = select(TaskDependency).where(
        TaskDependency.task_id == task_id, TaskDependency.depends_on_task_id == depends_on_task_id
    )
    return (await tx.session.scalars(query)).one_or_none()


async def delete_dependency(tx: WriteTx, dependency_id: uuid.UUID) -> None:
    """Delete a dependency."""
    await tx.session.execute(delete(TaskDependency).where(TaskDependency.id == dependency_id))


async def list_dependencies(
    tx: ReadTx | WriteTx,
    task_id: uuid.UUID,
    after: tuple[datetime, uuid.UUID] | None,
    limit: int,
) -> Sequence[TaskDependency]:
    """Return the dependencies of a task and those on it, the oldest first."""
    query = (
        select(TaskDependency)
        .where(or_(TaskDependency.task_id == task_id, TaskDependency.depends_on_task_id == task_id))
        .order_by(TaskDependency.created_at, TaskDependency.id)
        .limit(limit)
    )
    if after is not None:
        time, last_id = after
        query = query.where(
            or_(
                TaskDependency.created_at > time,
                (TaskDependency.created_at == time) & (TaskDependency.id > last_id),
            )
        )
    return (await tx.session.scalars(query)).all()


async def ancestors(tx: ReadTx | WriteTx, task_id: uuid.UUID, limit: int) -> list[uuid.UUID]:
    """Return a task and those that it is a part of, the nearest first, at most so many."""
    line = (
        select(Task.id, Task.parent_task_id, literal(1).label("level"))
        .where(Task.id == task_id)
        .cte("line", recursive=True)
    )
    level = line.c.level
    line = line.union_all(
        select(Task.id, Task.parent_task_id, level + 1)
        .join(line, Task.id == line.c.parent_task_id)
        .where(level < limit)
    )
    return list(await tx.session.scalars(select(line.c.id).order_by(line.c.level)))


async def neighbours(tx: ReadTx, task_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return the tasks that depend on these, that these depend on, their parents and parts."""
    found: set[uuid.UUID] = set()
    edges = select(TaskDependency.task_id, TaskDependency.depends_on_task_id).where(
        or_(TaskDependency.task_id.in_(task_ids), TaskDependency.depends_on_task_id.in_(task_ids))
    )
    tree = select(Task.id, Task.parent_task_id).where(
        or_(Task.id.in_(task_ids), Task.parent_task_id.in_(task_ids)),
        Task.parent_task_id.is_not(None),
    )
    for query in (edges, tree):
        for one, other in await tx.session.execute(query):
            found |= {one, other}
    return found


async def nodes(
    tx: ReadTx,
    *,
    task_ids: Collection[uuid.UUID] | None = None,
    project_id: uuid.UUID | None = None,
    limit: int,
) -> list[Node]:
    """Return the tasks of these ids, or of a project, the oldest first."""
    query = (
        select(
            Task.id, Task.title, Task.status, Task.block_reason, Task.parent_task_id, Task.priority
        )
        .where(Task.deleted_at.is_(None))
        .order_by(Task.created_at, Task.id)
        .limit(limit)
    )
    if task_ids is not None:
        query = query.where(Task.id.in_(task_ids))
    if project_id is not None:
        query = query.where(Task.project_id == project_id)
    return [Node(*row) for row in await tx.session.execute(query)]


async def dependencies_between(
    tx: ReadTx, task_ids: Collection[uuid.UUID]
) -> Sequence[TaskDependency]:
    """Return the dependencies both of whose tasks are among these, the oldest first."""
    query = (
        select(TaskDependency)
        .where(
            TaskDependency.task_id.in_(task_ids), TaskDependency.depends_on_task_id.in_(task_ids)
        )
        .order_by(TaskDependency.created_at, TaskDependency.id)
    )
    return (await tx.session.scalars(query)).all()
