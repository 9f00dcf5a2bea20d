from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from plane import Plane, write_files

from autovibe.v1 import queue_pb2


@pytest.fixture
async def base(plane: Plane, tmp_path: Path) -> str:
    """Give a project with a checkpoint, and a registered worker."""
    await plane.project()
    write_files(tmp_path / "dir", {"a": "1"})
    await plane.worker()
    return (await plane.load(tmp_path / "dir")).checkpoint.id


async def _wait(plane: Plane, bell: str = "", **fields: object) -> queue_pb2.WaitForWorkResponse:
    return await plane.services.queue.wait_for_work(
        queue_pb2.WaitForWorkRequest(worker_id=plane.worker_id, bell=bell, **fields)
    )


async def test_a_bell_that_rang_before_the_wait_is_heard(plane: Plane, base: str):
    bell = (await _wait(plane)).bell
    assert (await _wait(plane, bell, wait_s=0)).bell == bell
    await plane.task()
    rung = await _wait(plane, bell, wait_s=60)
    assert rung.bell != bell
    assert (await _wait(plane, rung.bell, wait_s=0)).bell == rung.bell
    assert (await _wait(plane, "of another process:7", wait_s=60)).bell == rung.bell


async def test_whoever_waits_wakes_up_when_a_task_is_queued(plane: Plane, base: str):
    bell = (await _wait(plane)).bell
    waiting = [asyncio.create_task(_wait(plane, bell, wait_s=60)) for _ in range(3)]
    await plane.task()
    assert {answer.bell for answer in await asyncio.gather(*waiting)} != {bell}


async def test_a_worker_hears_once_which_task_it_is_to_stop(plane: Plane, base: str):
    bell = (await _wait(plane)).bell
    task = await plane.task()
    stop = queue_pb2.RequestStopRequest(task_id=task.id)
    assert not (await plane.services.queue.request_stop(stop)).asked
    order = await plane.claimed()
    bell = (await _wait(plane, bell)).bell
    waiting = asyncio.create_task(_wait(plane, bell, wait_s=60))
    assert (await plane.services.queue.request_stop(stop)).asked
    bell = (await waiting).bell
    assert (await _wait(plane, bell, wait_s=60)).stop_task_ids == [task.id]
    known = await _wait(plane, bell, wait_s=0, stopping_task_ids=[task.id])
    assert not known.stop_task_ids
    await plane.finish(order, "paused")
    assert not (await plane.services.queue.request_stop(stop)).asked
    assert not (await _wait(plane, bell, wait_s=0)).stop_task_ids
