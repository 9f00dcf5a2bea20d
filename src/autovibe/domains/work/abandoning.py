"""Ending executions that nobody works on any longer: their control plane is dead, or has let go.

A task that a worker did by itself goes on with another one; one that a person waits for is paused,
resumable. An execution that somebody else has ended meanwhile is left alone, so
that two may do this at once, and either of them may be killed while it does.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final

from autovibe.db import WriteTx
from autovibe.domains.machines import get_machine
from autovibe.domains.work import repository
from autovibe.domains.work.completions import finish
from autovibe.domains.work.enqueuing import enqueue_again, resumed_payload
from autovibe.domains.work.messages import column_message
from autovibe.domains.work.models import Execution, WorkOrderStatus
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import work_pb2

_MOST_ATTEMPTS: Final = 5
_DEAD = work_pb2.ExecutionMetrics(
    stop_reason="CONTROL_PLANE_DIED",
    message="The control plane ended while the task was running.",
)
_EXPIRED = work_pb2.ExecutionMetrics(
    stop_reason="LEASE_EXPIRED",
    message="Nobody prolonged the lease of the task's order in time.",
)


async def abandon(tx: WriteTx, ctx: CallContext, request: work_pb2.AbandonExecutionsRequest) -> int:
    """End the executions that a request names; return how many there were.

    Raises:
        InvalidArgumentError: it names none.
    """
    if not (request.machine_id or request.instance_id or request.expired):
        raise InvalidArgumentError(
            "Say whose executions are to be ended: a machine's, an instance's, or expired ones.",
            field="machine_id",
        )
    abandoned = 0
    if request.machine_id:
        found = await repository.running_on(tx, uuid.UUID(request.machine_id))
        abandoned += await _end(tx, ctx, found, _DEAD, request.result_checkpoint_id)
    if request.instance_id:
        found = [
            execution
            for execution in await repository.running(tx)
            if claimed_by(execution) == request.instance_id
        ]
        abandoned += await _end(tx, ctx, found, _DEAD)
    if request.expired:
        living = set(request.living_instance_ids)
        found = [
            execution
            for execution in await repository.running_over_lease(tx, ctx.clock.now())
            if claimed_by(execution) not in living
        ]
        abandoned += await _end(tx, ctx, found, _EXPIRED)
    return abandoned


def claimed_by(execution: Execution) -> str:
    """Return the instance that claimed the order of a running execution, "" if it is not known."""
    return column_message(execution.metrics, work_pb2.ExecutionMetrics).instance_id


async def _end(
    tx: WriteTx,
    ctx: CallContext,
    executions: Sequence[Execution],
    metrics: work_pb2.ExecutionMetrics,
    result_checkpoint_id: str = "",
) -> int:
    ended = 0
    for execution in executions:
        if not await _is_held(tx, execution):
            continue
        checkpoint_id = result_checkpoint_id
        if not checkpoint_id and execution.machine_id is not None:
            machine = await get_machine(tx, execution.machine_id)
            checkpoint_id = str(machine.last_checkpoint_id or "")
        request = work_pb2.FinishExecutionRequest(
            execution_id=str(execution.id),
            lease_generation=execution.lease_generation,
            outcome="paused",
            result_checkpoint_id=checkpoint_id,
            metrics=metrics,
        )
        goes_on = _goes_on(execution)
        task = await finish(tx, ctx, request)
        if goes_on:
            await enqueue_again(tx, ctx, task, await resumed_payload(tx, task))
        ended += 1
    return ended


def _goes_on(execution: Execution) -> bool:
    """Return whether another worker is to go on by itself, from the last checkpoint.

    Not where a person waits for the run, who decides; nor with a task that ends its workers.
    """
    told = column_message(execution.metrics, work_pb2.ExecutionMetrics)
    return not (told.foreground or told.stop_requested) and execution.attempt < _MOST_ATTEMPTS


async def _is_held(tx: WriteTx, execution: Execution) -> bool:
    """Return whether an execution still holds its order, which is locked from here on."""
    if execution.work_order_id is None:
        return False
    order = await repository.lock_order(tx, execution.work_order_id)
    return (
        order is not None
        and order.status == WorkOrderStatus.CLAIMED
        and order.lease_generation == execution.lease_generation
    )
