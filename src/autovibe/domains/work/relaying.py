"""Calls of machines: made on a machine's own listener, run here in the machine's name (C7, C8)."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from autovibe.db import ReadTx
from autovibe.domains.work.agent_tasks import own_task
from autovibe.domains.work.errors import LeaseLostError
from autovibe.domains.work.models import Execution
from autovibe.domains.work.repository import agent_tasks as repository
from autovibe.kernel.context import Actor, CallContext, MachineRef
from autovibe.kernel.permissions import OF_MACHINES
from autovibe.v1 import agent_api_pb2

Invoke = Callable[[str, bytes, CallContext], Awaitable[bytes]]
"""Runs an operation for machines from its encoded request; refuses every other one."""

_SCOPES: Final = frozenset({OF_MACHINES})


@dataclass(frozen=True)
class RelayPlan:
    """A call, and in whose name it is made."""

    request: agent_api_pb2.RelayAgentCallRequest
    ctx: CallContext


class RelayAgentCall:
    """The long operation RelayAgentCall: the lease is checked, then the operation itself runs."""

    invoke: Invoke

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: agent_api_pb2.RelayAgentCallRequest
    ) -> RelayPlan:
        """Make sure that the machine still works under this lease.

        Raises:
            LeaseLostError: it does not.
        """
        execution = await tx.session.get(Execution, uuid.UUID(request.execution_id))
        project_id = execution and await repository.project_of(tx, execution.task_id)
        if execution is None or project_id is None:
            raise LeaseLostError(
                "This machine's lease has ended; stop, what it asks for is not done any more.",
                execution_id=request.execution_id,
            )
        machine = MachineRef(
            machine_id=uuid.UUID(request.machine_id),
            execution_id=execution.id,
            task_id=execution.task_id,
            project_id=project_id,
            lease_generation=request.lease_generation,
        )
        actor = Actor("machine", request.machine_id, _SCOPES, machine=machine)
        own = replace(ctx, actor=actor, idempotency_key=request.idempotency_key)
        await own_task(tx, own)
        return RelayPlan(request, own)

    async def act(self, ctx: CallContext, plan: RelayPlan) -> agent_api_pb2.RelayAgentCallResponse:
        """Run the operation in the machine's name.

        Raises:
            NotForMachinesError: it is not for machines.
            AutovibeError: what the operation raises.
        """
        del ctx
        answer = await self.invoke(plan.request.method, plan.request.request, plan.ctx)
        return agent_api_pb2.RelayAgentCallResponse(response=answer)
