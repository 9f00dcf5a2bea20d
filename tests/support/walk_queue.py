"""The part of a walk that is about workers and orders."""

from __future__ import annotations

import contextlib

from autovibe import __version__
from autovibe.kernel.errors import AutovibeError
from autovibe.sdk.services import Services
from autovibe.v1 import queue_pb2, work_pb2

NOBODY = "00000000-0000-4000-8000-000000000000"


async def register(services: Services, name: str) -> work_pb2.Worker:
    """Register a worker that can do something."""
    return await services.queue.register_worker(
        queue_pb2.RegisterWorkerRequest(
            name=name,
            worker_type="docs",
            max_concurrent_tasks=3,
            capabilities=["ü" if name == "refused" else "python:expert", "docker"],
            version=__version__,
            machine_types=["shell"],
            isolations=["process"],
            host="host",
        )
    )


async def queue(services: Services, instance_id: str) -> None:
    """Register a worker, let it claim and complete in batches, stop, drain and sign off."""
    work, queue = services.work, services.queue
    worker = await register(services, "walker")
    with contextlib.suppress(AutovibeError):
        await register(services, "refused")
    await queue.heartbeat_worker(queue_pb2.HeartbeatWorkerRequest(worker_id=worker.id))
    await queue.list_workers(queue_pb2.ListWorkersRequest(statuses=["idle"]))
    await queue.get_worker(queue_pb2.GetWorkerRequest(worker_id=worker.id))
    await queue.wait_for_work(queue_pb2.WaitForWorkRequest(worker_id=worker.id))
    await queue.set_queue_limit(queue_pb2.SetQueueLimitRequest(project="website", max_running=2))
    task = await work.create_task(
        work_pb2.CreateTaskRequest(
            project="website",
            priority="critical",
            context=work_pb2.TaskContext(
                agent="shell",
                isolation="process",
                agent_args=["true"],
                worker_type="docs",
                capabilities=["python:advanced"],
                max_retries=1,
                expires_s=86_400,
            ),
            start=True,
        )
    )
    claimed = await queue.claim_many(
        queue_pb2.ClaimManyRequest(
            worker_id=worker.id, instance_id=instance_id, lease_s=60, limit=1
        )
    )
    order = claimed.orders[0]
    assert order.task.id == task.id
    await queue.request_stop(queue_pb2.RequestStopRequest(task_id=task.id))
    with contextlib.suppress(AutovibeError):
        await queue.sign_off_worker(queue_pb2.SignOffWorkerRequest(worker_id=worker.id))
    for outcome in ("failed", "completed"):  # the second comes too late
        await queue.complete_many(
            queue_pb2.CompleteManyRequest(
                reports=[
                    work_pb2.FinishExecutionRequest(
                        execution_id=order.execution.id,
                        lease_generation=order.lease_generation,
                        outcome=outcome,
                    )
                ]
            )
        )
    await queue.list_work_orders(
        queue_pb2.ListWorkOrdersRequest(statuses=["pending"], project="website", page_size=1)
    )
    await queue.get_work_order(queue_pb2.GetWorkOrderRequest(work_order_id=order.work_order_id))
    for order_id in (order.work_order_id, NOBODY):
        with contextlib.suppress(AutovibeError):
            await queue.requeue_work_order(
                queue_pb2.RequeueWorkOrderRequest(work_order_id=order_id)
            )
    await queue.drain_worker(queue_pb2.DrainWorkerRequest(worker_id=worker.id))
    await queue.sign_off_worker(queue_pb2.SignOffWorkerRequest(worker_id=worker.id))
    await work.cancel_task(work_pb2.CancelTaskRequest(task_id=task.id))
