"""Resuming tasks that were queued by a process that died before it claimed them."""

from __future__ import annotations

from pathlib import Path

import pytest
from plane import Plane, write_files

from autovibe.domains.work.errors import TaskNotResumableError
from autovibe.v1 import work_pb2


@pytest.fixture(autouse=True)
async def base(plane: Plane, tmp_path: Path) -> str:
    await plane.project()
    write_files(tmp_path / "dir", {"a": "1"})
    imported = await plane.load(tmp_path / "dir")
    await plane.worker("many", slots=9)
    return imported.checkpoint.id


async def resume(plane: Plane, task_id: str, **fields: int) -> work_pb2.Task:
    return await plane.services.work.resume_task(
        work_pb2.ResumeTaskRequest(task_id=task_id, **fields)
    )


@pytest.mark.req("S2-33")
async def test_a_task_that_nobody_claimed_can_be_resumed_and_is_done_once(plane: Plane, base: str):
    task = await plane.task()
    resumed = await resume(plane, task.id, timeout_s=77)
    assert (resumed.id, resumed.status) == (task.id, "queued")
    order = await plane.claimed(task_id=task.id)
    assert (order.timeout_s, order.payload.base_checkpoint_id, order.lease_generation) == (
        77,
        base,
        1,
    )
    assert await plane.claim(task_id=task.id) is None
    assert await plane.rows("SELECT count(*) FROM work_orders") == [(1,)]
    with pytest.raises(TaskNotResumableError):
        await resume(plane, task.id)


async def test_one_that_was_resumed_and_not_claimed_goes_on_where_it_was(plane: Plane, base: str):
    task = await plane.task()
    order = await plane.claimed(task_id=task.id)
    made = await plane.checkpoint(task.project_id, parent_checkpoint_id=base)
    await plane.finish(
        order,
        "paused",
        result_checkpoint_id=made.id,
        metrics=work_pb2.ExecutionMetrics(stop_reason="INTERRUPTED"),
    )
    for _ in range(2):
        assert (await resume(plane, task.id)).status == "queued"
    again = await plane.claimed(task_id=task.id)
    assert again.payload.base_checkpoint_id == made.id
    assert "interrupted" in again.payload.note
    await plane.finish(again)
