"""Queries on orders, and on the shares of projects."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.types import Uuid

from autovibe.db import ReadTx, WriteTx
from autovibe.db.prepared import Prepared
from autovibe.domains.work.models import (
    QueueShare,
    Task,
    TaskStatus,
    WorkOrder,
    WorkOrderStatus,
)
from autovibe.kernel.ids import new_id

_ORDERS: Final[Any] = WorkOrder.__table__
_SHARES: Final = Prepared(
    select(QueueShare.project_id, QueueShare.max_running)
    .where(QueueShare.queue_name == bindparam("queue"), QueueShare.max_running.is_not(None))
    .order_by(QueueShare.project_id),
    locks=QueueShare,
)
_RUNNING: Final = Prepared(
    select(Task.project_id, func.count().label("running"))
    .where(
        Task.project_id.in_(bindparam("projects", type_=Uuid(), expanding=True)),
        Task.status == TaskStatus.IN_PROGRESS,
    )
    .group_by(Task.project_id)
)


async def rooms_of_limited_projects(tx: WriteTx, queue_name: str) -> dict[uuid.UUID, int]:
    """Return how many more tasks may start of each project that has a limit, and lock it.

    Of two that claim at once the second one sees what the first has started.
    """
    shares = await _SHARES.rows(tx, {"queue": queue_name})
    limits: dict[uuid.UUID, int] = {project_id: most or 0 for project_id, most in shares}
    if limits:
        for project_id, running in await _RUNNING.rows(tx, {"projects": list(limits)}):
            limits[project_id] -= running
    return limits


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
