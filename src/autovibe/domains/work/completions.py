"""How executions end: order, assignment, task and worker move with them (schema.md, section 3)."""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from autovibe.db import WriteTx
from autovibe.db.hot_connections import NeedsSessionError
from autovibe.db.prepared import driver_of
from autovibe.domains.checkpoints import descends_from
from autovibe.domains.projects import advance_current_checkpoint, get_project
from autovibe.domains.work.enqueuing import queue_topic
from autovibe.domains.work.errors import InvalidTransitionError, LeaseLostError
from autovibe.domains.work.messages import column_value
from autovibe.domains.work.models import Task, TaskStatus, WorkOrderStatus
from autovibe.domains.work.repository import completing
from autovibe.domains.work.repository.completing import (
    CompletedEnd,
    HeldOrder,
    RunningExecution,
)
from autovibe.domains.work.repository.graph import lock_tasks
from autovibe.domains.work.routing import PARKED
from autovibe.domains.work.transitions import MOVES, Move, check_transition
from autovibe.domains.work.waiting import settle_dependants
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.protoconv import id_or_none
from autovibe.v1 import work_pb2

_FIRST_RETRY_S: Final = 10
_LONGEST_RETRY_S: Final = 3600
_JITTER: Final = 0.25
_BYTE: Final = 256


@dataclass(frozen=True)
class _End:
    """One report that is recorded, with all that it moves."""

    execution: RunningExecution
    order: HeldOrder
    task: Task
    move: Move
    report: work_pb2.FinishExecutionRequest


async def finish(tx: WriteTx, ctx: CallContext, request: work_pb2.FinishExecutionRequest) -> Task:
    """Record how an execution ended.

    Raises:
        LeaseLostError: the report comes under an old lease.
        InvalidTransitionError: the task has ended otherwise.
    """
    (verdict,) = await finish_many(tx, ctx, [request])
    if isinstance(verdict, AutovibeError):
        raise verdict
    return verdict


async def complete_many(
    tx: WriteTx, ctx: CallContext, reports: Sequence[work_pb2.FinishExecutionRequest]
) -> list[str | AutovibeError]:
    """Record how executions ended; return for each its task's status, or why it changed nothing.

    What has completed and moves nothing else (no result, nobody who waits) goes in a few
    statements for all of it, past the session.

    Raises:
        NeedsSessionError: something else is among them, and there is no session.
    """
    if driver_of(tx) is None:
        verdicts = await finish_many(tx, ctx, reports)
        return [one if isinstance(one, AutovibeError) else one.status for one in verdicts]
    return await _complete_plainly(tx, ctx, reports)


async def _complete_plainly(
    tx: WriteTx, ctx: CallContext, reports: Sequence[work_pb2.FinishExecutionRequest]
) -> list[str | AutovibeError]:
    now = ctx.clock.now()
    executions = await completing.read_executions(
        tx, [uuid.UUID(report.execution_id) for report in reports]
    )
    if any(report.outcome != "completed" or report.result_checkpoint_id for report in reports):
        raise NeedsSessionError("a report moves more than its own task")
    orders = await completing.read_orders(
        tx, [one.work_order_id for one, _ in executions.values() if one.work_order_id is not None]
    )
    tasks = await completing.read_tasks(tx, sorted({order.task_id for order in orders.values()}))
    verdicts: list[str | AutovibeError] = []
    ends: list[CompletedEnd] = []
    for report in reports:
        execution, assignment_id = executions.pop(uuid.UUID(report.execution_id), (None, None))
        order = _held(execution, orders, report.lease_generation)
        if execution is None or order is None or assignment_id is None:
            verdicts.append(_lost(report))
            continue
        task = tasks[order.task_id]
        if task.result_checkpoint_id is not None:
            raise NeedsSessionError("the project goes on from the task's result")
        try:
            check_transition("task", task.status, TaskStatus.COMPLETED)
        except InvalidTransitionError as error:
            verdicts.append(error)
            continue
        ends.append(_completed(report, execution, order, assignment_id, now))
        verdicts.append(TaskStatus.COMPLETED)
    if await completing.has_dependants(tx, [end.task_id for end in ends]):
        raise NeedsSessionError("others wait for a task that has completed")
    await completing.write_completed(tx, ends, now)
    return verdicts


def _completed(
    report: work_pb2.FinishExecutionRequest,
    execution: RunningExecution,
    order: HeldOrder,
    assignment_id: uuid.UUID,
    now: datetime,
) -> CompletedEnd:
    check_transition("execution", execution.status, MOVES["completed"].execution)
    return CompletedEnd(
        execution.id,
        order.id,
        order.task_id,
        assignment_id,
        execution.worker_id,
        report.exit_code,
        column_value(report.metrics),
        _lasted_s(execution, now),
    )


async def finish_many(
    tx: WriteTx, ctx: CallContext, reports: Sequence[work_pb2.FinishExecutionRequest]
) -> list[Task | AutovibeError]:
    """Record how executions ended; return for each its task, or why the report changed nothing.

    The locks go from orders to tasks, as a claim's do.
    """
    now = ctx.clock.now()
    read = await completing.read_executions(
        tx, [uuid.UUID(report.execution_id) for report in reports]
    )
    executions = {execution_id: execution for execution_id, (execution, _) in read.items()}
    orders = await completing.read_orders(
        tx, [one.work_order_id for one in executions.values() if one.work_order_id is not None]
    )
    tasks = {
        task.id: task for task in await lock_tasks(tx, {order.task_id for order in orders.values()})
    }
    verdicts: list[Task | AutovibeError] = []
    ends: list[_End] = []
    for report in reports:
        execution = executions.pop(uuid.UUID(report.execution_id), None)
        order = _held(execution, orders, report.lease_generation)
        if execution is None or order is None:
            verdicts.append(_lost(report))
            continue
        task, move = tasks[order.task_id], _move(report.outcome, order)
        try:
            check_transition("task", task.status, move.task)
        except InvalidTransitionError as error:
            verdicts.append(error)
            continue
        ends.append(_End(execution, order, task, move, report))
        verdicts.append(task)
    await _record(tx, ends, now)
    await _follow(tx, ctx, ends)
    await tx.session.flush()  # the answers show the tasks as they are now
    return verdicts


def retry_pause(order_id: uuid.UUID, retry_count: int) -> timedelta:
    """Return how long an order waits before it is tried again.

    Each wait is twice the one before, up to an hour, and up to a quarter longer: orders that
    failed together do not come back together. The same order always gets the same.
    """
    digest = hashlib.blake2s(b"%s%d" % (order_id.bytes, retry_count), digest_size=1).digest()
    pause_s = min(_FIRST_RETRY_S * 2 ** min(retry_count, 20), _LONGEST_RETRY_S)
    return timedelta(seconds=pause_s * (1 + _JITTER * digest[0] / _BYTE))


def _held(
    execution: RunningExecution | None, orders: Mapping[uuid.UUID, HeldOrder], generation: int
) -> HeldOrder | None:
    """Return the order that an execution holds under a generation."""
    if execution is None or execution.work_order_id is None:
        return None
    order = orders.get(execution.work_order_id)
    if (
        order is None
        or order.status != WorkOrderStatus.CLAIMED
        or not generation == execution.lease_generation == order.lease_generation
    ):
        return None
    return order


def _lost(report: work_pb2.FinishExecutionRequest) -> LeaseLostError:
    return LeaseLostError(
        "The work order has passed to another worker, or has ended; this report changes nothing.",
        execution_id=report.execution_id,
    )


def _move(outcome: str, order: HeldOrder) -> Move:
    retries_left = order.retry_count < order.max_retries
    suffix = {"failed": "retried", "timeout": "timeout_retried"}
    return MOVES[suffix[outcome] if retries_left and outcome in suffix else outcome]


async def _record(tx: WriteTx, ends: Sequence[_End], now: datetime) -> None:
    """Write what ended, one statement for each table."""
    if not ends:
        return
    for end in ends:
        check_transition("execution", end.execution.status, end.move.execution)
        check_transition("assignment", "active", end.move.assignment)
        check_transition("work order", end.order.status, end.move.order)
    await completing.end_tasks(tx, [(end.task, _task_values(end, now)) for end in ends], now)
    await completing.end_executions(tx, [_execution_values(end, now) for end in ends])
    await completing.end_assignments(
        tx,
        [
            {
                "order": end.order.id,
                "worker": end.execution.worker_id,
                "assignment_status": end.move.assignment,
                "ended_at": now,
            }
            for end in ends
        ],
    )
    await completing.end_orders(tx, [_order_values(end, now) for end in ends])
    await completing.free_workers(tx, sorted({end.execution.worker_id for end in ends}))


def _execution_values(end: _End, now: datetime) -> dict[str, Any]:
    return {
        "execution": end.execution.id,
        "execution_status": end.move.execution,
        "code": end.report.exit_code,
        "checkpoint": id_or_none(end.report.result_checkpoint_id),
        "told": column_value(end.report.metrics),
        "ended_at": now,
        "lasted": _lasted_s(end.execution, now),
    }


def _lasted_s(execution: RunningExecution, now: datetime) -> int:
    """Return how long it took; a clock that was set back must not keep it from ending."""
    return max(0, math.ceil((now - execution.started_at).total_seconds()))


def _order_values(end: _End, now: datetime) -> dict[str, Any]:
    order, move = end.order, end.move
    is_retried = move.order == WorkOrderStatus.PENDING and move.task == TaskStatus.QUEUED
    is_parked = move.order == WorkOrderStatus.PENDING and not is_retried
    return {
        "order": order.id,
        "order_status": move.order,
        "error": end.report.metrics.message or None,
        "due": now + retry_pause(order.id, order.retry_count) if is_retried else order.available_at,
        "retries": order.retry_count + (1 if is_retried else 0),
        "ended": None if move.order == WorkOrderStatus.PENDING else now,
        "way": PARKED if is_parked else order.route,
    }


def _task_values(end: _End, now: datetime) -> dict[str, Any]:
    task, report, status = end.task, end.report, TaskStatus(end.move.task)
    is_blocked = status == TaskStatus.BLOCKED
    is_over = status in {TaskStatus.COMPLETED, TaskStatus.FAILED}
    return {
        "status": status,
        "assigned_to": None,
        "result_checkpoint_id": id_or_none(report.result_checkpoint_id)
        or task.result_checkpoint_id,
        "block_reason": (report.metrics.stop_reason or None) if is_blocked else task.block_reason,
        "completed_at": now if is_over else task.completed_at,
    }


async def _follow(tx: WriteTx, ctx: CallContext, ends: Sequence[_End]) -> None:
    """Do what follows from the tasks' new statuses."""
    if not ends:
        return
    for end in ends:
        if end.task.status == TaskStatus.COMPLETED:
            await _advance_project(tx, end.task)
        if end.move.order == WorkOrderStatus.PENDING and end.task.status == TaskStatus.QUEUED:
            tx.ring(queue_topic(end.order.queue_name))
    await tx.emit_many(
        "tasks.ended",
        [{"task_id": str(end.task.id), "status": end.task.status} for end in ends],
    )
    await settle_dependants(tx, ctx, *(end.task for end in ends))


async def _advance_project(tx: WriteTx, task: Task) -> None:
    """Move the project's current checkpoint to a result that descends from it (decision B1)."""
    if task.project_id is None or task.result_checkpoint_id is None:
        return
    project = await get_project(tx, str(task.project_id))
    current = project.current_checkpoint_id
    if current is None or await descends_from(tx, task.result_checkpoint_id, current):
        await advance_current_checkpoint(tx, project.id, current, task.result_checkpoint_id)
