"""What an attempt is told of those before it."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from plane import Plane, write_files

from autovibe.v1 import work_pb2


async def begun(plane: Plane, tmp_path: Path) -> work_pb2.Task:
    await plane.project()
    write_files(tmp_path / "dir", {"a": "1"})
    await plane.load(tmp_path / "dir")
    task = await plane.task()
    await plane.worker()
    return task


async def told(plane: Plane, order: work_pb2.ClaimedOrder) -> tuple[int, str]:
    earlier = await plane.services.work.get_earlier_attempts(
        work_pb2.GetEarlierAttemptsRequest(execution_id=order.execution.id)
    )
    return earlier.failed, earlier.cost_cad


async def attempt(
    plane: Plane, task: work_pb2.Task, outcome: str = "failed", **metrics: Any
) -> tuple[int, str]:
    """Do an attempt that ends so, let the task go on, and return what it had been told."""
    order = await plane.claimed(task_id=task.id)
    before = await told(plane, order)
    await plane.finish(order, outcome, metrics=work_pb2.ExecutionMetrics(**metrics))
    await plane.services.work.resume_task(work_pb2.ResumeTaskRequest(task_id=task.id))
    return before


async def last(plane: Plane, task: work_pb2.Task) -> tuple[int, str]:
    return await told(plane, await plane.claimed(task_id=task.id))


async def test_attempts_that_changed_nothing_are_counted_with_their_cost(
    plane: Plane, tmp_path: Path
):
    task = await begun(plane, tmp_path)
    assert await attempt(plane, task, cost_since_change_cad="1.00") == (0, "0.00")
    assert await attempt(plane, task, "timeout", cost_since_change_cad="1.75") == (1, "1.00")
    assert await last(plane, task) == (2, "1.75")


async def test_a_change_ends_the_count_and_its_cost_goes_on_from_there(
    one_plane: Plane, tmp_path: Path
):
    task = await begun(one_plane, tmp_path)
    await attempt(one_plane, task, cost_since_change_cad="3.00")
    await attempt(one_plane, task, cost_since_change_cad="0.25", changed_files=True)
    await attempt(one_plane, task, cost_since_change_cad="0.50")
    assert await last(one_plane, task) == (1, "0.50")


async def test_a_pause_is_no_failure_and_what_died_has_no_number(one_plane: Plane, tmp_path: Path):
    task = await begun(one_plane, tmp_path)
    await attempt(one_plane, task, cost_since_change_cad="0.40")
    await attempt(
        one_plane, task, "paused", stop_reason="INTERRUPTED", cost_since_change_cad="0.70"
    )
    await attempt(one_plane, task, "paused", stop_reason="CONTROL_PLANE_DIED")
    assert await last(one_plane, task) == (1, "0.70")


async def test_letting_a_task_go_on_closes_the_breaker(one_plane: Plane, tmp_path: Path):
    task = await begun(one_plane, tmp_path)
    await attempt(one_plane, task, cost_since_change_cad="2.00")
    order = await one_plane.claimed(task_id=task.id)
    metrics = work_pb2.ExecutionMetrics(stop_reason="BREAKER_OPEN", cost_since_change_cad="5.00")
    blocked = await one_plane.finish(order, "paused", metrics=metrics)
    assert (blocked.status, blocked.block_reason) == ("blocked", "BREAKER_OPEN")
    await one_plane.services.work.resume_task(work_pb2.ResumeTaskRequest(task_id=task.id))
    assert await last(one_plane, task) == (0, "0.00")


async def test_an_execution_that_nobody_knows_has_had_none_before(one_plane: Plane):
    earlier = await one_plane.services.work.get_earlier_attempts(
        work_pb2.GetEarlierAttemptsRequest(execution_id=str(uuid.uuid4()))
    )
    assert (earlier.failed, earlier.cost_cad) == (0, "0.00")
