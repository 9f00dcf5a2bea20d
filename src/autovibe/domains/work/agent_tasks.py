"""A machine's own task and its parts: never more leave or money than the whole (decision C8)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.machines import get_machine
from autovibe.domains.metering import parse_budget_amount, spend_of_task
from autovibe.domains.work.create_task import CreatePlan, CreateTask
from autovibe.domains.work.errors import (
    LeaseLostError,
    SubtaskOverCapError,
    TaskNotFoundError,
    TooManySubtasksError,
)
from autovibe.domains.work.messages import column_message
from autovibe.domains.work.models import Execution, ExecutionStatus, Task
from autovibe.domains.work.repository import agent_tasks as repository
from autovibe.domains.work.tasks import get_task
from autovibe.kernel.context import CallContext
from autovibe.kernel.money import to_text
from autovibe.kernel.permissions import HOST
from autovibe.kernel.protoconv import id_text, timestamp
from autovibe.v1 import agent_api_pb2, work_pb2

MOST_SUBTASKS: Final = 100
"""Sub-tasks of one task, those that have ended included: a machine asks for them, not a person."""
_HOST_ISOLATION: Final = "process"
_MONEY: Final = "money"


async def own_task(tx: ReadTx | WriteTx, ctx: CallContext) -> tuple[Task, Execution]:
    """Return the task of the machine that calls, and its attempt at it.

    Raises:
        LeaseLostError: the attempt has ended, or belongs to another lease or machine.
        TaskNotFoundError: the task was deleted.
    """
    me = ctx.calling_machine()
    execution = await tx.session.get(Execution, me.execution_id)
    newest = await repository.generation_of(tx, me.execution_id)
    if (
        execution is None
        or execution.task_id != me.task_id
        or execution.machine_id != me.machine_id
        or execution.status != ExecutionStatus.RUNNING
        or not execution.lease_generation == me.lease_generation == newest
    ):
        raise LeaseLostError(
            "This machine's lease has ended; stop, what it asks for is not done any more.",
            execution_id=str(me.execution_id),
        )
    return await get_task(tx, str(me.task_id)), execution


async def subtask_of(tx: ReadTx | WriteTx, task: Task, part_id: str) -> Task:
    """Return a part of a task; another one's is not there.

    Raises:
        TaskNotFoundError: the task has no such part.
    """
    part = await tx.session.get(Task, uuid.UUID(part_id))
    if part is None or part.parent_task_id != task.id or part.deleted_at is not None:
        raise TaskNotFoundError(
            f"Your task has no sub-task {part_id}; list them at /agent/v1/subtasks.",
            task_id=part_id,
        )
    return part


def subtask_message(task: Task) -> agent_api_pb2.Subtask:
    """Return the message of a part of a task."""
    return agent_api_pb2.Subtask(
        id=str(task.id),
        title=task.title,
        description=task.description or "",
        status=task.status,
        block_reason=task.block_reason or "",
        permission_level=task.permission_level,
        priority=task.priority,
        base_checkpoint_id=id_text(task.base_checkpoint_id),
        result_checkpoint_id=id_text(task.result_checkpoint_id),
        created_at=timestamp(task.created_at),
        completed_at=timestamp(task.completed_at),
    )


@dataclass(frozen=True)
class SubtaskPlan:
    """A checked wish, as the creation of a task."""

    ctx: CallContext
    create: CreatePlan


class CreateSubtask:
    """The long operation CreateSubtask."""

    def __init__(self, create_task: CreateTask) -> None:
        """Create as other tasks are created."""
        self._create_task = create_task

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: agent_api_pb2.CreateSubtaskRequest
    ) -> SubtaskPlan:
        """Check lease, cap and leave, and fill in what the whole says.

        Raises:
            LeaseLostError: the machine works under an old lease.
            TooManySubtasksError: the task has many already.
            SubtaskOverCapError: the cap is more than the task may still cost.
            ParentNotAllowedError: it would have more leave than the whole, or lie too deep.
            ApprovalGateOpenError: the agent may not do supervised work.
            NoExchangeRateError: the cap is in a currency without a rate.
        """
        task, execution = await own_task(tx, ctx)
        if len(await repository.part_ids(tx, task.id)) >= MOST_SUBTASKS:
            raise TooManySubtasksError(
                f"The task has {MOST_SUBTASKS} sub-tasks already; do the rest yourself.",
                task_id=str(task.id),
            )
        whole = column_message(task.context, work_pb2.TaskContext)
        context = work_pb2.TaskContext(
            agent=request.agent or whole.agent,
            model=request.model or ("" if request.agent else whole.model),
            isolation=whole.isolation,
            timeout_s=whole.timeout_s,
            trust_agent=whole.trust_agent,
        )
        # What the whole was allowed by a person, its parts may do: nothing beyond that.
        if whole.isolation == _HOST_ISOLATION:
            ctx = replace(ctx, actor=replace(ctx.actor, scopes=ctx.actor.scopes | {HOST}))
        create = work_pb2.CreateTaskRequest(
            project=str(task.project_id),
            title=request.title,
            description=request.description,
            task_type=request.task_type,
            permission_level=request.permission_level,
            priority=request.priority,
            context=context,
            budget=await _cap(tx, ctx, task, request.budget),
            base_checkpoint_id=await _newest_checkpoint(tx, task, execution),
            parent_task_id=str(task.id),
            start=True,
        )
        return SubtaskPlan(ctx, await self._create_task.prepare(tx, ctx, create))

    async def act(self, ctx: CallContext, plan: SubtaskPlan) -> str:
        """Try agent and isolation; return the driver to use.

        Raises:
            UnknownAgentError: no adapter has this name.
            AgentNotInstalledError: the agent's program is missing.
            NoIsolationError: the isolation does not work here.
        """
        return await self._create_task.act(ctx, plan.create)

    async def record(
        self, tx: WriteTx, ctx: CallContext, plan: SubtaskPlan, outcome: str
    ) -> agent_api_pb2.Subtask:
        """Insert and queue the sub-task, if the machine still holds its lease.

        Raises:
            LeaseLostError: it does not.
            CheckpointPrunedError: the files that it would begin with are gone.
        """
        await own_task(tx, ctx)
        made = await self._create_task.record(tx, plan.ctx, plan.create, outcome)
        return subtask_message(await get_task(tx, made.id))


async def _cap(tx: ReadTx, ctx: CallContext, task: Task, wanted: str) -> str:
    """Return the cap of a part, which is at most what the whole may still cost.

    Raises:
        SubtaskOverCapError: it is more.
        InvalidArgumentError: it is no amount.
        NoExchangeRateError: it is in a currency without a rate.
    """
    spend = await spend_of_task(tx, task.id)
    if spend.cap_cad is None:
        return wanted
    left = max(Decimal(0), spend.cap_cad - spend.cost_cad)
    asked = await parse_budget_amount(tx, ctx.clock.now(), _MONEY, wanted, None) if wanted else left
    if asked > left:
        raise SubtaskOverCapError(
            f"The task may still cost {to_text(left)} CAD, not {wanted}; ask for less.",
            left_cad=to_text(left),
        )
    return wanted


async def _newest_checkpoint(tx: ReadTx, task: Task, execution: Execution) -> str:
    """Return where a part begins: with the files as the machine had them at its last checkpoint."""
    newest = None
    if execution.machine_id is not None:
        newest = (await get_machine(tx, execution.machine_id)).last_checkpoint_id
    return id_text(newest or task.base_checkpoint_id)
