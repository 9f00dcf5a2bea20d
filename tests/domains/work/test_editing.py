"""Changing tasks, also while their orders wait."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from plane import Plane, write_files

from autovibe.domains.etags import EtagMismatchError
from autovibe.domains.work.errors import (
    ParentNotAllowedError,
    TaskHasStartedError,
    TaskNotFoundError,
)
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.protoconv import from_struct
from autovibe.v1 import tasks_pb2, work_pb2


@pytest.fixture
async def ready(plane: Plane, tmp_path: Path) -> Plane:
    """A control plane with a project that has a checkpoint, and a worker."""
    await plane.project()
    write_files(tmp_path / "dir", {"a": "1"})
    await plane.load(tmp_path / "dir")
    await plane.worker(slots=2)
    return plane


async def edit(plane: Plane, task_id: str, **fields: Any) -> work_pb2.Task:
    return await plane.services.work.update_task(
        tasks_pb2.UpdateTaskRequest(task_id=task_id, **fields)
    )


async def test_what_waits_in_the_queue_is_claimed_as_it_was_changed(ready: Plane) -> None:
    first, second = await ready.task(), await ready.task()
    changed = await edit(
        ready, second.id, title="Better", description="Do it well", priority="critical"
    )
    assert (changed.title, changed.description, changed.priority) == (
        "Better",
        "Do it well",
        "critical",
    )
    order = await ready.claimed()
    assert order.task.id == second.id
    assert order.payload.prompt == "Do it well"
    assert (await ready.claimed()).task.id == first.id


async def test_labels_are_set_and_taken_away_and_others_stay(ready: Plane) -> None:
    task = await ready.task(start=False)
    await edit(ready, task.id, labels=["team=web", "size=s"])
    changed = await edit(ready, task.id, labels=["size=", "risk=low"])
    assert from_struct(changed.metadata)["labels"] == {"team": "web", "risk": "low"}
    with pytest.raises(InvalidArgumentError):
        await edit(ready, task.id, labels=["nothing"])


async def test_a_change_of_something_older_is_refused(ready: Plane) -> None:
    task = await ready.task(start=False)
    changed = await edit(ready, task.id, title="One", etag=task.etag)
    assert changed.etag != task.etag
    with pytest.raises(EtagMismatchError):
        await edit(ready, task.id, title="Two", etag=task.etag)
    assert (await ready.see(task.id)).title == "One"


async def test_what_a_task_is_cannot_be_changed_while_it_is_worked_on(ready: Plane) -> None:
    task = await ready.task()
    await ready.claimed()
    assert (await edit(ready, task.id, title="New", pr_number=4)).pr_number == 4
    for fields in (
        {"description": "Something else"},
        {"task_type": "docs"},
        {"permission_level": "supervised"},
    ):
        with pytest.raises(TaskHasStartedError):
            await edit(ready, task.id, **fields)
    with pytest.raises(TaskNotFoundError):
        await edit(ready, "00000000", title="x")


async def test_a_part_never_has_more_leave_than_the_whole(ready: Plane) -> None:
    whole = await ready.task(start=False)
    part = await ready.task(start=False, parent_task_id=whole.id)
    with pytest.raises(ParentNotAllowedError):
        await edit(ready, whole.id, permission_level="human_required")
    await edit(ready, part.id, permission_level="human_required")
    await edit(ready, whole.id, permission_level="supervised")
    with pytest.raises(ParentNotAllowedError):
        await edit(ready, part.id, permission_level="autonomous")


async def test_tasks_are_listed_in_the_order_that_is_asked_for(ready: Plane) -> None:
    for title, priority in (("b", "low"), ("a", "critical"), ("c", "normal"), ("d", "high")):
        await ready.task(start=False, title=title, priority=priority)
        ready.clock.advance(seconds=1)

    async def titles(order_by: str) -> str:
        found, token = "", ""
        while True:
            page = await ready.services.work.list_tasks(
                work_pb2.ListTasksRequest(order_by=order_by, page_size=2, page_token=token)
            )
            found += "".join(task.title for task in page.tasks)
            token = page.next_page_token
            if not token:
                return found

    assert await titles("") == "dcab"
    assert await titles("created_at") == "bacd"
    assert await titles("title") == "abcd"
    assert await titles("-priority") == "adcb"
    assert await titles("priority") == "bcda"
    first = await ready.services.work.list_tasks(work_pb2.ListTasksRequest(page_size=1))
    with pytest.raises(InvalidArgumentError):
        await ready.services.work.list_tasks(
            work_pb2.ListTasksRequest(order_by="title", page_token=first.next_page_token)
        )
