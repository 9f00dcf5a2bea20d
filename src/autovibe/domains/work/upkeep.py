"""What scheduled jobs do to orders, executions and workers that nobody looks after."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from autovibe.db import WriteTx
from autovibe.domains.contract import Slice
from autovibe.domains.work import repository
from autovibe.domains.work.completions import finish
from autovibe.domains.work.models import (
    Execution,
    ExecutionStatus,
    Task,
    TaskStatus,
    WorkerStatus,
    WorkOrder,
    WorkOrderStatus,
)
from autovibe.domains.work.transitions import check_transition
from autovibe.domains.work.waiting import settle_dependants
from autovibe.kernel.context import CallContext
from autovibe.v1 import work_pb2

OFFLINE_AFTER: Final = timedelta(minutes=5)
"""A worker that was not heard of for so long, and holds no order, is offline."""
_AT_ONCE: Final = 50
_TIMED_OUT: Final = work_pb2.ExecutionMetrics(
    stop_reason="TASK_TIMED_OUT",
    message="The time limit passed, and nobody who works on the task was heard of.",
)


async def expire_orders(tx: WriteTx, ctx: CallContext, *, dry_run: bool) -> Slice:
    """Expire orders that nobody claimed in time; their tasks have failed."""
    now = ctx.clock.now()
    if dry_run:
        return Slice(await repository.count_overdue(tx, now))
    orders = await repository.overdue_orders(tx, now, _AT_ONCE)
    for order in orders:
        check_transition("work order", order.status, WorkOrderStatus.EXPIRED)
        order.status = WorkOrderStatus.EXPIRED
        order.completed_at = now
        order.error_message = "Nobody claimed the order in time."
        task = await tx.session.get_one(Task, order.task_id, with_for_update=True)
        if task.status == TaskStatus.QUEUED:
            check_transition("task", task.status, TaskStatus.FAILED)
            task.status = TaskStatus.FAILED
            task.block_reason = "ORDER_EXPIRED"
            task.completed_at = now
            await settle_dependants(tx, ctx, task)
    return Slice(len(orders), more=len(orders) == _AT_ONCE)


async def time_out_executions(tx: WriteTx, ctx: CallContext, *, dry_run: bool) -> Slice:
    """End executions that are over their limit and whose lease nobody prolongs.

    Whoever works on one ends it in time; this is for those that nobody works on. One whose order
    is gone, or has gone to another, is only closed: task and order are not its own any more.
    """
    now = ctx.clock.now()
    found = [
        (execution, order)
        for execution, order in await repository.running_unheld(tx, now)
        if _is_over_limit(execution, order, now)
    ]
    if dry_run:
        return Slice(len(found))
    for execution, order in found[:_AT_ONCE]:
        if _holds(execution, order):
            request = work_pb2.FinishExecutionRequest(
                execution_id=str(execution.id),
                lease_generation=execution.lease_generation,
                outcome="timeout",
                metrics=_TIMED_OUT,
            )
            await finish(tx, ctx, request)
            continue
        check_transition("execution", execution.status, ExecutionStatus.TIMEOUT)
        execution.status = ExecutionStatus.TIMEOUT
        execution.completed_at = now
        execution.duration_seconds = int((now - execution.started_at).total_seconds())
    return Slice(min(len(found), _AT_ONCE), more=len(found) > _AT_ONCE)


async def mark_workers_offline(tx: WriteTx, ctx: CallContext, *, dry_run: bool) -> Slice:
    """Mark workers offline that were not heard of for five minutes and hold no order."""
    silent_since = ctx.clock.now() - OFFLINE_AFTER
    if dry_run:
        return Slice(await repository.count_silent_workers(tx, silent_since))
    workers = await repository.silent_workers(tx, silent_since, _AT_ONCE)
    for worker in workers:
        worker.status = WorkerStatus.OFFLINE
    return Slice(len(workers), more=len(workers) == _AT_ONCE)


def _holds(execution: Execution, order: WorkOrder | None) -> bool:
    return (
        order is not None
        and order.status == WorkOrderStatus.CLAIMED
        and order.lease_generation == execution.lease_generation
    )


def _is_over_limit(execution: Execution, order: WorkOrder | None, now: datetime) -> bool:
    limit_s = order.timeout_seconds if order is not None else 0
    return now > execution.started_at + max(timedelta(seconds=limit_s), OFFLINE_AFTER)
