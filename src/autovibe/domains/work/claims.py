"""Claiming: orders go to a worker, under a lease with a new generation (decisions E5 and D9)."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final, cast

from autovibe.db import WriteTx
from autovibe.domains.work.enqueuing import DEFAULT_QUEUE
from autovibe.domains.work.errors import WorkerNotFoundError
from autovibe.domains.work.messages import (
    column_message,
    column_value,
    execution_message,
    task_message,
)
from autovibe.domains.work.models import (
    Execution,
    ExecutionStatus,
    Task,
    TaskStatus,
    Worker,
    WorkerStatus,
    WorkOrderStatus,
)
from autovibe.domains.work.repository import claiming, starting
from autovibe.domains.work.repository import orders as order_rows
from autovibe.domains.work.repository.claiming import Claim, Taken
from autovibe.domains.work.repository.starting import Claimant
from autovibe.domains.work.routing import Abilities
from autovibe.domains.work.transitions import check_transition
from autovibe.domains.work.watermarks import Watermarks
from autovibe.kernel.context import CallContext
from autovibe.kernel.ids import new_id
from autovibe.kernel.protoconv import timestamp
from autovibe.v1 import work_pb2

_HEARD_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True)
class Wanted:
    """What a worker asks for."""

    instance_id: str
    queue_name: str
    lease_s: int
    limit: int
    task_id: uuid.UUID | None = None


async def find_worker(tx: WriteTx, worker_id: str) -> Worker:
    """Return a registered worker, locked.

    Raises:
        WorkerNotFoundError: there is none.
    """
    worker = await tx.session.get(Worker, uuid.UUID(worker_id), with_for_update=True)
    if worker is None or worker.deleted_at is not None:
        raise _not_registered(worker_id)
    return worker


def _not_registered(worker_id: str) -> WorkerNotFoundError:
    return WorkerNotFoundError(
        f"There is no worker {worker_id}; register it first.", worker_id=worker_id
    )


async def claim(
    tx: WriteTx, ctx: CallContext, worker_id: str, wanted: Wanted, marks: Watermarks
) -> list[work_pb2.ClaimedOrder]:
    """Claim the next orders for a worker, in the order in which they are to be done.

    Never more than it may hold at once, nor more of a project than may run at once.

    Raises:
        WorkerNotFoundError: there is no such worker.
    """
    now = ctx.clock.now()
    claimant = await starting.find_claimant(tx, uuid.UUID(worker_id))
    if claimant is None:
        raise _not_registered(worker_id)
    before = replace(claimant)
    hear_of(claimant, now)
    orders = await _claim(tx, ctx, claimant, wanted, marks)
    if orders and claimant.held + len(orders) >= claimant.max_concurrent_tasks:
        claimant.status = WorkerStatus.BUSY
    if claimant != before:
        await starting.note_claimant(tx, claimant, now)
    return orders


async def _claim(
    tx: WriteTx, ctx: CallContext, claimant: Claimant, wanted: Wanted, marks: Watermarks
) -> list[work_pb2.ClaimedOrder]:
    now = ctx.clock.now()
    traits = column_message(claimant.config, work_pb2.WorkerTraits)
    room = min(wanted.limit, claimant.max_concurrent_tasks - claimant.held)
    if room <= 0 or traits.draining:
        return []
    queue_name = wanted.queue_name or DEFAULT_QUEUE
    rooms = await order_rows.rooms_of_limited_projects(tx, queue_name)
    wish = Claim(
        queue_name,
        now,
        now + timedelta(seconds=wanted.lease_s),
        room,
        [project_id for project_id, left in rooms.items() if left <= 0],
    )
    if wanted.task_id is not None:
        # Whoever names a task has decided to do it, whatever the worker says that it can.
        taken = await claiming.take_of_task(tx, wish, wanted.task_id)
    else:
        abilities = Abilities(
            claimant.worker_type,
            frozenset(traits.machine_types),
            frozenset(traits.isolations),
            claimant.capabilities,
        )
        taken = await marks.take(tx, wish, abilities, ctx.clock)
    if not taken:
        return []
    return await _start(tx, _Start(claimant, wanted, now), taken, rooms)


def hear_of(worker: Worker | Claimant, now: datetime) -> None:
    """Note that a worker lives; it asks several times a second, and one note a minute will do."""
    heard = worker.last_heartbeat_at
    if heard is None or now - heard >= _HEARD_EVERY or worker.status == WorkerStatus.OFFLINE:
        worker.last_heartbeat_at = now
    if worker.status == WorkerStatus.OFFLINE:
        worker.status = WorkerStatus.IDLE


@dataclass(frozen=True)
class _Start:
    worker: Claimant
    wanted: Wanted
    now: datetime


async def _start(
    tx: WriteTx,
    begun: _Start,
    taken: Sequence[Taken],
    rooms: Mapping[uuid.UUID, int],
) -> list[work_pb2.ClaimedOrder]:
    """Move the tasks of taken orders, and give each an assignment and an execution."""
    worker, wanted, now = begun.worker, begun.wanted, begun.now
    check_transition("work order", WorkOrderStatus.PENDING, WorkOrderStatus.CLAIMED)
    check_transition("task", TaskStatus.QUEUED, TaskStatus.IN_PROGRESS)
    queued = await starting.lock_queued_tasks(tx, [order.task_id for order in taken])
    kept = _within(taken, queued, rooms)
    # Their task was paused while this transaction looked for orders, or its project is full.
    left = {order.id for order in taken} - {order.id for order in kept}
    await claiming.give_back(tx, sorted(left))
    attempts = await starting.attempts_of(tx, [order.task_id for order in kept])
    # Until it ends: recovery finds by it what a dead instance had claimed.
    metrics = column_value(
        work_pb2.ExecutionMetrics(
            instance_id=wanted.instance_id, foreground=wanted.task_id is not None
        )
    )
    executions = [
        _execution(
            task_id=order.task_id,
            worker_id=worker.id,
            work_order_id=order.id,
            lease_generation=order.lease_generation,
            attempt=attempts.get(order.task_id, 0) + 1,
            metrics=metrics,
            now=now,
        )
        for order in kept
    ]
    await starting.start(tx, [queued[order.task_id] for order in kept], executions, now)
    until = now + timedelta(seconds=wanted.lease_s)
    return [
        _message(order, _started(queued[order.task_id], worker, now), execution, worker, until)
        for order, execution in zip(kept, executions, strict=True)
    ]


def _execution(*, now: datetime, **fields: Any) -> Execution:
    """Return a new execution that belongs to no session."""
    return cast(
        "Execution",
        SimpleNamespace(
            id=new_id(),
            machine_id=None,
            result_checkpoint_id=None,
            correlation_id=str(new_id()),
            status=ExecutionStatus.RUNNING,
            exit_code=None,
            completed_at=None,
            duration_seconds=None,
            **dict.fromkeys(("started_at", "created_at", "updated_at"), now),
            **fields,
        ),
    )


def _within(
    taken: Sequence[Taken], queued: Mapping[uuid.UUID, Task], rooms: Mapping[uuid.UUID, int]
) -> list[Taken]:
    """Return the taken orders that may start: their task waits, and their project has room."""
    kept: list[Taken] = []
    used: Counter[Any] = Counter()
    for order in taken:
        task = queued.get(order.task_id)
        if task is None or used[task.project_id] >= rooms.get(task.project_id, len(taken)):  # type: ignore[arg-type]  # a task without a project has no room to run out of
            continue
        used[task.project_id] += 1
        kept.append(order)
    return kept


def _started(task: Task, worker: Claimant, now: datetime) -> work_pb2.Task:
    """Return the message of a task that has just been started, which its row says already."""
    message = task_message(task)
    message.status = TaskStatus.IN_PROGRESS
    message.assigned_to = str(worker.id)
    message.updated_at.FromDatetime(now)
    if task.started_at is None:
        message.started_at.FromDatetime(now)
    return message


def _message(
    order: Taken,
    task: work_pb2.Task,
    execution: Execution,
    worker: Claimant,
    until: datetime,
) -> work_pb2.ClaimedOrder:
    return work_pb2.ClaimedOrder(
        work_order_id=str(order.id),
        lease_generation=order.lease_generation,
        task=task,
        execution=execution_message(execution),
        payload=column_message(order.payload, work_pb2.WorkOrderPayload),
        timeout_s=min(order.timeout_seconds, worker.timeout_seconds),
        lease_expires_at=timestamp(until),
    )
