"""Deleting a task softly: it is shown nowhere any more, and what it has cost and done stays."""

from __future__ import annotations

from autovibe.db import WriteTx
from autovibe.domains.work import repository
from autovibe.domains.work.errors import TaskNeededError, TaskNotFinishedError
from autovibe.domains.work.messages import task_message
from autovibe.domains.work.models import TaskStatus
from autovibe.domains.work.repository import graph as graph_repository
from autovibe.domains.work.tasks import get_task
from autovibe.kernel.context import CallContext
from autovibe.v1 import tasks_pb2, work_pb2

_FINISHED = (TaskStatus.COMPLETED, TaskStatus.CANCELLED)
_NAMED = 3


async def delete_task(
    tx: WriteTx, ctx: CallContext, request: tasks_pb2.DeleteTaskRequest
) -> work_pb2.Task:
    """Set when a task was deleted; one that may go on, or that another needs, stays.

    Raises:
        TaskNotFoundError: there is none.
        TaskNotFinishedError: it has neither completed nor been cancelled.
        TaskNeededError: a task below it has not finished, or another waits for it.
    """
    task = await get_task(tx, request.task_id)
    await repository.refresh_locked(tx, task)
    if task.status not in _FINISHED:
        raise TaskNotFinishedError(
            f"Task {task.id} is {task.status}; cancel it first, with `autovibe task cancel`.",
            task_id=str(task.id),
            status=task.status,
        )
    below = await graph_repository.unfinished_below(tx, task.id, _NAMED)
    if below:
        raise TaskNeededError(
            f"Tasks below task {task.id} have not finished ({', '.join(map(str, below))}); cancel "
            "them first.",
            task_id=str(task.id),
        )
    waiting = await graph_repository.lock_waiting_dependants(tx, [task.id])
    if waiting and task.status != TaskStatus.COMPLETED:
        raise TaskNeededError(
            f"Task {waiting[0].id} waits for task {task.id}; remove that first, with `autovibe "
            f"task undepend {waiting[0].id} {task.id}`.",
            task_id=str(task.id),
        )
    task.deleted_at = ctx.clock.now()
    return task_message(task)
