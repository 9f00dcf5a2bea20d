"""Changing what a task is, also while it waits in the queue."""

from __future__ import annotations

from typing import Any, Final, cast

from autovibe.db import WriteTx
from autovibe.domains.etags import check_etag
from autovibe.domains.work import repository
from autovibe.domains.work.errors import TaskHasStartedError
from autovibe.domains.work.labels import check_labels, wanted_labels
from autovibe.domains.work.messages import column_message, column_value, task_message
from autovibe.domains.work.models import (
    PermissionLevel,
    Task,
    TaskPriority,
    TaskStatus,
    TaskType,
    WorkOrder,
    WorkOrderStatus,
)
from autovibe.domains.work.repository import graph as graph_repository
from autovibe.domains.work.subtasks import check_parts_may, part_level
from autovibe.domains.work.tasks import get_task
from autovibe.kernel.context import CallContext
from autovibe.kernel.protoconv import id_text
from autovibe.v1 import tasks_pb2, work_pb2

_SETTLED: Final = (TaskStatus.IN_PROGRESS, TaskStatus.COMPLETED, TaskStatus.CANCELLED)
_WHAT_IT_IS: Final = ("description", "task_type", "permission_level")


async def update_task(
    tx: WriteTx, ctx: CallContext, request: tasks_pb2.UpdateTaskRequest
) -> work_pb2.Task:
    """Change a task, and with it the order that waits for a worker.

    Raises:
        TaskNotFoundError: there is none.
        EtagMismatchError: it has changed since the caller looked.
        TaskHasStartedError: it cannot become something else any more.
        ParentNotAllowedError: it would have more leave than the task that it is a part of, or less
            than its own parts.
    """
    del ctx
    task = await get_task(tx, request.task_id)
    order = await repository.newest_order(tx, task.id)
    if order is not None:  # a claim locks the order first, too
        await repository.refresh_locked(tx, order)
    await repository.refresh_locked(tx, task)
    check_etag(request.etag, task_message(task).etag)
    if any(getattr(request, name) for name in _WHAT_IT_IS):
        _check_not_begun(task)
    await _set_level(tx, task, request.permission_level)
    task.title = request.title or task.title
    task.description = request.description or task.description
    task.task_type = TaskType(request.task_type or task.task_type)
    task.priority = TaskPriority(request.priority or task.priority)
    task.issue_number = request.issue_number or task.issue_number
    task.pr_number = request.pr_number or task.pr_number
    task.repository_url = request.repository_url or task.repository_url
    if request.labels:
        task.metadata_ = _with_labels(task.metadata_, wanted_labels(request.labels))
    if order is not None and order.status == WorkOrderStatus.PENDING:
        _bring_order_up_to_date(order, task)
    await tx.session.flush()  # the time of the change is part of the answer
    return task_message(task)


def _check_not_begun(task: Task) -> None:
    if task.status in _SETTLED:
        raise TaskHasStartedError(
            f"Task {task.id} is {task.status}; what it is to do, its type and its permission can "
            "be changed only before. Pause it first, or create another task.",
            task_id=str(task.id),
            status=task.status,
        )


async def _set_level(tx: WriteTx, task: Task, wanted: str) -> None:
    if not wanted or wanted == task.permission_level:
        return
    if task.parent_task_id is not None:
        parent = await get_task(tx, id_text(task.parent_task_id))
        part_level(parent.permission_level, wanted, str(parent.id))
    check_parts_may(str(task.id), wanted, await graph_repository.levels_below(tx, task.id))
    task.permission_level = PermissionLevel(wanted)


def _with_labels(metadata: dict[str, Any], changes: dict[str, str]) -> dict[str, Any]:
    labels = cast("dict[str, str]", metadata.get("labels", {})) | changes
    changed = {**metadata, "labels": {name: value for name, value in labels.items() if value}}
    check_labels(changed)
    return changed


def _bring_order_up_to_date(order: WorkOrder, task: Task) -> None:
    """Let the order that waits say what the task says now."""
    order.priority = task.priority.rank
    payload = column_message(order.payload, work_pb2.WorkOrderPayload)
    payload.prompt = task.description or ""
    order.payload = column_value(payload)
