"""Queries on workers and on what they run."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.work.models import (
    Execution,
    ExecutionStatus,
    Worker,
)


async def find_worker_by_name(tx: ReadTx | WriteTx, name: str) -> Worker | None:
    """Return the oldest living worker of this name."""
    query = (
        select(Worker)
        .where(Worker.name == name, Worker.deleted_at.is_(None))
        .order_by(Worker.created_at, Worker.id)
        .limit(1)
    )
    return (await tx.session.scalars(query)).one_or_none()


async def find_workers_between(tx: ReadTx, low: uuid.UUID, high: uuid.UUID) -> Sequence[Worker]:
    """Return at most two workers whose ids lie in a range."""
    query = select(Worker).where(Worker.id.between(low, high), Worker.deleted_at.is_(None)).limit(2)
    return (await tx.session.scalars(query)).all()


async def list_workers(
    tx: ReadTx,
    statuses: Sequence[str],
    after: tuple[datetime, uuid.UUID] | None,
    limit: int,
) -> Sequence[Worker]:
    """Return workers, the newest first, those after the given place."""
    query = select(Worker).where(Worker.deleted_at.is_(None))
    query = query.order_by(Worker.created_at.desc(), Worker.id).limit(limit)
    if statuses:
        query = query.where(Worker.status.in_(statuses))
    if after is not None:
        time, last_id = after
        query = query.where(
            or_(Worker.created_at < time, (Worker.created_at == time) & (Worker.id > last_id))
        )
    return (await tx.session.scalars(query)).all()


async def running_of_worker(tx: ReadTx, worker_id: uuid.UUID) -> Sequence[Execution]:
    """Return the executions that a worker runs."""
    query = select(Execution).where(
        Execution.worker_id == worker_id, Execution.status == ExecutionStatus.RUNNING
    )
    return (await tx.session.scalars(query)).all()


async def running_of_task(tx: WriteTx, task_id: uuid.UUID) -> Sequence[Execution]:
    """Return, locked, the executions of a task that run."""
    query = (
        select(Execution)
        .where(Execution.task_id == task_id, Execution.status == ExecutionStatus.RUNNING)
        .with_for_update(of=Execution)
    )
    return (await tx.session.scalars(query)).all()
