"""Queries on tasks, orders, assignments, executions and logs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    SQLColumnExpression,
    and_,
    case,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from autovibe.db import ReadTx, WriteTx
from autovibe.db.ordering import in_order
from autovibe.domains.work.models import (
    AssignmentStatus,
    Execution,
    ExecutionLog,
    ExecutionStatus,
    Task,
    TaskPriority,
    TaskStatus,
    Worker,
    WorkerAssignment,
    WorkerStatus,
    WorkOrder,
    WorkOrderStatus,
)

TASK_ORDERS: Final[Mapping[str, SQLColumnExpression[Any]]] = {
    "created_at": Task.created_at,
    "updated_at": Task.updated_at,
    "title": Task.title,
    "priority": case({level: level.rank for level in TaskPriority}, value=Task.priority),
}
"""What tasks can be sorted by."""


async def find_tasks_between(
    tx: ReadTx | WriteTx, low: uuid.UUID, high: uuid.UUID
) -> Sequence[Task]:
    """Return at most two tasks whose ids lie in a range."""
    query = select(Task).where(Task.id.between(low, high), Task.deleted_at.is_(None)).limit(2)
    return (await tx.session.scalars(query)).all()


async def list_tasks(
    tx: ReadTx | WriteTx,
    *,
    project_id: uuid.UUID | None,
    statuses: Sequence[str],
    labels: Mapping[str, str],
    ready_at: datetime | None,
    order_by: str,
    after: tuple[Any, uuid.UUID] | None,
    limit: int,
) -> Sequence[Task]:
    """Return tasks in an order, those after the given place.

    Args:
        tx: any.
        project_id: only of this project.
        statuses: only those in one of these.
        labels: only those with all of these.
        ready_at: only those that were ready to run at this time.
        order_by: one of `TASK_ORDERS`, with a dash in front to turn it round.
        after: value in this order and id of the last one seen.
        limit: how many at most.
    """
    query = in_order(
        select(Task).where(Task.deleted_at.is_(None)).limit(limit),
        TASK_ORDERS[order_by.removeprefix("-")],
        Task.id,
        descending=order_by.startswith("-"),
        after=after,
    )
    if project_id is not None:
        query = query.where(Task.project_id == project_id)
    if statuses:
        query = query.where(Task.status.in_(statuses))
    if labels:
        query = query.where(tx.dialect.json_contains(Task.metadata_, {"labels": dict(labels)}))
    if ready_at is not None:
        query = query.where(ready_to_run(ready_at))
    return (await tx.session.scalars(query)).all()


def ready_to_run(now: datetime) -> ColumnElement[bool]:
    """Return the condition that a worker could claim a task now."""
    waiting = exists().where(
        WorkOrder.task_id == Task.id,
        WorkOrder.status == WorkOrderStatus.PENDING,
        WorkOrder.available_at <= now,
    )
    return and_(Task.status == TaskStatus.QUEUED, waiting)


async def lock_order(tx: WriteTx, order_id: uuid.UUID) -> WorkOrder | None:
    """Return one order, locked for the transaction."""
    query = select(WorkOrder).where(WorkOrder.id == order_id).with_for_update(of=WorkOrder)
    return (await tx.session.scalars(query)).one_or_none()


async def prolong_lease(
    tx: WriteTx, order_id: uuid.UUID, generation: int, now: datetime, until: datetime
) -> bool:
    """Let a lease end later; return whether that generation still holds the order."""
    held = (
        update(WorkOrder)
        .where(
            WorkOrder.id == order_id,
            WorkOrder.lease_generation == generation,
            WorkOrder.status == WorkOrderStatus.CLAIMED,
        )
        .values(lease_expires_at=until, updated_at=now)
        .returning(WorkOrder.id)
        .execution_options(synchronize_session=False)
    )
    return (await tx.session.execute(held)).first() is not None


async def refresh_locked(tx: WriteTx, row: Task | WorkOrder) -> None:
    """Lock a row that was read before, and read it again as it is now."""
    await tx.session.refresh(row, with_for_update=True)


async def generation_of(tx: ReadTx | WriteTx, order_id: uuid.UUID) -> int | None:
    """Return the lease generation that an order has now."""
    return await tx.session.scalar(
        select(WorkOrder.lease_generation).where(WorkOrder.id == order_id)
    )


async def newest_order(tx: ReadTx | WriteTx, task_id: uuid.UUID) -> WorkOrder | None:
    """Return the newest order of a task."""
    query = (
        select(WorkOrder)
        .where(WorkOrder.task_id == task_id)
        .order_by(WorkOrder.enqueued_at.desc(), WorkOrder.id)
        .limit(1)
    )
    return (await tx.session.scalars(query)).one_or_none()


async def find_assignment(
    tx: WriteTx, worker_id: uuid.UUID, order_id: uuid.UUID
) -> WorkerAssignment | None:
    """Return the assignment of a worker to an order, of whatever status."""
    query = select(WorkerAssignment).where(
        WorkerAssignment.worker_id == worker_id, WorkerAssignment.work_order_id == order_id
    )
    return (await tx.session.scalars(query)).one_or_none()


async def count_active_assignments(tx: ReadTx | WriteTx, worker_id: uuid.UUID) -> int:
    """Return how many orders a worker holds."""
    query = select(func.count()).where(
        WorkerAssignment.worker_id == worker_id,
        WorkerAssignment.status == AssignmentStatus.ACTIVE,
    )
    return (await tx.session.scalar(query)) or 0


async def executions_of(tx: ReadTx | WriteTx, task_id: uuid.UUID) -> Sequence[Execution]:
    """Return the executions of a task, the first attempt first."""
    query = (
        select(Execution)
        .where(Execution.task_id == task_id)
        .order_by(Execution.attempt, Execution.started_at, Execution.id)
    )
    return (await tx.session.scalars(query)).all()


async def task_of_machine(tx: ReadTx | WriteTx, machine_id: uuid.UUID) -> Task | None:
    """Return the task that a machine worked on."""
    query = (
        select(Task)
        .join(Execution, Execution.task_id == Task.id)
        .where(Execution.machine_id == machine_id)
        .limit(1)
    )
    return (await tx.session.scalars(query)).one_or_none()


async def running_on(tx: ReadTx | WriteTx, machine_id: uuid.UUID) -> Sequence[Execution]:
    """Return the executions that run on a machine."""
    query = select(Execution).where(
        Execution.machine_id == machine_id, Execution.status == ExecutionStatus.RUNNING
    )
    return (await tx.session.scalars(query)).all()


async def running(tx: ReadTx | WriteTx) -> Sequence[Execution]:
    """Return the executions that run."""
    query = select(Execution).where(Execution.status == ExecutionStatus.RUNNING)
    return (await tx.session.scalars(query)).all()


async def running_over_lease(tx: ReadTx | WriteTx, now: datetime) -> Sequence[Execution]:
    """Return the executions that run though the lease of their order has expired."""
    query = (
        select(Execution)
        .join(WorkOrder, WorkOrder.id == Execution.work_order_id)
        .where(
            Execution.status == ExecutionStatus.RUNNING,
            WorkOrder.status == WorkOrderStatus.CLAIMED,
            WorkOrder.lease_expires_at < now,
        )
    )
    return (await tx.session.scalars(query)).all()


async def insert_logs(tx: WriteTx, execution_id: uuid.UUID, rows: Sequence[dict[str, Any]]) -> None:
    """Insert log lines that are not there yet, in one statement."""
    present = set(
        await tx.session.scalars(
            select(ExecutionLog.seq).where(
                ExecutionLog.execution_id == execution_id,
                ExecutionLog.seq.in_([row["seq"] for row in rows]),
            )
        )
    )
    fresh = [row for row in rows if row["seq"] not in present]
    if fresh:
        await tx.session.execute(insert(ExecutionLog).values(fresh))


async def count_overdue(tx: ReadTx, now: datetime) -> int:
    """Return how many orders wait that should have been claimed by now."""
    query = select(func.count()).select_from(WorkOrder).where(_overdue(now))
    return (await tx.session.scalar(query)) or 0


async def overdue_orders(tx: WriteTx, now: datetime, limit: int) -> Sequence[WorkOrder]:
    """Return, locked, orders that should have been claimed by now; those in use are skipped."""
    query = select(WorkOrder).where(_overdue(now)).order_by(WorkOrder.id).limit(limit)
    return (
        await tx.session.scalars(tx.dialect.for_update(query, WorkOrder, skip_locked=True))
    ).all()


async def running_unheld(tx: ReadTx, now: datetime) -> Sequence[tuple[Execution, WorkOrder | None]]:
    """Return executions that run though they do not hold their order, or its lease has expired."""
    query = (
        select(Execution, WorkOrder)
        .join(WorkOrder, WorkOrder.id == Execution.work_order_id, isouter=True)
        .where(
            Execution.status == ExecutionStatus.RUNNING,
            or_(
                WorkOrder.id.is_(None),
                WorkOrder.lease_generation != Execution.lease_generation,
                WorkOrder.status != WorkOrderStatus.CLAIMED,
                WorkOrder.lease_expires_at < now,
            ),
        )
        .order_by(Execution.id)
    )
    return [(execution, order) for execution, order in await tx.session.execute(query)]


async def count_silent_workers(tx: ReadTx, since: datetime) -> int:
    """Return how many workers were not heard of since a time, and hold no order."""
    query = select(func.count()).select_from(Worker).where(_silent(since))
    return (await tx.session.scalar(query)) or 0


async def silent_workers(tx: WriteTx, since: datetime, limit: int) -> Sequence[Worker]:
    """Return, locked, workers that were not heard of since a time, and hold no order."""
    query = select(Worker).where(_silent(since)).order_by(Worker.id).limit(limit)
    return (await tx.session.scalars(tx.dialect.for_update(query, Worker, skip_locked=True))).all()


def _overdue(now: datetime) -> ColumnElement[bool]:
    return and_(WorkOrder.status == WorkOrderStatus.PENDING, WorkOrder.expires_at <= now)


def _silent(since: datetime) -> ColumnElement[bool]:
    holding = select(WorkerAssignment.worker_id).where(
        WorkerAssignment.status == AssignmentStatus.ACTIVE
    )
    return and_(
        Worker.deleted_at.is_(None),
        Worker.status != WorkerStatus.OFFLINE,
        or_(Worker.last_heartbeat_at.is_(None), Worker.last_heartbeat_at < since),
        Worker.created_at < since,
        Worker.id.not_in(holding),
    )
