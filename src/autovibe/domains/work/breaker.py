"""What a new attempt at a task is told of those before it: what they cost without a change."""

from __future__ import annotations

import uuid
from typing import Final

from autovibe.db import ReadTx
from autovibe.domains.work import repository
from autovibe.domains.work.messages import column_message
from autovibe.domains.work.models import Execution, ExecutionStatus
from autovibe.v1 import work_pb2

BREAKER_OPEN: Final = "BREAKER_OPEN"
_FAILED: Final = frozenset({ExecutionStatus.FAILED, ExecutionStatus.TIMEOUT})


async def earlier_attempts(tx: ReadTx, execution_id: uuid.UUID) -> work_pb2.EarlierAttempts:
    """Return how many attempts failed in a row without a change before this one, and their cost.

    An attempt that opened the breaker ends the count: a person has let the task go on since.
    """
    earlier = work_pb2.EarlierAttempts(cost_cad="0.00")
    execution = await tx.session.get(Execution, execution_id)
    if execution is None or execution.attempt <= 1:
        return earlier
    cost = ""
    for other in reversed(await repository.executions_of(tx, execution.task_id)):
        if other.id == execution_id:
            continue
        metrics = column_message(other.metrics, work_pb2.ExecutionMetrics)
        if metrics.stop_reason == BREAKER_OPEN:
            break
        # One that died with its control plane has left no number.
        cost = cost or metrics.cost_since_change_cad
        if metrics.changed_files:
            break
        # One that was interrupted, or ran out of money, has not failed.
        earlier.failed += other.status in _FAILED
    earlier.cost_cad = cost or "0.00"
    return earlier
