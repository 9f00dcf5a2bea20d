"""The lease on an order: who holds it, and until when (decision D9)."""

from __future__ import annotations

import uuid

from autovibe.db import WriteTx
from autovibe.domains.work import repository
from autovibe.domains.work.errors import LeaseLostError
from autovibe.domains.work.models import Execution, WorkOrder, WorkOrderStatus


async def check_lease(tx: WriteTx, work_order_id: uuid.UUID, lease_generation: int) -> WorkOrder:
    """Return the order, locked, if this generation still holds it.

    Raises:
        LeaseLostError: it was released, or passed to another worker.
    """
    order = await repository.lock_order(tx, work_order_id)
    if (
        order is None
        or order.lease_generation != lease_generation
        or order.status != WorkOrderStatus.CLAIMED
    ):
        raise lease_lost(work_order_id)
    return order


def lease_lost(work_order_id: uuid.UUID) -> LeaseLostError:
    """Return the error of a report under a lease that has ended."""
    return LeaseLostError(
        "The work order has passed to another worker; this report changes nothing.",
        work_order_id=str(work_order_id),
    )


async def check_execution(tx: WriteTx, execution_id: uuid.UUID, lease_generation: int) -> Execution:
    """Return an execution of this generation, whose order nobody has claimed since.

    It may have ended: its last log lines come after its end.

    Raises:
        LeaseLostError: it belongs to another generation, or its order has a newer one.
    """
    execution = await tx.session.get(Execution, execution_id)
    newest = None
    if execution is not None and execution.work_order_id is not None:
        newest = await repository.generation_of(tx, execution.work_order_id)
    if execution is None or not execution.lease_generation == lease_generation == newest:
        raise LeaseLostError(
            "The execution belongs to another lease; this report changes nothing.",
            execution_id=str(execution_id),
        )
    return execution
