"""Queries on executions, on the lines that they log, and on what their agents and tools did."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.work.models import (
    AgentExecution,
    Execution,
    ExecutionLog,
    Task,
    ToolExecution,
)


@dataclass(frozen=True)
class LineFilter:
    """Which lines of a log are wanted; what is empty leaves none out."""

    levels: Collection[str] = ()
    kinds: Collection[str] = ()
    events: Collection[str] = ()
    stream: str = ""
    search: str = ""
    since: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions on a line."""
        kind = ExecutionLog.metadata_["kind"].as_string()
        details = ExecutionLog.metadata_["details"]
        found: list[ColumnElement[bool]] = []
        if self.levels:
            found.append(ExecutionLog.level.in_(self.levels))
        if self.kinds:
            found.append(kind.in_(self.kinds))
        if self.events:
            found.append(details["event"].as_string().in_(self.events))
        if self.stream:
            found.append(details["stream"].as_string() == self.stream)
        if self.search:
            message = func.lower(ExecutionLog.message)
            found.append(message.contains(self.search.lower(), autoescape=True))
        if self.since is not None:
            found.append(ExecutionLog.logged_at >= self.since)
        return found


async def lines_after(
    tx: ReadTx | WriteTx, execution_id: uuid.UUID, seq: int, limit: int, wanted: LineFilter
) -> tuple[Sequence[ExecutionLog], int]:
    """Return lines of an execution in order, those after `seq`, and how far was looked.

    Lines that are not wanted are passed over once: whoever goes on does so behind them.
    """
    conditions = wanted.conditions()
    of_execution = ExecutionLog.execution_id == execution_id
    newest = None
    if conditions:
        newest = await tx.session.scalar(select(func.max(ExecutionLog.seq)).where(of_execution))
    query = select(ExecutionLog).where(of_execution, ExecutionLog.seq > seq, *conditions)
    if newest is not None:
        query = query.where(ExecutionLog.seq <= newest)
    rows = (await tx.session.scalars(query.order_by(ExecutionLog.seq).limit(limit))).all()
    if newest is not None and len(rows) < limit:
        return rows, max(seq, newest)
    return rows, rows[-1].seq if rows else seq


async def executions_between(
    tx: ReadTx | WriteTx, low: uuid.UUID, high: uuid.UUID
) -> Sequence[Execution]:
    """Return at most two executions whose ids lie in a range."""
    query = select(Execution).where(Execution.id.between(low, high)).limit(2)
    return (await tx.session.scalars(query)).all()


async def list_executions(
    tx: ReadTx,
    *,
    task_id: uuid.UUID | None,
    project_id: uuid.UUID | None,
    statuses: Sequence[str],
    after: tuple[datetime, uuid.UUID] | None,
    limit: int,
) -> Sequence[Execution]:
    """Return executions, the newest first, those after the given place."""
    query = select(Execution).order_by(Execution.started_at.desc(), Execution.id).limit(limit)
    if task_id is not None:
        query = query.where(Execution.task_id == task_id)
    if project_id is not None:
        query = query.join(Task, Task.id == Execution.task_id).where(Task.project_id == project_id)
    if statuses:
        query = query.where(Execution.status.in_(statuses))
    if after is not None:
        time, last_id = after
        query = query.where(
            or_(
                Execution.started_at < time,
                (Execution.started_at == time) & (Execution.id > last_id),
            )
        )
    return (await tx.session.scalars(query)).all()


async def agent_runs(tx: ReadTx | WriteTx, execution_id: uuid.UUID) -> Sequence[AgentExecution]:
    """Return the runs of agents of an execution; calls of models that were kept are none."""
    query = (
        select(AgentExecution)
        .where(
            AgentExecution.task_execution_id == execution_id,
            AgentExecution.metadata_["kind"].as_string() == "run",
        )
        .order_by(AgentExecution.created_at, AgentExecution.id)
    )
    return (await tx.session.scalars(query)).all()


async def tool_calls(
    tx: ReadTx | WriteTx,
    correlation_id: str,
    *,
    source: str = "",
    after: tuple[datetime, uuid.UUID] | None = None,
    limit: int,
) -> Sequence[ToolExecution]:
    """Return tool calls of an execution, the oldest first, those after the given place."""
    query = select(ToolExecution).where(ToolExecution.correlation_id == correlation_id)
    query = query.order_by(ToolExecution.created_at, ToolExecution.id).limit(limit)
    if source:
        query = query.where(ToolExecution.metadata_["source"].as_string() == source)
    if after is not None:
        time, last_id = after
        query = query.where(
            or_(
                ToolExecution.created_at > time,
                (ToolExecution.created_at == time) & (ToolExecution.id > last_id),
            )
        )
    return (await tx.session.scalars(query)).all()


async def tool_calls_of(tx: WriteTx, ids: Collection[uuid.UUID]) -> Sequence[ToolExecution]:
    """Return tool calls by their ids."""
    query = select(ToolExecution).where(ToolExecution.id.in_(ids))
    return (await tx.session.scalars(query)).all()
