"""Reading and ending what belongs to executions, in batches of any size."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import (
    BindParameter,
    Integer,
    String,
    Text,
    Update,
    and_,
    bindparam,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.types import Uuid

from autovibe.db import WriteTx
from autovibe.db.prepared import Prepared, Written
from autovibe.db.records import OutboxEvent
from autovibe.db.row_writes import InsertRows, Rows, UpdateRows, write_rows
from autovibe.db.types import UtcDateTime
from autovibe.domains.work.models import (
    AssignmentStatus,
    Execution,
    ExecutionStatus,
    Task,
    TaskDependency,
    TaskStatus,
    Worker,
    WorkerAssignment,
    WorkerStatus,
    WorkOrder,
    WorkOrderStatus,
)


class RunningExecution(NamedTuple):
    """What a report of an execution's end is judged by."""

    id: uuid.UUID
    work_order_id: uuid.UUID | None
    worker_id: uuid.UUID
    lease_generation: int
    status: ExecutionStatus
    started_at: datetime


class HeldOrder(NamedTuple):
    """The order of an execution, locked."""

    id: uuid.UUID
    task_id: uuid.UUID
    queue_name: str
    status: WorkOrderStatus
    lease_generation: int
    retry_count: int
    max_retries: int
    available_at: datetime
    route: str


class EndingTask(NamedTuple):
    """What the end of a task's execution depends on, locked."""

    id: uuid.UUID
    status: TaskStatus
    project_id: uuid.UUID | None
    result_checkpoint_id: uuid.UUID | None
    block_reason: str | None


async def read_executions(
    tx: WriteTx, execution_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, tuple[RunningExecution, uuid.UUID | None]]:
    """Return executions by id, each with the assignment of its worker to its order."""
    rows = await _READ_EXECUTIONS.rows(tx, {"ids": list(execution_ids)})
    return {row[0]: (RunningExecution(*row[:-1]), row[-1]) for row in rows}


async def read_orders(tx: WriteTx, order_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, HeldOrder]:
    """Return orders by id, locked in the order of their ids."""
    rows = await _READ_ORDERS.rows(tx, {"ids": list(order_ids)})
    return {row[0]: HeldOrder(*row) for row in rows}


async def read_tasks(tx: WriteTx, task_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, EndingTask]:
    """Return tasks by id, locked in the order of their ids."""
    rows = await _READ_TASKS.rows(tx, {"ids": list(task_ids)})
    return {row[0]: EndingTask(*row) for row in rows}


async def has_dependants(tx: WriteTx, task_ids: Sequence[uuid.UUID]) -> bool:
    """Return whether anything waits for one of these tasks."""
    return bool(await _DEPENDANTS.rows(tx, {"ids": list(task_ids)}))


async def write_completed(tx: WriteTx, ends: Sequence[CompletedEnd], now: datetime) -> None:
    """Write that executions have completed, and with them order, assignment and task.

    All of it, with the events, is one statement on PostgreSQL.
    """
    if not ends:
        return
    at = {"completed_at": now, "updated_at": now}
    await write_rows(
        tx,
        (
            _END_TASKS,
            Rows(
                {"id": [end.task_id for end in ends]},
                {"status": TaskStatus.COMPLETED, "assigned_to": None, **at},
            ),
        ),
        (
            _END_EXECUTIONS,
            Rows(
                {
                    "id": [end.execution_id for end in ends],
                    "exit_code": [end.exit_code for end in ends],
                    "metrics": [end.metrics for end in ends],
                    "duration_seconds": [end.duration_s for end in ends],
                },
                {"status": ExecutionStatus.COMPLETED, **at},
            ),
        ),
        (
            _END_ASSIGNMENTS,
            Rows(
                {"id": [end.assignment_id for end in ends]},
                {"status": AssignmentStatus.COMPLETED, **at},
            ),
        ),
        (
            _END_ORDERS,
            Rows(
                {"id": [end.order_id for end in ends]},
                {
                    "status": WorkOrderStatus.COMPLETED,
                    "error_message": None,
                    "lease_expires_at": None,
                    **at,
                },
            ),
        ),
        (
            _TELL,
            Rows(
                {
                    "payload": [
                        {"task_id": str(end.task_id), "status": TaskStatus.COMPLETED.value}
                        for end in ends
                    ]
                },
                {"topic": "tasks.ended", "created_at": now},
            ),
        ),
    )
    workers = {"ids": sorted({end.worker_id for end in ends}), "now": now}
    await _FREE[tx.dialect.name].rows(tx, workers)
    for table in ("tasks", "executions", "worker_assignments", "work_orders"):
        tx.stale(table)


class CompletedEnd(NamedTuple):
    """An execution that has completed, with what belongs to it."""

    execution_id: uuid.UUID
    order_id: uuid.UUID
    task_id: uuid.UUID
    assignment_id: uuid.UUID
    worker_id: uuid.UUID
    exit_code: int
    metrics: dict[str, Any]
    duration_s: int


async def complete_held(
    tx: WriteTx, held: Mapping[uuid.UUID, int], now: datetime
) -> set[uuid.UUID]:
    """Complete orders that are held under these generations; return those that are not.

    One statement for the batch. Whoever lost the lease changes nothing.
    """
    by_generation: dict[int, list[uuid.UUID]] = {}
    for order_id, generation in held.items():
        by_generation.setdefault(generation, []).append(order_id)
    ended: set[uuid.UUID] = set()
    for generation, ids in by_generation.items():
        rows = await _COMPLETE[tx.dialect.name].rows(
            tx, {"ids": ids, "generation": generation, "now": now}
        )
        ended.update(row[0] for row in rows)
    tx.stale("work_orders")
    return set(held) - ended


async def end_executions(tx: WriteTx, ends: Sequence[dict[str, Any]]) -> None:
    """Write the ends of executions."""
    await _many(tx, _END_EXECUTION, ends)


async def end_tasks(
    tx: WriteTx, ends: Sequence[tuple[Task, dict[str, Any]]], now: datetime
) -> None:
    """Write what tasks become; the objects say so, too, and have nothing left to be flushed."""
    await _many(
        tx,
        _END_TASK,
        [
            {"task": task.id, "now": now, **{f"new_{name}": value for name, value in new.items()}}
            for task, new in ends
        ],
    )
    for task, new in ends:
        for name, value in {**new, "updated_at": now}.items():
            set_committed_value(task, name, value)


async def end_assignments(tx: WriteTx, ends: Sequence[dict[str, Any]]) -> None:
    """Write the ends of the active assignments of workers to orders."""
    await _many(tx, _END_ASSIGNMENT, ends)


async def end_orders(tx: WriteTx, ends: Sequence[dict[str, Any]]) -> None:
    """Write what orders become; they hold no lease any more."""
    await _many(tx, _END_ORDER, ends)


async def free_workers(tx: WriteTx, worker_ids: Sequence[uuid.UUID]) -> None:
    """Make workers idle that were busy: each has a free slot now."""
    await tx.session.execute(
        update(Worker)
        .where(Worker.id.in_(worker_ids), Worker.status == WorkerStatus.BUSY)
        .values(status=WorkerStatus.IDLE)
        .execution_options(synchronize_session=False)
    )


async def _many(tx: WriteTx, statement: Update, rows: Sequence[dict[str, Any]]) -> None:
    # Not through the session: it would look for objects to change; nobody here holds any.
    connection = await tx.session.connection()
    await connection.execute(statement, list(rows))
    tx.stale(str(statement.table.description))


_IDS: Final = bindparam("ids", type_=Uuid(), expanding=True)
_READ_EXECUTIONS: Final = Prepared(
    select(
        Execution.id,
        Execution.work_order_id,
        Execution.worker_id,
        Execution.lease_generation,
        Execution.status,
        Execution.started_at,
        WorkerAssignment.id,
    )
    .outerjoin(
        WorkerAssignment,
        and_(
            WorkerAssignment.work_order_id == Execution.work_order_id,
            WorkerAssignment.worker_id == Execution.worker_id,
            WorkerAssignment.status == AssignmentStatus.ACTIVE,
        ),
    )
    .where(Execution.id.in_(_IDS))
)
_READ_ORDERS: Final = Prepared(
    select(
        WorkOrder.id,
        WorkOrder.task_id,
        WorkOrder.queue_name,
        WorkOrder.status,
        WorkOrder.lease_generation,
        WorkOrder.retry_count,
        WorkOrder.max_retries,
        WorkOrder.available_at,
        WorkOrder.route,
    )
    .where(WorkOrder.id.in_(_IDS))
    .order_by(WorkOrder.id),
    locks=WorkOrder,
)
_READ_TASKS: Final = Prepared(
    select(Task.id, Task.status, Task.project_id, Task.result_checkpoint_id, Task.block_reason)
    .where(Task.id.in_(_IDS))
    .order_by(Task.id),
    locks=Task,
)
_DEPENDANTS: Final = Prepared(
    select(TaskDependency.id).where(TaskDependency.depends_on_task_id.in_(_IDS)).limit(1)
)
_END_TASKS: Final = UpdateRows(cast("Any", Task.__table__))
_END_EXECUTIONS: Final = UpdateRows(cast("Any", Execution.__table__))
_END_ASSIGNMENTS: Final = UpdateRows(cast("Any", WorkerAssignment.__table__))
_END_ORDERS: Final = UpdateRows(cast("Any", WorkOrder.__table__))
_TELL: Final = InsertRows(cast("Any", OutboxEvent.__table__))
_FREE_SQL: Final = (
    "UPDATE workers SET status = 'idle', updated_at = :now WHERE status = 'busy' AND id"
)


def _free(ids: str, listed: BindParameter[Any]) -> Written:
    return Written(
        text(f"{_FREE_SQL} {ids}").bindparams(listed, bindparam("now", type_=UtcDateTime()))
    )


_FREE: Final = {
    "postgresql": _free("= ANY (:ids)", bindparam("ids", type_=ARRAY(Uuid()))),
    "sqlite": _free("IN :ids", bindparam("ids", type_=Uuid(), expanding=True)),
}
_COMPLETE_SQL: Final = (
    "UPDATE work_orders SET status = 'completed', completed_at = :now, lease_expires_at = NULL,"
    " error_message = NULL, updated_at = :now"
    " WHERE id {ids} AND lease_generation = :generation AND status = 'claimed' RETURNING id"
)


def _complete(ids: str, listed: BindParameter[Any]) -> Written:
    clause = text(_COMPLETE_SQL.replace("{ids}", ids)).bindparams(
        listed,
        bindparam("generation", type_=Integer()),
        bindparam("now", type_=UtcDateTime()),
    )
    return Written(clause.columns(id=Uuid()))


_COMPLETE: Final = {
    # One text however many there are: nothing is rendered and planned anew.
    "postgresql": _complete("= ANY (:ids)", bindparam("ids", type_=ARRAY(Uuid()))),
    "sqlite": _complete("IN :ids", bindparam("ids", type_=Uuid(), expanding=True)),
}
_END_EXECUTION: Final = (
    update(Execution.__table__)  # pyright: ignore[reportArgumentType]  # the table of a model is a table
    .where(Execution.__table__.c.id == bindparam("execution", type_=Uuid()))
    .values(
        status=bindparam("execution_status"),
        exit_code=bindparam("code", type_=Integer()),
        result_checkpoint_id=bindparam("checkpoint", type_=Uuid()),
        metrics=bindparam("told", type_=Execution.__table__.c.metrics.type),
        completed_at=bindparam("ended_at", type_=UtcDateTime()),
        duration_seconds=bindparam("lasted", type_=Integer()),
        updated_at=bindparam("ended_at", type_=UtcDateTime()),
    )
)
_END_TASK: Final = (
    update(Task.__table__)  # pyright: ignore[reportArgumentType]  # as above
    .where(Task.__table__.c.id == bindparam("task", type_=Uuid()))
    .values(
        status=bindparam("new_status"),
        assigned_to=bindparam("new_assigned_to", type_=Uuid()),
        result_checkpoint_id=bindparam("new_result_checkpoint_id", type_=Uuid()),
        block_reason=bindparam("new_block_reason", type_=Text()),
        completed_at=bindparam("new_completed_at", type_=UtcDateTime()),
        updated_at=bindparam("now", type_=UtcDateTime()),
    )
)
_END_ASSIGNMENT: Final = (
    update(WorkerAssignment.__table__)  # pyright: ignore[reportArgumentType]  # as above
    .where(
        WorkerAssignment.__table__.c.work_order_id == bindparam("order", type_=Uuid()),
        WorkerAssignment.__table__.c.worker_id == bindparam("worker", type_=Uuid()),
        WorkerAssignment.__table__.c.status == AssignmentStatus.ACTIVE,
    )
    .values(
        status=bindparam("assignment_status"),
        completed_at=bindparam("ended_at", type_=UtcDateTime()),
        updated_at=bindparam("ended_at", type_=UtcDateTime()),
    )
)
_END_ORDER: Final = (
    update(WorkOrder.__table__)  # pyright: ignore[reportArgumentType]  # as above
    .where(WorkOrder.__table__.c.id == bindparam("order", type_=Uuid()))
    .values(
        status=bindparam("order_status"),
        error_message=bindparam("error", type_=Text()),
        available_at=bindparam("due", type_=UtcDateTime()),
        retry_count=bindparam("retries", type_=Integer()),
        completed_at=bindparam("ended", type_=UtcDateTime()),
        route=bindparam("way", type_=String()),
        lease_expires_at=None,
    )
)
