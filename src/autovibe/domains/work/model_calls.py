"""What was asked of models and answered by them, where a project keeps it.

A call is a row of `agent_executions` whose outside name is the id that the agent saw: what was
asked is its prompt, what was answered its result.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.contract import Slice
from autovibe.domains.work.errors import ModelCallNotFoundError
from autovibe.domains.work.messages import column_value
from autovibe.domains.work.models import AgentExecution, AgentExecutionStatus
from autovibe.domains.work.repository import model_calls as repository
from autovibe.kernel.context import CallContext
from autovibe.kernel.protoconv import from_struct, id_or_none, id_text, struct, timestamp
from autovibe.v1 import agents_pb2, model_calls_pb2

_DELETED_AT_ONCE: Final = 200
_MOST_NAME: Final = 100


async def keep_model_call(
    tx: WriteTx, ctx: CallContext, request: model_calls_pb2.KeepModelCallRequest
) -> model_calls_pb2.KeepModelCallResponse:
    """Keep what was asked and answered; a second time changes nothing."""
    if await repository.find(tx, request.request_id) is not None:
        return model_calls_pb2.KeepModelCallResponse(kept=False)
    result = agents_pb2.AgentResult(
        output=request.response,
        data=struct(
            {
                "model": request.model,
                "upstream_status": request.upstream_status,
                "cost_cad": request.cost_cad,
                "shortened": request.shortened,
            }
        ),
    )
    tx.session.add(
        AgentExecution(
            execution_id=request.request_id,
            task_execution_id=id_or_none(request.execution_id),
            machine_id=id_or_none(request.machine_id),
            agent_name=request.model[:_MOST_NAME],
            prompt=request.request,
            status=AgentExecutionStatus(request.status),
            result=column_value(result),
            tokens_used=request.tokens_used,
            duration_ms=min(request.duration_ms, 2**31 - 1),
            completed_at=ctx.clock.now(),
            metadata={"kind": repository.KIND},
        )
    )
    return model_calls_pb2.KeepModelCallResponse(kept=True)


async def get_model_call(tx: ReadTx, request_id: str) -> model_calls_pb2.ModelCall:
    """Return what was asked and answered, by the id that the answer had.

    Raises:
        ModelCallNotFoundError: it was not kept, or is kept no more.
    """
    row = await repository.find(tx, str(uuid.UUID(request_id)))
    if row is None:
        raise ModelCallNotFoundError(
            f"The call {request_id} was not kept. Calls are kept once the project says so: "
            "`autovibe project models set PROJECT --keep-bodies`.",
            request_id=request_id,
        )
    result = agents_pb2.AgentResult()
    result.output = str((row.result or {}).get("output", ""))
    data = from_struct(struct((row.result or {}).get("data", {})))
    return model_calls_pb2.ModelCall(
        request_id=row.execution_id,
        execution_id=id_text(row.task_execution_id),
        machine_id=id_text(row.machine_id),
        model=str(data.get("model", row.agent_name)),
        status=row.status,
        request=row.prompt,
        response=result.output,
        upstream_status=int(data.get("upstream_status", 0)),
        cost_cad=str(data.get("cost_cad", "")),
        tokens_used=row.tokens_used or 0,
        duration_ms=row.duration_ms or 0,
        created_at=timestamp(row.created_at),
        shortened=bool(data.get("shortened", False)),
    )


class CleanModelCalls:
    """Deletes calls that are older than they are to be kept."""

    def __init__(self, days: int) -> None:
        """Keep for so many days."""
        self._days = days

    async def __call__(self, tx: WriteTx, ctx: CallContext, *, dry_run: bool) -> Slice:
        """Delete some of the oldest."""
        before = ctx.clock.now() - timedelta(days=self._days)
        if dry_run:
            return Slice(await repository.count(tx, before))
        deleted = await repository.delete(tx, before, _DELETED_AT_ONCE)
        return Slice(deleted, more=deleted == _DELETED_AT_ONCE)
