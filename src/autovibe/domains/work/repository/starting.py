"""What a claim reads and writes beside the orders themselves, one statement for each batch."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Final, cast

from sqlalchemy import TextClause, bindparam, func, inspect, select, text, type_coerce
from sqlalchemy.types import Uuid

from autovibe.db import WriteTx
from autovibe.db.prepared import Prepared
from autovibe.db.row_writes import InsertRows, Rows, UpdateRows, write_rows
from autovibe.db.types import Json
from autovibe.domains.work.models import (
    AssignmentStatus,
    CapabilityLevel,
    Execution,
    Task,
    TaskStatus,
    Worker,
    WorkerAssignment,
    WorkerCapability,
    WorkerStatus,
)
from autovibe.kernel.ids import new_id

_TASKS: Final[Any] = Task.__table__
_TASK_NAMES: Final = tuple(attribute.key for attribute in inspect(Task).column_attrs)
_TASK_COLUMNS: Final = [getattr(Task, name) for name in _TASK_NAMES]
_WORKER: Final = Prepared(
    select(
        Worker.id,
        Worker.worker_type,
        Worker.status,
        Worker.max_concurrent_tasks,
        Worker.timeout_seconds,
        # Its secrets stay as they lie in the database.
        type_coerce(Worker.config, Json),
        Worker.last_heartbeat_at,
    ).where(Worker.id == bindparam("worker", type_=Uuid()), Worker.deleted_at.is_(None)),
    locks=Worker,
)
_CAPABILITIES: Final = Prepared(
    select(WorkerCapability.capability_name, WorkerCapability.capability_level).where(
        WorkerCapability.worker_id == bindparam("worker", type_=Uuid())
    )
)
_HELD: Final = Prepared(
    select(func.count()).where(
        WorkerAssignment.worker_id == bindparam("worker", type_=Uuid()),
        WorkerAssignment.status == AssignmentStatus.ACTIVE,
    )
)
_QUEUED: Final = Prepared(
    select(*_TASK_COLUMNS)
    .where(
        Task.id.in_(bindparam("ids", type_=Uuid(), expanding=True)),
        Task.status == TaskStatus.QUEUED,
    )
    .order_by(Task.id),
    locks=Task,
)
_ATTEMPTS: Final = Prepared(
    select(Execution.task_id, func.max(Execution.attempt))
    .where(Execution.task_id.in_(bindparam("ids", type_=Uuid(), expanding=True)))
    .group_by(Execution.task_id)
)


class _Activate(InsertRows):
    """INSERT of assignments; one that the worker held before is active again."""

    again = (
        " ON CONFLICT (worker_id, work_order_id) DO UPDATE SET status = 'active',"
        " completed_at = NULL, lease_generation = excluded.lease_generation,"
        " assigned_at = excluded.assigned_at, updated_at = excluded.updated_at"
    )

    def core(self) -> TextClause:
        columns = self.table.c
        names = ("id", "worker_id", "work_order_id", "lease_generation", "status", *_TIMES)
        marks = ", ".join(f":{name}" for name in names)
        sql = f"INSERT INTO worker_assignments ({', '.join(names)}) VALUES ({marks}){self.again}"  # noqa: S608 - names of our own columns
        return text(sql).bindparams(*(bindparam(name, type_=columns[name].type) for name in names))

    def sqlite(self, names: Sequence[str]) -> tuple[str, Sequence[str]]:
        sql, order = super().sqlite(names)
        return sql + self.again, order

    def postgresql(self, each: Sequence[str], same: Sequence[str], first: int) -> str:
        return super().postgresql(each, same, first) + self.again


_TIMES: Final = ("assigned_at", "created_at", "updated_at")
_ACTIVATE: Final = _Activate(cast("Any", WorkerAssignment.__table__))
_START: Final = UpdateRows(_TASKS)
_EXECUTE: Final = InsertRows(cast("Any", Execution.__table__))
_NOTE: Final = UpdateRows(cast("Any", Worker.__table__))


@dataclass
class Claimant:
    """The worker that claims, locked, and how many orders it holds."""

    id: uuid.UUID
    worker_type: str
    status: str
    max_concurrent_tasks: int
    timeout_seconds: int
    config: dict[str, Any]
    last_heartbeat_at: datetime | None
    capabilities: Mapping[str, CapabilityLevel]
    held: int


async def find_claimant(tx: WriteTx, worker_id: uuid.UUID) -> Claimant | None:
    """Return a registered worker, locked."""
    values = {"worker": worker_id}
    found = await _WORKER.rows(tx, values)
    if not found:
        return None
    capabilities = {
        name: CapabilityLevel(level) for name, level in await _CAPABILITIES.rows(tx, values)
    }
    held = (await _HELD.rows(tx, values))[0][0]
    worker: Any = found[0]
    return Claimant(*worker, capabilities=capabilities, held=held)


async def note_claimant(tx: WriteTx, claimant: Claimant, now: datetime) -> None:
    """Write that a worker was heard of, and whether it is busy."""
    each = {
        "id": [claimant.id],
        "status": [WorkerStatus(claimant.status)],
        "last_heartbeat_at": [claimant.last_heartbeat_at],
        "updated_at": [now],
    }
    await write_rows(tx, (_NOTE, Rows(each)))


async def lock_queued_tasks(tx: WriteTx, task_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Task]:
    """Return, locked and as they are now, those tasks that wait for a worker.

    They have what a task has, and belong to no session.
    """
    rows = await _QUEUED.rows(tx, {"ids": list(task_ids)})
    found = [SimpleNamespace(**dict(zip(_TASK_NAMES, row, strict=True))) for row in rows]
    return {task.id: cast("Task", task) for task in found}


async def attempts_of(tx: WriteTx, task_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Return the number of the newest attempt at each task that has any."""
    return {row[0]: row[1] for row in await _ATTEMPTS.rows(tx, {"ids": list(task_ids)})}


async def start(
    tx: WriteTx, tasks: Sequence[Task], executions: Sequence[Execution], now: datetime
) -> None:
    """Give tasks to the worker of their executions: tasks, assignments and executions."""
    if not executions:
        return
    same = executions[0]
    await write_rows(
        tx,
        (
            _START,
            Rows(
                {
                    "id": [task.id for task in tasks],
                    "started_at": [task.started_at or now for task in tasks],
                },
                {
                    "status": TaskStatus.IN_PROGRESS,
                    "assigned_to": same.worker_id,
                    "updated_at": now,
                },
            ),
        ),
        (
            _ACTIVATE,
            Rows(
                {
                    "id": [new_id() for _ in executions],
                    "work_order_id": [one.work_order_id for one in executions],
                    "lease_generation": [one.lease_generation for one in executions],
                },
                {
                    "worker_id": same.worker_id,
                    "status": AssignmentStatus.ACTIVE,
                    **dict.fromkeys(_TIMES, now),
                },
            ),
        ),
        (
            _EXECUTE,
            Rows(
                {
                    name: [getattr(one, name) for one in executions]
                    for name in (
                        "id",
                        "task_id",
                        "work_order_id",
                        "lease_generation",
                        "attempt",
                        "correlation_id",
                    )
                },
                {
                    "worker_id": same.worker_id,
                    "status": same.status,
                    "metrics": same.metrics,
                    **dict.fromkeys(("started_at", "created_at", "updated_at"), now),
                },
            ),
        ),
    )
    for table in ("tasks", "worker_assignments", "executions"):
        tx.stale(table)
