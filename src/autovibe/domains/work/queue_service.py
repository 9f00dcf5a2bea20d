"""The service of workers and their queue; its rules are in the modules beside it."""

from __future__ import annotations

from autovibe.db import ReadTx, WriteTx
from autovibe.db.bells import Bells
from autovibe.db.in_place import hot
from autovibe.domains.projects import resolve_project_id
from autovibe.domains.work import workers
from autovibe.domains.work.claims import Wanted, claim
from autovibe.domains.work.completions import complete_many
from autovibe.domains.work.dead_letters import get_order, order_message, requeue
from autovibe.domains.work.doorbell import WaitForWork, request_stop
from autovibe.domains.work.enqueuing import DEFAULT_QUEUE, queue_topic
from autovibe.domains.work.messages import worker_message, worker_traits
from autovibe.domains.work.repository import orders as order_rows
from autovibe.domains.work.repository import workers as worker_rows
from autovibe.domains.work.watermarks import Watermarks
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.paging import decode_place, encode_place, page_size
from autovibe.v1 import queue_pb2, work_pb2


class QueueService:
    """Implements autovibe.v1.QueueService."""

    def __init__(self, bells: Bells, version: str) -> None:
        """Serve workers of a version, and wake them by the bells of this process."""
        self._version = version
        self._marks = Watermarks()
        self.wait_for_work = WaitForWork(bells)

    async def register_worker(
        self, tx: WriteTx, ctx: CallContext, request: queue_pb2.RegisterWorkerRequest
    ) -> work_pb2.Worker:
        """Register a worker with what it can do.

        Raises:
            WorkerVersionMismatchError: its version does not work with this server.
            InvalidArgumentError: a capability is malformed or named twice.
        """
        return worker_message(await workers.register(tx, ctx, request, self._version))

    async def heartbeat_worker(
        self, tx: WriteTx, ctx: CallContext, request: queue_pb2.HeartbeatWorkerRequest
    ) -> queue_pb2.HeartbeatWorkerResponse:
        """Note that a worker lives.

        Raises:
            WorkerNotFoundError: it is not registered.
        """
        worker = await workers.beat(tx, ctx, request.worker_id)
        return queue_pb2.HeartbeatWorkerResponse(draining=worker_traits(worker).draining)

    async def sign_off_worker(
        self, tx: WriteTx, ctx: CallContext, request: queue_pb2.SignOffWorkerRequest
    ) -> work_pb2.Worker:
        """Note that a worker has ended in order.

        Raises:
            WorkerNotFoundError: it is not registered.
            WorkerHoldsOrdersError: it has not ended all that it does.
        """
        return worker_message(await workers.sign_off(tx, request.worker_id))

    @hot
    async def claim_many(
        self, tx: WriteTx, ctx: CallContext, request: queue_pb2.ClaimManyRequest
    ) -> queue_pb2.ClaimManyResponse:
        """Claim the next orders that a worker may do.

        Raises:
            WorkerNotFoundError: it is not registered.
        """
        wanted = Wanted(
            request.instance_id, request.queue_name, request.lease_s, max(1, request.limit)
        )
        orders = await claim(tx, ctx, request.worker_id, wanted, self._marks)
        return queue_pb2.ClaimManyResponse(orders=orders)

    @hot
    async def complete_many(
        self, tx: WriteTx, ctx: CallContext, request: queue_pb2.CompleteManyRequest
    ) -> queue_pb2.CompleteManyResponse:
        """Record how executions ended; one that cannot be recorded leaves the others alone."""
        verdicts = await complete_many(tx, ctx, request.reports)
        return queue_pb2.CompleteManyResponse(
            verdicts=[
                queue_pb2.CompletionVerdict(reason=verdict.reason, message=verdict.message)
                if isinstance(verdict, AutovibeError)
                else queue_pb2.CompletionVerdict(task_status=verdict)
                for verdict in verdicts
            ]
        )

    async def request_stop(
        self, tx: WriteTx, ctx: CallContext, request: queue_pb2.RequestStopRequest
    ) -> queue_pb2.RequestStopResponse:
        """Ask whoever works on a task to stop it.

        Raises:
            TaskNotFoundError: there is no such task.
        """
        return queue_pb2.RequestStopResponse(asked=await request_stop(tx, ctx, request))

    async def list_workers(
        self, tx: ReadTx, ctx: CallContext, request: queue_pb2.ListWorkersRequest
    ) -> queue_pb2.ListWorkersResponse:
        """Return one page of workers, the newest first."""
        size = page_size(request.page_size)
        rows = await worker_rows.list_workers(
            tx, list(request.statuses), decode_place(request.page_token), size + 1
        )
        last = rows[size - 1] if len(rows) > size else None
        return queue_pb2.ListWorkersResponse(
            workers=[worker_message(row) for row in rows[:size]],
            next_page_token=encode_place(last.created_at, last.id) if last else "",
        )

    async def get_worker(
        self, tx: ReadTx, ctx: CallContext, request: queue_pb2.GetWorkerRequest
    ) -> work_pb2.Worker:
        """Return one worker.

        Raises:
            WorkerNotFoundError: there is none.
        """
        return worker_message(await workers.get_worker(tx, request.worker_id))

    async def drain_worker(
        self, tx: WriteTx, ctx: CallContext, request: queue_pb2.DrainWorkerRequest
    ) -> work_pb2.Worker:
        """Let a worker end what it does and claim nothing more.

        Raises:
            WorkerNotFoundError: there is none.
        """
        return worker_message(await workers.drain(tx, request.worker_id))

    async def list_work_orders(
        self, tx: ReadTx, ctx: CallContext, request: queue_pb2.ListWorkOrdersRequest
    ) -> queue_pb2.ListWorkOrdersResponse:
        """Return one page of orders, the newest first.

        Raises:
            ProjectNotFoundError: there is no such project.
        """
        size = page_size(request.page_size)
        project_id = await resolve_project_id(tx, request.project) if request.project else None
        rows = await order_rows.list_orders(
            tx,
            statuses=list(request.statuses),
            queue_name=request.queue_name,
            project_id=project_id,
            after=decode_place(request.page_token),
            limit=size + 1,
        )
        last = rows[size - 1][0] if len(rows) > size else None
        return queue_pb2.ListWorkOrdersResponse(
            work_orders=[order_message(order, task) for order, task in rows[:size]],
            next_page_token=encode_place(last.enqueued_at, last.id) if last else "",
        )

    async def get_work_order(
        self, tx: ReadTx, ctx: CallContext, request: queue_pb2.GetWorkOrderRequest
    ) -> queue_pb2.WorkOrder:
        """Return one order.

        Raises:
            WorkOrderNotFoundError: there is none.
        """
        return order_message(*await get_order(tx, request.work_order_id))

    async def requeue_work_order(
        self, tx: WriteTx, ctx: CallContext, request: queue_pb2.RequeueWorkOrderRequest
    ) -> queue_pb2.WorkOrder:
        """Queue the task of a dead order again.

        Raises:
            WorkOrderNotFoundError: there is none.
            OrderNotDeadError: it is not dead.
        """
        return await requeue(tx, ctx, request.work_order_id)

    async def set_queue_limit(
        self, tx: WriteTx, ctx: CallContext, request: queue_pb2.SetQueueLimitRequest
    ) -> queue_pb2.QueueShare:
        """Say how many tasks of a project may run at once.

        Raises:
            ProjectNotFoundError: there is no such project.
        """
        project_id = await resolve_project_id(tx, request.project)
        queue_name = request.queue_name or DEFAULT_QUEUE
        share = await order_rows.lock_share(tx, project_id, queue_name)
        share.max_running = request.max_running or None
        tx.ring(queue_topic(queue_name))
        return queue_pb2.QueueShare(
            project_id=str(project_id), queue_name=queue_name, max_running=request.max_running
        )
