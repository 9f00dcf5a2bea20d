"""The life of a worker in the registry: it registers, beats, and signs off."""

from __future__ import annotations

from pathlib import Path

import pytest
from plane import Plane, write_files

from autovibe import __version__
from autovibe.domains.work.errors import WorkerHoldsOrdersError, WorkerNotFoundError
from autovibe.kernel.protoconv import from_timestamp
from autovibe.v1 import queue_pb2, work_pb2


async def seen(plane: Plane, worker_id: str) -> work_pb2.Worker:
    return await plane.services.queue.get_worker(queue_pb2.GetWorkerRequest(worker_id=worker_id))


@pytest.mark.req("S3-14")
async def test_a_worker_registers_beats_and_signs_off(plane: Plane, tmp_path: Path) -> None:
    queue = plane.services.queue
    request = queue_pb2.RegisterWorkerRequest(
        name="builder",
        worker_type="feature",
        max_concurrent_tasks=2,
        capabilities=["python:expert"],
        version=__version__,
    )
    worker = await queue.register_worker(request)
    assert (await seen(plane, worker.id)).status == "idle"

    plane.clock.advance(seconds=30)
    await queue.heartbeat_worker(queue_pb2.HeartbeatWorkerRequest(worker_id=worker.id))
    assert from_timestamp((await seen(plane, worker.id)).last_heartbeat_at) == plane.clock.now()

    # One that does something signs off when that has ended, and not before.
    await plane.project()
    write_files(tmp_path / "dir", {"a": "1"})
    await plane.load(tmp_path / "dir")
    await plane.task()
    plane.worker_id = worker.id
    order = await plane.claimed()
    goodbye = queue_pb2.SignOffWorkerRequest(worker_id=worker.id)
    with pytest.raises(WorkerHoldsOrdersError, match="still holds 1"):
        await queue.sign_off_worker(goodbye)
    await plane.finish(order)
    assert (await queue.sign_off_worker(goodbye)).status == "offline"
    assert (await seen(plane, worker.id)).status == "offline"

    # The same name is the same worker when it comes back.
    assert (await queue.register_worker(request)).id == worker.id
    assert (await seen(plane, worker.id)).status == "idle"
    with pytest.raises(WorkerNotFoundError):
        await queue.sign_off_worker(
            queue_pb2.SignOffWorkerRequest(worker_id="00000000-0000-0000-0000-000000000009")
        )
