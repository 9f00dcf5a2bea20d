from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from plane import Plane, write_files

from autovibe import __version__
from autovibe.domains.work.errors import (
    OrderNotDeadError,
    WorkerHoldsOrdersError,
    WorkerNotFoundError,
    WorkerVersionMismatchError,
)
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.protoconv import from_timestamp
from autovibe.v1 import queue_pb2, work_pb2


@pytest.fixture
async def base(one_plane: Plane, tmp_path: Path) -> str:
    """Give a project with a checkpoint, and a registered worker."""
    await one_plane.project()
    write_files(tmp_path / "dir", {"a": "1"})
    await one_plane.worker("w", slots=9)
    return (await one_plane.load(tmp_path / "dir")).checkpoint.id


async def _register(plane: Plane, **fields: object) -> work_pb2.Worker:
    given = {"name": "w", "max_concurrent_tasks": 9, "version": __version__, **fields}
    return await plane.services.queue.register_worker(queue_pb2.RegisterWorkerRequest(**given))


@pytest.mark.req("S3-14", "S3-16", "S3-89")
async def test_a_worker_registers_beats_drains_and_signs_off(one_plane: Plane, base: str):
    plane, queue = one_plane, one_plane.services.queue
    worker = await _register(
        plane, worker_type="docs", capabilities=["python:expert", "docker"], host="here"
    )
    assert worker.id == plane.worker_id  # by its name
    assert (worker.worker_type, worker.status, worker.version) == ("docs", "idle", __version__)
    assert worker.capability_levels == ["docker:intermediate", "python:expert"]
    again = await _register(plane, capabilities=["docker:advanced"])
    assert (again.worker_type, again.capabilities) == ("docs", ["docker"])
    assert again.capability_levels == ["docker:advanced"]

    await plane.task()
    order = await plane.claimed()
    sign_off = queue_pb2.SignOffWorkerRequest(worker_id=worker.id)
    with pytest.raises(WorkerHoldsOrdersError):
        await queue.sign_off_worker(sign_off)
    drained = await queue.drain_worker(queue_pb2.DrainWorkerRequest(worker_id=worker.id[:8]))
    assert drained.traits.draining
    beat = queue_pb2.HeartbeatWorkerRequest(worker_id=worker.id)
    plane.clock.advance(seconds=5)
    assert (await queue.heartbeat_worker(beat)).draining
    await plane.task()
    assert await plane.claim() is None
    await plane.finish(order)
    ended = await queue.sign_off_worker(sign_off)
    assert ended.status == "offline"
    assert from_timestamp(ended.last_heartbeat_at) == plane.clock.now()
    assert not (await _register(plane)).traits.draining
    assert await plane.claim() is not None


async def test_a_worker_that_does_not_fit_is_refused(one_plane: Plane, base: str):
    with pytest.raises(WorkerVersionMismatchError, match=__version__):
        await _register(one_plane, version="9.9.9")
    for wrong in (["python:guru"], ["docker", "docker"]):
        with pytest.raises(InvalidArgumentError):
            await _register(one_plane, capabilities=wrong)
    with pytest.raises(WorkerNotFoundError):
        await one_plane.services.queue.heartbeat_worker(
            queue_pb2.HeartbeatWorkerRequest(worker_id=str(uuid.uuid4()))
        )


async def test_orders_wait_for_a_worker_that_can_do_them(one_plane: Plane, base: str):
    plane = one_plane
    await _register(plane, machine_types=["shell"], isolations=["process"])
    hard = await plane.task(context={"capabilities": ["python:advanced"], "worker_type": "docs"})
    easy = await plane.task()
    assert (await plane.claimed()).task.id == easy.id
    assert await plane.claim() is None
    await _register(plane, capabilities=["python:expert"])
    assert await plane.claim() is None  # it is of another kind
    await _register(plane, worker_type="docs")
    assert await plane.claim() is None  # it has lost what it could do
    await _register(plane, capabilities=["python:expert"], machine_types=["claude_code"])
    assert await plane.claim() is None
    await _register(plane, capabilities=["python:expert"])
    assert (await plane.claimed()).task.id == hard.id


@pytest.mark.parametrize("at_once", [1, 9])
async def test_no_more_tasks_of_a_project_run_than_it_may_have(
    one_plane: Plane, base: str, at_once: int
):
    plane, queue = one_plane, one_plane.services.queue
    for _ in range(4):
        await plane.task()
    await queue.set_queue_limit(queue_pb2.SetQueueLimitRequest(project="website", max_running=2))

    async def claim() -> list[work_pb2.ClaimedOrder]:
        request = queue_pb2.ClaimManyRequest(
            worker_id=plane.worker_id, instance_id=plane.instance_id, lease_s=60, limit=at_once
        )
        found = [await queue.claim_many(request) for _ in range(3)]
        return [order for answer in found for order in answer.orders]

    first = await claim()
    assert len(first) == 2
    await plane.finish(first[0])
    assert len(await claim()) == 1
    await queue.set_queue_limit(queue_pb2.SetQueueLimitRequest(project="website"))
    assert len(await claim()) == 1


async def test_each_report_of_a_batch_has_a_verdict_of_its_own(one_plane: Plane, base: str):
    plane = one_plane
    orders = []
    for _ in range(3):
        await plane.task()
        orders.append(await plane.claimed())
    reports = [
        work_pb2.FinishExecutionRequest(
            execution_id=order.execution.id, lease_generation=generation, outcome=outcome
        )
        for order, generation, outcome in zip(
            orders, (1, 7, 1), ("completed", "completed", "failed"), strict=True
        )
    ]
    unknown = work_pb2.FinishExecutionRequest(
        execution_id=str(uuid.uuid4()), lease_generation=1, outcome="completed"
    )
    answer = await plane.services.queue.complete_many(
        queue_pb2.CompleteManyRequest(reports=[*reports, unknown, reports[0]])
    )
    assert [(one.task_status, one.reason) for one in answer.verdicts] == [
        ("completed", ""),
        ("", "LEASE_LOST"),
        ("failed", ""),
        ("", "LEASE_LOST"),
        ("", "LEASE_LOST"),
    ]
    assert (await plane.see(orders[1].task.id)).status == "in_progress"


async def test_a_dead_order_is_listed_and_queued_again_with_all_its_retries(
    one_plane: Plane, base: str
):
    plane, queue = one_plane, one_plane.services.queue
    await plane.task(context={"max_retries": 1})
    for _ in range(2):
        plane.clock.advance(minutes=1)
        order = await plane.claimed()
        again = queue_pb2.RequeueWorkOrderRequest(work_order_id=order.work_order_id)
        with pytest.raises(OrderNotDeadError):
            await queue.requeue_work_order(again)
        await plane.finish(order, "failed", metrics=work_pb2.ExecutionMetrics(message="why"))
    dead = queue_pb2.ListWorkOrdersRequest(statuses=["failed", "expired"], project="website")
    (listed,) = (await queue.list_work_orders(dead)).work_orders
    assert (listed.id, listed.error_message, listed.retry_count) == (order.work_order_id, "why", 1)
    queued = await queue.requeue_work_order(again)
    assert (queued.status, queued.retry_count, queued.max_retries) == ("pending", 0, 1)
    assert not (await queue.list_work_orders(dead)).work_orders
    assert (await plane.claimed()).task.id == listed.task_id


async def test_a_task_that_a_worker_did_by_itself_goes_on_when_it_has_died(
    one_plane: Plane, base: str
):
    plane = one_plane
    waited_for = await plane.task()
    await plane.claimed(task_id=waited_for.id)
    other = await plane.task()
    for attempt in range(1, 6):
        assert (await plane.claimed()).execution.attempt == attempt
        plane.clock.advance(minutes=2)
        await plane.services.work.abandon_executions(
            work_pb2.AbandonExecutionsRequest(expired=True)
        )
        # It is not tried for ever: something in it may end its workers.
        assert (await plane.see(other.id)).status == ("queued" if attempt < 5 else "blocked")
    assert (await plane.see(waited_for.id)).status == "blocked"
