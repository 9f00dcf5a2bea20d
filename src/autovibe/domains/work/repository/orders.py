"""Queries on orders, and on what moves with them when they are claimed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, func, or_, select, text, update
from sqlalchemy.types import Uuid

from autovibe.db import ReadTx, WriteTx
from autovibe.db.types import UtcDateTime
from autovibe.domains.work.models import (
    Execution,
    QueueShare,
    Task,
    TaskStatus,
    WorkOrder,
    WorkOrderStatus,
)
from autovibe.domains.work.repository.claiming import Taken
from autovibe.kernel.ids import new_id

_ORDERS: Final[Any] = WorkOrder.__table__
_EXECUTIONS: Final[Any] = Execution.__table__
_EXECUTION: Final = (
    "id",
    "task_id",
    "worker_id",
    "work_order_id",
    "lease_generation",
    "attempt",
    "correlation_id",
    "status",
    "metrics",
    "started_at",
    "created_at",
    "updated_at",
)
_ACTIVATE: Final = text(
    "INSERT INTO worker_assignments (id, worker_id, work_order_id, status, lease_generation,"
    " assigned_at, created_at, updated_at)"
    " VALUES (:id, :worker, :order, 'active', :generation, :now, :now, :now)"
    " ON CONFLICT (worker_id, work_order_id) DO UPDATE SET status = 'active', completed_at = NULL,"
    " lease_generation = excluded.lease_generation, assigned_at = excluded.assigned_at,"
    " updated_at = excluded.updated_at"
).bindparams(
    bindparam("id", type_=Uuid()),
    bindparam("worker", type_=Uuid()),
    bindparam("order", type_=Uuid()),
    bindparam("now", type_=UtcDateTime()),
)


async def rooms_of_limited_projects(tx: WriteTx, queue_name: str) -> dict[uuid.UUID, int]:
    """Return how many more tasks may start of each project that has a limit, and lock it.

    Of two that claim at once the second one sees what the first has started.
    """
    shares = (
        select(QueueShare.project_id, QueueShare.max_running)
        .where(QueueShare.queue_name == queue_name, QueueShare.max_running.is_not(None))
        .order_by(QueueShare.project_id)
        .with_for_update(of=QueueShare)
    )
    limits = {row.project_id: row.max_running or 0 for row in await tx.session.execute(shares)}
    if not limits:
        return {}
    running_now = (
        select(Task.project_id, func.count().label("running"))
        .where(Task.project_id.in_(limits), Task.status == TaskStatus.IN_PROGRESS)
        .group_by(Task.project_id)
    )
    for row in await tx.session.execute(running_now):
        limits[row.project_id] -= row.running
    return limits


async def lock_queued_tasks(tx: WriteTx, task_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Task]:
    """Return, locked and as they are now, those tasks that wait for a worker."""
    query = (
        select(Task)
        .where(Task.id.in_(task_ids), Task.status == TaskStatus.QUEUED)
        .order_by(Task.id)
        .with_for_update(of=Task)
        .execution_options(populate_existing=True)
    )
    return {task.id: task for task in await tx.session.scalars(query)}


async def start_tasks(
    tx: WriteTx, task_ids: Sequence[uuid.UUID], worker_id: uuid.UUID, now: datetime
) -> None:
    """Give tasks to a worker; the rows that the session holds of them stay as they were read."""
    await tx.session.execute(
        update(Task)
        .where(Task.id.in_(task_ids))
        .values(
            status=TaskStatus.IN_PROGRESS,
            assigned_to=worker_id,
            started_at=func.coalesce(Task.started_at, now),
            updated_at=now,
        )
        .execution_options(synchronize_session=False)
    )


async def activate_assignments(
    tx: WriteTx, worker_id: uuid.UUID, orders: Sequence[Taken], now: datetime
) -> None:
    """Note that a worker holds orders; one that it held before is active again."""
    if not orders:
        return
    connection = await tx.session.connection()
    await connection.execute(
        _ACTIVATE,
        [
            {
                "id": new_id(),
                "worker": worker_id,
                "order": order.id,
                "generation": order.lease_generation,
                "now": now,
            }
            for order in orders
        ],
    )
    tx.stale("worker_assignments")


async def insert_executions(tx: WriteTx, executions: Sequence[Execution], now: datetime) -> None:
    """Insert executions; the objects are not the session's, and say what their rows do."""
    rows: list[dict[str, Any]] = []
    for execution in executions:
        execution.created_at = execution.updated_at = now
        rows.append({name: getattr(execution, name) for name in _EXECUTION})
    await tx.dialect.insert_bulk(tx.session, _EXECUTIONS, rows)
    tx.stale("executions")


async def attempts_of(tx: WriteTx, task_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Return the number of the newest attempt at each task that has any."""
    query = (
        select(Execution.task_id, func.max(Execution.attempt))
        .where(Execution.task_id.in_(task_ids))
        .group_by(Execution.task_id)
    )
    return {row[0]: row[1] for row in await tx.session.execute(query)}


async def insert_orders(tx: WriteTx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert orders, all of them in one statement where the database can."""
    await tx.dialect.insert_bulk(tx.session, _ORDERS, rows)
    tx.stale("work_orders")


async def lock_share(tx: WriteTx, project_id: uuid.UUID, queue_name: str) -> QueueShare:
    """Return, locked, what a project has of a queue; it is made when it is not there."""
    key = {"project_id": project_id, "queue_name": queue_name}
    query = select(QueueShare).filter_by(**key).with_for_update(of=QueueShare)
    share = (await tx.session.scalars(query)).one_or_none()
    if share is None:
        await tx.dialect.insert_or_ignore(tx.session, QueueShare, [{"id": new_id(), **key}])
        share = (await tx.session.scalars(query)).one()
    return share


async def next_due(tx: ReadTx, queue_name: str, now: datetime) -> datetime | None:
    """Return when the next order of a queue becomes due that is not due yet."""
    query = select(func.min(WorkOrder.available_at)).where(
        WorkOrder.queue_name == queue_name,
        WorkOrder.status == WorkOrderStatus.PENDING,
        WorkOrder.available_at > now,
    )
    return await tx.session.scalar(query)


async def find_order(tx: ReadTx, order_id: uuid.UUID) -> tuple[WorkOrder, Task] | None:
    """Return an order and its task."""
    query = (
        select(WorkOrder, Task)
        .join(Task, Task.id == WorkOrder.task_id)
        .where(WorkOrder.id == order_id)
    )
    found = (await tx.session.execute(query)).one_or_none()
    return None if found is None else (found[0], found[1])


async def list_orders(
    tx: ReadTx,
    *,
    statuses: Sequence[str],
    queue_name: str,
    project_id: uuid.UUID | None,
    after: tuple[datetime, uuid.UUID] | None,
    limit: int,
) -> Sequence[tuple[WorkOrder, Task]]:
    """Return orders with their tasks, the newest first, those after the given place."""
    query = (
        select(WorkOrder, Task)
        .join(Task, Task.id == WorkOrder.task_id)
        .where(Task.deleted_at.is_(None))
        .order_by(WorkOrder.enqueued_at.desc(), WorkOrder.id)
        .limit(limit)
    )
    if statuses:
        query = query.where(WorkOrder.status.in_(statuses))
    if queue_name:
        query = query.where(WorkOrder.queue_name == queue_name)
    if project_id is not None:
        query = query.where(Task.project_id == project_id)
    if after is not None:
        time, last_id = after
        query = query.where(
            or_(
                WorkOrder.enqueued_at < time,
                (WorkOrder.enqueued_at == time) & (WorkOrder.id > last_id),
            )
        )
    return [(order, task) for order, task in await tx.session.execute(query)]
