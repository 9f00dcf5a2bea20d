"""Queries on what a machine may see around its own task."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import or_, select

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.work.models import Execution, ExecutionStatus, Task, WorkOrder


async def generation_of(tx: ReadTx | WriteTx, execution_id: uuid.UUID) -> int | None:
    """Return the lease generation that the order of an execution has now."""
    query = (
        select(WorkOrder.lease_generation)
        .join(Execution, Execution.work_order_id == WorkOrder.id)
        .where(Execution.id == execution_id)
    )
    return await tx.session.scalar(query)


async def project_of(tx: ReadTx, task_id: uuid.UUID) -> uuid.UUID | None:
    """Return the project of a task."""
    return await tx.session.scalar(select(Task.project_id).where(Task.id == task_id))


async def part_ids(tx: ReadTx | WriteTx, task_id: uuid.UUID) -> Sequence[uuid.UUID]:
    """Return the ids of the direct parts of a task."""
    query = select(Task.id).where(Task.parent_task_id == task_id, Task.deleted_at.is_(None))
    return (await tx.session.scalars(query)).all()


async def parts_of(
    tx: ReadTx, task_id: uuid.UUID, after: tuple[datetime, uuid.UUID] | None, limit: int
) -> Sequence[Task]:
    """Return the direct parts of a task, the newest first, those after the given place."""
    query = select(Task).where(Task.parent_task_id == task_id, Task.deleted_at.is_(None))
    query = query.order_by(Task.created_at.desc(), Task.id).limit(limit)
    if after is not None:
        time, last_id = after
        query = query.where(
            or_(Task.created_at < time, (Task.created_at == time) & (Task.id > last_id))
        )
    return (await tx.session.scalars(query)).all()


async def machines_at_work(
    tx: ReadTx | WriteTx, task_ids: Collection[uuid.UUID]
) -> Sequence[uuid.UUID]:
    """Return the machines that work on some tasks."""
    query = select(Execution.machine_id).where(
        Execution.task_id.in_(task_ids),
        Execution.status == ExecutionStatus.RUNNING,
        Execution.machine_id.is_not(None),
    )
    return [one for one in await tx.session.scalars(query) if one is not None]
