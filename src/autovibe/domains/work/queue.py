"""The queue: claim, heartbeat, finish. Order and leases as in decisions E5 and D9."""

from __future__ import annotations

import math
import uuid
from datetime import datetime, timedelta
from typing import Final

from autovibe.db import WriteTx
from autovibe.domains.checkpoints import descends_from
from autovibe.domains.projects import advance_current_checkpoint, get_project
from autovibe.domains.work import repository
from autovibe.domains.work.enqueuing import DEFAULT_QUEUE
from autovibe.domains.work.errors import LeaseLostError
from autovibe.domains.work.messages import (
    column_message,
    column_value,
    execution_message,
    task_message,
)
from autovibe.domains.work.models import (
    AssignmentStatus,
    Execution,
    ExecutionStatus,
    Task,
    TaskStatus,
    Worker,
    WorkerAssignment,
    WorkerStatus,
    WorkOrder,
    WorkOrderStatus,
)
from autovibe.domains.work.transitions import MOVES, Move, check_transition
from autovibe.domains.work.waiting import settle_dependants
from autovibe.kernel.context import CallContext
from autovibe.kernel.ids import new_id
from autovibe.kernel.protoconv import id_or_none, timestamp
from autovibe.v1 import work_pb2

_FIRST_RETRY_S: Final = 10
_HEARD_EVERY: Final = timedelta(minutes=1)


async def claim(
    tx: WriteTx, ctx: CallContext, worker: Worker, request: work_pb2.ClaimWorkOrderRequest
) -> work_pb2.ClaimedOrder | None:
    """Claim the next order for a worker, or return `None`."""
    now = ctx.clock.now()
    _hear_of(worker, now)
    held = await repository.count_active_assignments(tx, worker.id)
    if held >= worker.max_concurrent_tasks:
        return None
    order = await repository.claimable_order(
        tx,
        request.queue_name or DEFAULT_QUEUE,
        id_or_none(request.task_id),
        worker.worker_type,
        now,
    )
    if order is None:
        return None
    task = await tx.session.get_one(Task, order.task_id, with_for_update=True)
    if task.status != TaskStatus.QUEUED:
        return None  # it was paused while this transaction looked for an order
    check_transition("work order", order.status, WorkOrderStatus.CLAIMED)
    check_transition("task", task.status, TaskStatus.IN_PROGRESS)
    order.status = WorkOrderStatus.CLAIMED
    order.lease_generation += 1
    order.lease_expires_at = now + timedelta(seconds=request.lease_s)
    order.claimed_at = now
    task.status = TaskStatus.IN_PROGRESS
    task.assigned_to = worker.id
    task.started_at = task.started_at or now
    await _activate_assignment(tx, ctx, worker, order)
    execution = Execution(
        task_id=task.id,
        worker_id=worker.id,
        work_order_id=order.id,
        lease_generation=order.lease_generation,
        attempt=len(await repository.executions_of(tx, task.id)) + 1,
        correlation_id=str(new_id()),
        status=ExecutionStatus.RUNNING,
        # Until it ends: recovery finds by it what a dead instance had claimed.
        metrics=column_value(work_pb2.ExecutionMetrics(instance_id=request.instance_id)),
        started_at=now,
    )
    tx.session.add(execution)
    if held + 1 >= worker.max_concurrent_tasks:
        worker.status = WorkerStatus.BUSY
    await tx.session.flush()  # the answer names the execution
    return work_pb2.ClaimedOrder(
        work_order_id=str(order.id),
        lease_generation=order.lease_generation,
        task=task_message(task),
        execution=execution_message(execution),
        payload=column_message(order.payload, work_pb2.WorkOrderPayload),
        timeout_s=min(order.timeout_seconds, worker.timeout_seconds),
        lease_expires_at=timestamp(order.lease_expires_at),
    )


def _hear_of(worker: Worker, now: datetime) -> None:
    """Note that a worker lives; it asks several times a second, and one note a minute will do."""
    heard = worker.last_heartbeat_at
    if heard is None or now - heard >= _HEARD_EVERY or worker.status == WorkerStatus.OFFLINE:
        worker.last_heartbeat_at = now
    if worker.status == WorkerStatus.OFFLINE:
        worker.status = WorkerStatus.IDLE


async def _activate_assignment(
    tx: WriteTx, ctx: CallContext, worker: Worker, order: WorkOrder
) -> None:
    assignment = await repository.find_assignment(tx, worker.id, order.id)
    if assignment is None:
        assignment = WorkerAssignment(worker_id=worker.id, work_order_id=order.id)
        tx.session.add(assignment)
    else:
        check_transition("assignment", assignment.status, AssignmentStatus.ACTIVE)
    assignment.status = AssignmentStatus.ACTIVE
    assignment.lease_generation = order.lease_generation
    assignment.assigned_at = ctx.clock.now()
    assignment.completed_at = None


async def check_lease(tx: WriteTx, work_order_id: uuid.UUID, lease_generation: int) -> WorkOrder:
    """Return the order, locked, if this generation still holds it.

    Raises:
        LeaseLostError: it was released, or passed to another worker.
    """
    order = await repository.lock_order(tx, work_order_id)
    if (
        order is None
        or order.lease_generation != lease_generation
        or order.status != WorkOrderStatus.CLAIMED
    ):
        raise LeaseLostError(
            "The work order has passed to another worker; this report changes nothing.",
            work_order_id=str(work_order_id),
        )
    return order


async def check_execution(tx: WriteTx, execution_id: uuid.UUID, lease_generation: int) -> Execution:
    """Return an execution of this generation, whose order nobody has claimed since.

    It may have ended: its last log lines come after its end.

    Raises:
        LeaseLostError: it belongs to another generation, or its order has a newer one.
    """
    execution = await tx.session.get(Execution, execution_id)
    newest = None
    if execution is not None and execution.work_order_id is not None:
        newest = await repository.generation_of(tx, execution.work_order_id)
    if execution is None or not execution.lease_generation == lease_generation == newest:
        raise LeaseLostError(
            "The execution belongs to another lease; this report changes nothing.",
            execution_id=str(execution_id),
        )
    return execution


async def finish(tx: WriteTx, ctx: CallContext, request: work_pb2.FinishExecutionRequest) -> Task:
    """Move execution, assignment, order, task and worker together (schema.md, section 3).

    Raises:
        LeaseLostError: the report comes under an old lease.
    """
    execution = await check_execution(tx, uuid.UUID(request.execution_id), request.lease_generation)
    if execution.work_order_id is None:
        raise LeaseLostError("The execution has no work order any more.")
    order = await check_lease(tx, execution.work_order_id, request.lease_generation)
    task = await tx.session.get_one(Task, order.task_id, with_for_update=True)
    move = _move(request.outcome, order)
    await _end_execution(tx, ctx, execution, move, request)
    await _end_assignment(tx, ctx, execution, order, move)
    _end_order(ctx, order, move, request)
    _end_task(ctx, task, move, request)
    if task.status == TaskStatus.COMPLETED:
        await _advance_project(tx, task)
    await settle_dependants(tx, ctx, task)
    await tx.session.flush()  # the answer shows the task as it is now
    return task


def _move(outcome: str, order: WorkOrder) -> Move:
    retries_left = order.retry_count < order.max_retries
    suffix = {"failed": "retried", "timeout": "timeout_retried"}
    return MOVES[suffix[outcome] if retries_left and outcome in suffix else outcome]


async def _end_execution(
    tx: WriteTx,
    ctx: CallContext,
    execution: Execution,
    move: Move,
    request: work_pb2.FinishExecutionRequest,
) -> None:
    check_transition("execution", execution.status, move.execution)
    now = ctx.clock.now()
    execution.status = ExecutionStatus(move.execution)
    execution.exit_code = request.exit_code
    execution.result_checkpoint_id = id_or_none(request.result_checkpoint_id)
    execution.metrics = column_value(request.metrics)
    execution.completed_at = now
    # A clock that was set back must not keep the execution from ending.
    execution.duration_seconds = max(0, math.ceil((now - execution.started_at).total_seconds()))
    worker = await tx.session.get_one(Worker, execution.worker_id, with_for_update=True)
    if worker.status == WorkerStatus.BUSY:
        worker.status = WorkerStatus.IDLE


async def _end_assignment(
    tx: WriteTx, ctx: CallContext, execution: Execution, order: WorkOrder, move: Move
) -> None:
    assignment = await repository.find_assignment(tx, execution.worker_id, order.id)
    if assignment is not None:
        check_transition("assignment", assignment.status, move.assignment)
        assignment.status = AssignmentStatus(move.assignment)
        assignment.completed_at = ctx.clock.now()


def _end_order(
    ctx: CallContext, order: WorkOrder, move: Move, request: work_pb2.FinishExecutionRequest
) -> None:
    check_transition("work order", order.status, move.order)
    now = ctx.clock.now()
    order.status = WorkOrderStatus(move.order)
    order.lease_expires_at = None
    order.error_message = request.metrics.message or None
    if move.order == WorkOrderStatus.PENDING and move.task == TaskStatus.QUEUED:
        order.available_at = now + timedelta(seconds=_FIRST_RETRY_S * 2**order.retry_count)
        order.retry_count += 1
    elif move.order != WorkOrderStatus.PENDING:
        order.completed_at = now


def _end_task(
    ctx: CallContext, task: Task, move: Move, request: work_pb2.FinishExecutionRequest
) -> None:
    check_transition("task", task.status, move.task)
    task.status = TaskStatus(move.task)
    task.assigned_to = None
    if request.result_checkpoint_id:
        task.result_checkpoint_id = uuid.UUID(request.result_checkpoint_id)
    if task.status == TaskStatus.BLOCKED:
        task.block_reason = request.metrics.stop_reason or None
    if task.status in {TaskStatus.COMPLETED, TaskStatus.FAILED}:
        task.completed_at = ctx.clock.now()


async def _advance_project(tx: WriteTx, task: Task) -> None:
    """Move the project's current checkpoint to a result that descends from it (decision B1)."""
    if task.project_id is None or task.result_checkpoint_id is None:
        return
    project = await get_project(tx, str(task.project_id))
    current = project.current_checkpoint_id
    if current is None or await descends_from(tx, task.result_checkpoint_id, current):
        await advance_current_checkpoint(tx, project.id, current, task.result_checkpoint_id)
