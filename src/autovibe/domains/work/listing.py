"""Lists of tasks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from autovibe.db import ReadTx
from autovibe.domains.projects import resolve_project_id
from autovibe.domains.work import repository
from autovibe.domains.work.labels import wanted_labels
from autovibe.domains.work.messages import task_message
from autovibe.domains.work.models import Task
from autovibe.kernel.context import CallContext
from autovibe.kernel.paging import decode_sorted_place, encode_sorted_place, page_size
from autovibe.v1 import work_pb2

_NEWEST_FIRST: Final = "-created_at"
_PARSE: Final[dict[str, Callable[[str], datetime | str | int]]] = {
    "created_at": datetime.fromisoformat,
    "updated_at": datetime.fromisoformat,
    "title": str,
    "priority": int,
}


async def list_tasks(
    tx: ReadTx, ctx: CallContext, request: work_pb2.ListTasksRequest
) -> work_pb2.ListTasksResponse:
    """Return one page of tasks, the newest first unless the caller wants another order.

    Raises:
        ProjectNotFoundError: there is no such project.
    """
    size = page_size(request.page_size)
    order_by = request.order_by or _NEWEST_FIRST
    column = order_by.removeprefix("-")
    rows = await repository.list_tasks(
        tx,
        project_id=await resolve_project_id(tx, request.project) if request.project else None,
        statuses=list(request.statuses),
        labels=wanted_labels(request.labels),
        ready_at=ctx.clock.now() if request.ready else None,
        order_by=order_by,
        after=decode_sorted_place(request.page_token, order_by, _PARSE[column]),
        limit=size + 1,
    )
    last = rows[size - 1] if len(rows) > size else None
    return work_pb2.ListTasksResponse(
        tasks=[task_message(row) for row in rows[:size]],
        next_page_token=encode_sorted_place(order_by, _value(last, column), last.id)
        if last
        else "",
    )


def _value(task: Task, column: str) -> datetime | str | int:
    return task.priority.rank if column == "priority" else getattr(task, column)
