"""Queries on what waits for a person."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import exists, func, or_, select

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.work.models import (
    ApprovalKind,
    ApprovalRequest,
    ApprovalStatus,
    Task,
    TaskStatus,
    ToolExecution,
)


async def find_between(
    tx: ReadTx | WriteTx, low: uuid.UUID, high: uuid.UUID
) -> Sequence[ApprovalRequest]:
    """Return at most two requests whose ids lie in a range."""
    query = select(ApprovalRequest).where(ApprovalRequest.id.between(low, high)).limit(2)
    return (await tx.session.scalars(query)).all()


async def list_page(
    tx: ReadTx | WriteTx,
    *,
    statuses: Sequence[str],
    kinds: Sequence[str],
    project_id: uuid.UUID | None,
    task_id: uuid.UUID | None,
    after: tuple[datetime, uuid.UUID] | None,
    limit: int,
) -> Sequence[ApprovalRequest]:
    """Return requests, the oldest first, those after the given place.

    Args:
        tx: any.
        statuses: only those in one of these.
        kinds: only of these kinds, when there are any.
        project_id: only of tasks of this project.
        task_id: only of this task.
        after: creation time and id of the last one seen.
        limit: how many at most.
    """
    row = ApprovalRequest
    query = select(row).where(row.status.in_(statuses)).order_by(row.created_at, row.id)
    if kinds:
        query = query.where(row.kind.in_(kinds))
    if project_id is not None:
        query = query.where(row.task_id.in_(select(Task.id).where(Task.project_id == project_id)))
    if task_id is not None:
        query = query.where(row.task_id == task_id)
    if after is not None:
        time, last_id = after
        query = query.where(
            or_(row.created_at > time, (row.created_at == time) & (row.id > last_id))
        )
    return (await tx.session.scalars(query.limit(limit))).all()


async def lock(tx: WriteTx, approval_id: uuid.UUID) -> ApprovalRequest | None:
    """Return one request as it is now, locked for the transaction."""
    return await tx.session.get(
        ApprovalRequest, approval_id, with_for_update=True, populate_existing=True
    )


async def of_task(
    tx: ReadTx | WriteTx, task_id: uuid.UUID, kinds: Sequence[ApprovalKind] = ()
) -> Sequence[ApprovalRequest]:
    """Return the requests of a task, the newest first."""
    query = select(ApprovalRequest).where(ApprovalRequest.task_id == task_id)
    if kinds:
        query = query.where(ApprovalRequest.kind.in_(kinds))
    query = query.order_by(ApprovalRequest.created_at.desc(), ApprovalRequest.id.desc())
    return (await tx.session.scalars(query)).all()


async def open_of_execution(tx: WriteTx, execution_id: uuid.UUID) -> Sequence[ApprovalRequest]:
    """Return what an execution still asks for, locked."""
    query = select(ApprovalRequest).where(
        ApprovalRequest.execution_id == execution_id,
        ApprovalRequest.status == ApprovalStatus.OPEN,
    )
    return (await tx.session.scalars(tx.dialect.for_update(query, ApprovalRequest))).all()


async def tool_calls_of(
    tx: WriteTx, correlation_id: str, tool_use_id: str
) -> Sequence[ToolExecution]:
    """Return what was recorded of one call of a tool, by each of its sources."""
    query = select(ToolExecution).where(
        ToolExecution.correlation_id == correlation_id,
        tx.dialect.json_contains(ToolExecution.metadata_, {"tool_use_id": tool_use_id}),
    )
    return (await tx.session.scalars(query)).all()


async def overdue(tx: WriteTx, now: datetime, limit: int) -> Sequence[ApprovalRequest]:
    """Return open requests whose deadline has passed, locked, the oldest first."""
    query = (
        select(ApprovalRequest)
        .where(ApprovalRequest.status == ApprovalStatus.OPEN, ApprovalRequest.deadline_at <= now)
        .order_by(ApprovalRequest.deadline_at, ApprovalRequest.id)
        .limit(limit)
    )
    return (await tx.session.scalars(tx.dialect.for_update(query, ApprovalRequest))).all()


async def stranded(tx: WriteTx, reason: str, limit: int) -> Sequence[Task]:
    """Return tasks that are blocked for a reason although nothing that they asked is open.

    Only those that have begun: their machine was freed while they waited.
    """
    asks = exists().where(
        ApprovalRequest.task_id == Task.id, ApprovalRequest.status == ApprovalStatus.OPEN
    )
    query = (
        select(Task)
        .where(
            Task.status == TaskStatus.BLOCKED,
            Task.block_reason == reason,
            Task.started_at.is_not(None),
            ~asks,
        )
        .order_by(Task.id)
        .limit(limit)
    )
    return (await tx.session.scalars(tx.dialect.for_update(query, Task))).all()


async def count_overdue(tx: ReadTx | WriteTx, now: datetime) -> int:
    """Return how many open requests there are whose deadline has passed."""
    query = select(func.count()).where(
        ApprovalRequest.status == ApprovalStatus.OPEN, ApprovalRequest.deadline_at <= now
    )
    return await tx.session.scalar(query) or 0
