"""Deleting tasks: they are hidden everywhere, and nothing else goes with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from plane import Plane, write_files

from autovibe.domains.work.errors import (
    TaskNeededError,
    TaskNotFinishedError,
    TaskNotFoundError,
)
from autovibe.v1 import tasks_pb2, work_pb2


async def delete(plane: Plane, task_id: str) -> work_pb2.Task:
    return await plane.services.work.delete_task(tasks_pb2.DeleteTaskRequest(task_id=task_id))


async def cancel(plane: Plane, task_id: str) -> None:
    await plane.services.work.cancel_task(work_pb2.CancelTaskRequest(task_id=task_id))


async def begin(plane: Plane, tmp_path: Path) -> None:
    """Make a project with a checkpoint, and a worker."""
    await plane.project()
    write_files(tmp_path / "dir", {"a": "1"})
    await plane.load(tmp_path / "dir")
    await plane.worker()


async def test_a_deleted_task_is_hidden_and_what_it_did_stays(plane: Plane, tmp_path: Path) -> None:
    await begin(plane, tmp_path)
    task, other = await plane.task(), await plane.task(start=False)
    order = await plane.claimed()
    await plane.say(order, "a line")
    await plane.finish(order)

    assert (await delete(plane, task.id[:8])).id == task.id

    listed = await plane.services.work.list_tasks(work_pb2.ListTasksRequest())
    assert [one.id for one in listed.tasks] == [other.id]
    drawn = await plane.services.work.get_task_graph(
        tasks_pb2.GetTaskGraphRequest(project="website")
    )
    assert [one.id for one in drawn.nodes] == [other.id]
    with pytest.raises(TaskNotFoundError):
        await plane.see(task.id)
    with pytest.raises(TaskNotFoundError):
        await delete(plane, task.id)
    for table in ("executions", "execution_logs", "work_orders"):
        assert await plane.rows(f"SELECT count(*) FROM {table}") == [(1,)]
    deleted = "SELECT count(*) FROM tasks WHERE deleted_at IS NOT NULL AND status = 'completed'"
    assert await plane.rows(deleted) == [(1,)]


async def test_only_a_task_that_cannot_go_on_is_deleted(one_plane: Plane, tmp_path: Path) -> None:
    plane = one_plane
    await begin(plane, tmp_path)
    task = await plane.task()
    with pytest.raises(TaskNotFinishedError, match="is queued; cancel it first"):
        await delete(plane, task.id)
    order = await plane.claimed()
    await plane.finish(order, "paused")
    with pytest.raises(TaskNotFinishedError, match="is blocked"):
        await delete(plane, task.id)
    await cancel(plane, task.id)
    await delete(plane, task.id)


async def test_a_task_that_others_need_stays(one_plane: Plane, tmp_path: Path) -> None:
    plane = one_plane
    await begin(plane, tmp_path)
    parent = await plane.task(start=False)
    child = await plane.task(start=False, parent_task_id=parent.id)
    waiting = await plane.task(start=False)
    await plane.services.work.add_task_dependency(
        tasks_pb2.AddTaskDependencyRequest(task_id=waiting.id, depends_on_task_id=parent.id)
    )
    await plane.services.work.resume_task(work_pb2.ResumeTaskRequest(task_id=waiting.id))
    await cancel(plane, parent.id)
    with pytest.raises(TaskNeededError, match=f"have not finished \\({child.id}\\)"):
        await delete(plane, parent.id)
    await cancel(plane, child.id)
    with pytest.raises(TaskNeededError, match=f"Task {waiting.id} waits for task {parent.id}"):
        await delete(plane, parent.id)
    await plane.services.work.remove_task_dependency(
        tasks_pb2.RemoveTaskDependencyRequest(task_id=waiting.id, depends_on_task_id=parent.id)
    )
    await delete(plane, parent.id)
    assert (await plane.see(child.id)).parent_task_id == parent.id
