"""Waiting for work: a worker hears at once of new orders, and of what else is wanted of it."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.db.bells import Bells
from autovibe.domains.work.enqueuing import DEFAULT_QUEUE, queue_topic
from autovibe.domains.work.errors import TaskNotFoundError
from autovibe.domains.work.messages import column_message, column_value, worker_traits
from autovibe.domains.work.models import Task
from autovibe.domains.work.repository import orders as order_rows
from autovibe.domains.work.repository import workers as worker_rows
from autovibe.domains.work.workers import get_worker, worker_topic
from autovibe.kernel.context import CallContext
from autovibe.v1 import queue_pb2, work_pb2

_EPOCH_BYTES: Final = 8


@dataclass(frozen=True)
class WaitPlan:
    """What a worker waits for."""

    topics: tuple[str, str]
    bell: str
    wait_s: float
    answer: queue_pb2.WaitForWorkResponse
    """What is wanted of it now; then it need not wait."""


class WaitForWork:
    """The long operation WaitForWork."""

    def __init__(self, bells: Bells) -> None:
        """Wait for bells of this process."""
        self._bells = bells
        # Counts of another process, or of this one before its restart, say nothing here.
        self._epoch = secrets.token_hex(_EPOCH_BYTES)

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: queue_pb2.WaitForWorkRequest
    ) -> WaitPlan:
        """Look whether something is wanted of the worker, and when the next retry is due.

        Raises:
            WorkerNotFoundError: the worker is not registered.
        """
        queue_name = request.queue_name or DEFAULT_QUEUE
        worker = await get_worker(tx, request.worker_id)
        executions = await worker_rows.running_of_worker(tx, worker.id)
        wanted = {
            str(execution.task_id)
            for execution in executions
            if column_message(execution.metrics, work_pb2.ExecutionMetrics).stop_requested
        }
        wait_s = float(request.wait_s)
        now = ctx.clock.now()
        due = await order_rows.next_due(tx, queue_name, now)
        if due is not None:
            wait_s = min(wait_s, (due - now).total_seconds())
        return WaitPlan(
            (queue_topic(queue_name), worker_topic(str(worker.id))),
            request.bell,
            wait_s,
            queue_pb2.WaitForWorkResponse(
                stop_task_ids=sorted(wanted - set(request.stopping_task_ids)),
                draining=worker_traits(worker).draining,
            ),
        )

    async def act(self, ctx: CallContext, plan: WaitPlan) -> queue_pb2.WaitForWorkResponse:
        """Wait until a bell rings or the time is up."""
        del ctx
        epoch, _, seen = plan.bell.partition(":")
        answer = plan.answer
        count = self._bells.count(plan.topics)
        nothing_wanted = not answer.stop_task_ids and not answer.draining
        if nothing_wanted and epoch == self._epoch and seen == str(count):
            count = await self._bells.wait(plan.topics, count, plan.wait_s)
        answer.bell = f"{self._epoch}:{count}"
        return answer


async def request_stop(
    tx: WriteTx, ctx: CallContext, request: queue_pb2.RequestStopRequest
) -> bool:
    """Ask whoever works on a task to stop it; return whether somebody does.

    Raises:
        TaskNotFoundError: there is no such task.
    """
    del ctx
    task = await tx.session.get(Task, uuid.UUID(request.task_id))
    if task is None:
        raise TaskNotFoundError(
            f"There is no task {request.task_id}; see `autovibe task list`.",
            task_id=request.task_id,
        )
    running = await worker_rows.running_of_task(tx, task.id)
    for execution in running:
        metrics = column_message(execution.metrics, work_pb2.ExecutionMetrics)
        metrics.stop_requested = True
        execution.metrics = column_value(metrics)
        tx.ring(worker_topic(str(execution.worker_id)))
    return bool(running)
