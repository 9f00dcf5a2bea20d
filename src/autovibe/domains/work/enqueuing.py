"""Putting tasks into the queue: what a worker is told, and where the order stands (decision E5)."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints import newest_consistent
from autovibe.domains.projects import get_project
from autovibe.domains.work import repository
from autovibe.domains.work.messages import column_message, column_value
from autovibe.domains.work.models import (
    QueueShare,
    Task,
    TaskStatus,
    TaskType,
    WorkOrder,
    WorkOrderStatus,
)
from autovibe.domains.work.repository import claiming
from autovibe.domains.work.repository import orders as order_rows
from autovibe.domains.work.routing import PARKED, parse_needs, route_of
from autovibe.domains.work.transitions import check_transition
from autovibe.kernel.context import CallContext
from autovibe.kernel.ids import new_id
from autovibe.v1 import work_pb2

DEFAULT_QUEUE: Final = "default"
_GREEDINESS: Final = Decimal("0.5")
_WHY_STOPPED: Final = {
    "BUDGET_EXHAUSTED": "the budget was used up; there is more now",
    "BUDGET_HELD": "the budget was held by other calls",
    "NO_BUDGET": "there was no budget",
    "BREAKER_OPEN": "nothing had come of your work for long; take another way than before",
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
        await enqueue(tx, ctx, task, payload)
        fresh = await repository.newest_order(tx, task.id)
        assert fresh is not None
        return fresh
    if task.status == TaskStatus.QUEUED:
        await repository.refresh_locked(tx, order)  # before the task, as a claim does
        await repository.refresh_locked(tx, task)
    if task.status != TaskStatus.QUEUED or order.status != WorkOrderStatus.PENDING:
        check_transition("task", task.status, TaskStatus.QUEUED)
    if order.status != WorkOrderStatus.PENDING:
        check_transition("work order", order.status, WorkOrderStatus.PENDING)
    now = ctx.clock.now()
    order.status = WorkOrderStatus.PENDING
    for name, value in _directions(payload.context, now).items():
        setattr(order, name, value)
    order.payload = column_value(payload)
    order.timeout_seconds = payload.context.timeout_s
    order.available_at = now
    order.completed_at = None
    order.error_message = None
    task.status = TaskStatus.QUEUED
    task.block_reason = None
    task.completed_at = None
    tx.ring(queue_topic(order.queue_name), str(order.id))
    await tx.session.flush()  # the claim that may follow in this process sees it
    return order


async def enqueue(
    tx: WriteTx, ctx: CallContext, task: Task, payload: work_pb2.WorkOrderPayload
) -> None:
    """Queue a task: a fresh pending order, and the task becomes queued.

    Raises:
        InvalidTransitionError: the task cannot be queued now.
    """
    await enqueue_many(tx, ctx, [(task, payload)])


async def enqueue_many(
    tx: WriteTx,
    ctx: CallContext,
    entries: Sequence[tuple[Task, work_pb2.WorkOrderPayload]],
) -> None:
    """Queue tasks, in their order within each project; the bell rings once for all of them.

    Raises:
        InvalidTransitionError: a task cannot be queued now; none is then.
    """
    if not entries:
        return
    for task, _ in entries:
        check_transition("task", task.status, TaskStatus.QUEUED)
    now = ctx.clock.now()
    keys = await _places(tx, [task for task, _ in entries], DEFAULT_QUEUE)
    rows = [
        _order_row(task, payload, key, now)
        for (task, payload), key in zip(entries, keys, strict=True)
    ]
    for task, _ in entries:
        task.status = TaskStatus.QUEUED
        task.block_reason = None
    await tx.session.flush()  # an order refers to its task
    await order_rows.insert_orders(tx, rows)
    tx.ring(queue_topic(DEFAULT_QUEUE), *(str(row["id"]) for row in rows))


def _order_row(
    task: Task, payload: work_pb2.WorkOrderPayload, fair_key: float, now: datetime
) -> dict[str, Any]:
    """Return a pending order."""
    context = payload.context
    return {
        "id": new_id(),
        "task_id": task.id,
        "queue_name": DEFAULT_QUEUE,
        "status": WorkOrderStatus.PENDING,
        "priority": task.priority.rank,
        "fair_key": fair_key,
        "payload": column_value(payload),
        "timeout_seconds": context.timeout_s,
        "enqueued_at": now,
        "available_at": now,
        "created_at": now,
        "updated_at": now,
        **_directions(context, now),
    }


def _directions(context: work_pb2.TaskContext, now: datetime) -> dict[str, Any]:
    """Return who may do an order, how often it may fail, and how long it may wait."""
    return {
        "worker_type": TaskType(context.worker_type) if context.worker_type else None,
        "required_capabilities": [str(need) for need in parse_needs(context.capabilities)],
        "route": route_of(context),
        # Without a word a person who watches decides what to do after a failure.
        "max_retries": context.max_retries,
        "expires_at": now + timedelta(seconds=context.expires_s) if context.expires_s else None,
    }


async def _places(tx: WriteTx, tasks: Sequence[Task], queue_name: str) -> list[float]:
    """Return where new orders of tasks stand, each behind the newest of its project."""
    lowest = await claiming.lowest_fair_key(tx, queue_name)
    shares: dict[uuid.UUID, tuple[QueueShare, Decimal]] = {}
    for project_id in sorted({task.project_id for task in tasks if task.project_id is not None}):
        greediness = (await get_project(tx, str(project_id))).greediness
        shares[project_id] = (await order_rows.lock_share(tx, project_id, queue_name), greediness)
    keys: list[float] = []
    for task in tasks:
        if task.project_id is None:
            keys.append(next_fair_key(None, lowest, _GREEDINESS))
            continue
        share, greediness = shares[task.project_id]
        key = next_fair_key(share.last_fair_key or None, lowest, greediness)
        if math.isfinite(key):
            share.last_fair_key = key
        keys.append(key)
    return keys


async def park(tx: WriteTx, task: Task) -> None:
    """Take the pending order of a task that waits out of the way of claims."""
    order = await repository.newest_order(tx, task.id)
    if order is not None and order.status == WorkOrderStatus.PENDING:
        order.route = PARKED


def queue_topic(queue_name: str) -> str:
    """Return the bell that rings for new orders of a queue."""
    return f"queue:{queue_name}"


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
