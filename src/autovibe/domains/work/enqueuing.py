"""Putting tasks into the queue: what a worker is told, and where the order stands (decision E5)."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints import newest_consistent
from autovibe.domains.projects import get_project
from autovibe.domains.work import repository
from autovibe.domains.work.messages import column_message, column_value
from autovibe.domains.work.models import Task, TaskPriority, TaskStatus, WorkOrder, WorkOrderStatus
from autovibe.domains.work.transitions import check_transition
from autovibe.kernel.context import CallContext
from autovibe.v1 import work_pb2

DEFAULT_QUEUE: Final = "default"
_RANK: Final = {
    TaskPriority.LOW: 0,
    TaskPriority.NORMAL: 1,
    TaskPriority.HIGH: 2,
    TaskPriority.CRITICAL: 3,
}
_WHY_STOPPED: Final = {
    "BUDGET_EXHAUSTED": "the budget was used up; there is more now",
    "BUDGET_HELD": "the budget was held by other calls",
    "NO_BUDGET": "there was no budget",
    "INTERRUPTED": "a person interrupted you",
    "TASK_TIMED_OUT": "the time limit was reached; you have more time now",
    "CONTROL_PLANE_DIED": "the computer that ran you stopped",
    "LEASE_EXPIRED": "the program that ran you was stuck",
}


def first_payload(task: Task) -> work_pb2.WorkOrderPayload:
    """Return what a worker is to do for a task that begins at its base."""
    context = column_message(task.context, work_pb2.TaskContext)
    return work_pb2.WorkOrderPayload(
        context=context,
        prompt=task.description or "",
        base_checkpoint_id=str(task.base_checkpoint_id or ""),
        session_id=context.session_id,
    )


async def resumed_payload(tx: ReadTx | WriteTx, task: Task) -> work_pb2.WorkOrderPayload:
    """Return what a worker is to do for a task that may have run before.

    It goes on from the newest checkpoint at which files and conversation agree.
    """
    payload = first_payload(task)
    if task.result_checkpoint_id is not None and task.base_checkpoint_id is not None:
        start = await newest_consistent(tx, task.result_checkpoint_id, task.base_checkpoint_id)
        payload.base_checkpoint_id = str(start.id)
        if start.id != task.base_checkpoint_id:
            payload.session_id = start.agent_session_id or ""
            payload.note = await _note(tx, task)
    return payload


async def enqueue_again(
    tx: WriteTx, ctx: CallContext, task: Task, payload: work_pb2.WorkOrderPayload
) -> WorkOrder:
    """Queue a task that was queued before: its order becomes pending again, with a new payload.

    One that still waits is left in the queue: whoever queued it may have died before its claim.

    Raises:
        InvalidTransitionError: the task cannot be queued now, or has just been claimed.
    """
    order = await repository.newest_order(tx, task.id)
    if order is None or order.status in {WorkOrderStatus.COMPLETED, WorkOrderStatus.EXPIRED}:
        return await enqueue(tx, ctx, task, payload)
    if task.status == TaskStatus.QUEUED:
        await repository.refresh_locked(tx, order)  # before the task, as a claim does
        await repository.refresh_locked(tx, task)
    if task.status != TaskStatus.QUEUED or order.status != WorkOrderStatus.PENDING:
        check_transition("task", task.status, TaskStatus.QUEUED)
    if order.status != WorkOrderStatus.PENDING:
        check_transition("work order", order.status, WorkOrderStatus.PENDING)
    now = ctx.clock.now()
    order.status = WorkOrderStatus.PENDING
    order.payload = column_value(payload)
    order.timeout_seconds = payload.context.timeout_s
    order.available_at = now
    order.completed_at = None
    order.error_message = None
    task.status = TaskStatus.QUEUED
    task.block_reason = None
    task.completed_at = None
    tx.emit("work_orders.enqueued", {"queue": order.queue_name, "order_id": str(order.id)})
    await tx.session.flush()  # the claim that may follow in this process sees it
    return order


async def enqueue(
    tx: WriteTx, ctx: CallContext, task: Task, payload: work_pb2.WorkOrderPayload
) -> WorkOrder:
    """Queue a task: a fresh pending order, and the task becomes queued.

    Raises:
        InvalidTransitionError: the task cannot be queued now.
    """
    check_transition("task", task.status, TaskStatus.QUEUED)
    greediness = Decimal("0.5")
    if task.project_id is not None:
        greediness = (await get_project(tx, str(task.project_id))).greediness
    last, lowest = await repository.fair_key_bounds(tx, task.project_id, DEFAULT_QUEUE)
    now = ctx.clock.now()
    order = WorkOrder(
        task_id=task.id,
        queue_name=DEFAULT_QUEUE,
        status=WorkOrderStatus.PENDING,
        priority=_RANK[task.priority],
        fair_key=next_fair_key(last, lowest, greediness),
        payload=column_value(payload),
        # A person who watches a run decides what to do after a failure.
        max_retries=0,
        timeout_seconds=payload.context.timeout_s,
        enqueued_at=now,
        available_at=now,
    )
    tx.session.add(order)
    task.status = TaskStatus.QUEUED
    task.block_reason = None
    tx.emit("work_orders.enqueued", {"queue": DEFAULT_QUEUE, "order_id": str(order.id)})
    await tx.session.flush()  # the claim that may follow in this process sees it
    return order


def next_fair_key(last: float | None, lowest: float | None, greediness: Decimal) -> float:
    """Return where a new order of a project stands among those of equal priority.

    Args:
        last: the project's highest key so far.
        lowest: the lowest key that waits now.
        greediness: weight of the project, 0 to 1; 0 waits until nobody else does.
    """
    if greediness == 0:
        return math.inf
    bases = [key for key in (last, lowest) if key is not None and math.isfinite(key)]
    return max(bases, default=0.0) + float(1 / greediness)


async def _note(tx: ReadTx | WriteTx, task: Task) -> str:
    """Return what the agent is told on being started again."""
    executions = await repository.executions_of(tx, task.id)
    reason = task.block_reason or ""
    if not reason and executions:
        metrics = column_message(executions[-1].metrics, work_pb2.ExecutionMetrics)
        reason = metrics.stop_reason
    why = _WHY_STOPPED.get(reason, f"something failed ({reason or 'unknown'})")
    return (
        f"You were stopped because {why}. The files are as they were after the last step whose "
        "result you have seen; what came later is gone. Go on with the task."
    )
