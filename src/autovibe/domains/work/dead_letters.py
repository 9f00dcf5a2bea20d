"""Orders as people see them: what waits, what runs, and what is dead and can be queued again."""

from __future__ import annotations

import uuid
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.work import repository
from autovibe.domains.work.enqueuing import enqueue_again, resumed_payload
from autovibe.domains.work.errors import OrderNotDeadError, WorkOrderNotFoundError
from autovibe.domains.work.models import Task, TaskStatus, WorkOrder, WorkOrderStatus
from autovibe.domains.work.repository import orders as order_rows
from autovibe.kernel.context import CallContext
from autovibe.kernel.protoconv import timestamp
from autovibe.v1 import queue_pb2

_DEAD: Final = frozenset({WorkOrderStatus.FAILED, WorkOrderStatus.EXPIRED})


async def get_order(tx: ReadTx, order_id: str) -> tuple[WorkOrder, Task]:
    """Return an order and its task.

    Raises:
        WorkOrderNotFoundError: there is none.
    """
    found = await order_rows.find_order(tx, uuid.UUID(order_id))
    if found is None:
        raise WorkOrderNotFoundError(
            f"There is no order {order_id}; see `autovibe queue list`.", work_order_id=order_id
        )
    return found


async def requeue(tx: WriteTx, ctx: CallContext, order_id: str) -> queue_pb2.WorkOrder:
    """Queue the task of a dead order again, with all its retries.

    Raises:
        WorkOrderNotFoundError: there is none.
        OrderNotDeadError: it is not dead, or its task goes on otherwise.
    """
    order, task = await get_order(tx, order_id)
    await repository.refresh_locked(tx, order)  # before the task, as a claim does
    await repository.refresh_locked(tx, task)
    newest = await repository.newest_order(tx, task.id)
    if (
        order.status not in _DEAD
        or task.status != TaskStatus.FAILED
        or newest is None
        or newest.id != order.id
    ):
        raise OrderNotDeadError(
            f"Order {order.id} is {order.status} and its task {task.status}; only one that has "
            "failed or expired, and whose task has failed with it, can be queued again.",
            order_status=order.status,
            task_status=task.status,
        )
    queued = await enqueue_again(tx, ctx, task, await resumed_payload(tx, task))
    queued.retry_count = 0
    await tx.session.flush()  # the answer shows the order as it is now
    return order_message(queued, task)


def order_message(order: WorkOrder, task: Task) -> queue_pb2.WorkOrder:
    """Return the message of an order."""
    return queue_pb2.WorkOrder(
        id=str(order.id),
        task_id=str(order.task_id),
        task_title=task.title,
        queue_name=order.queue_name,
        status=order.status,
        priority=order.priority,
        fair_key=order.fair_key,
        worker_type=order.worker_type or "",
        required_capabilities=order.required_capabilities,
        error_message=order.error_message or "",
        retry_count=order.retry_count,
        max_retries=order.max_retries,
        timeout_seconds=order.timeout_seconds,
        lease_generation=order.lease_generation,
        lease_expires_at=timestamp(order.lease_expires_at),
        enqueued_at=timestamp(order.enqueued_at),
        available_at=timestamp(order.available_at),
        claimed_at=timestamp(order.claimed_at),
        completed_at=timestamp(order.completed_at),
        expires_at=timestamp(order.expires_at),
        created_at=timestamp(order.created_at),
        updated_at=timestamp(order.updated_at),
    )
