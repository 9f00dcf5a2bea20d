"""The long operations that let a task go on: resume, retry, cancel, fork (decisions B8, B9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints import get_readable_root
from autovibe.domains.machines.control import Control
from autovibe.domains.metering import set_task_budget
from autovibe.domains.work import repository
from autovibe.domains.work.answering import withdraw_of_task
from autovibe.domains.work.create_task import CreatePlan, CreateTask
from autovibe.domains.work.enqueuing import enqueue_again, first_payload, resumed_payload
from autovibe.domains.work.errors import TaskNotResumableError, TaskNotRunningError
from autovibe.domains.work.leave import Leave, check_not_waiting, needs_leave_to_begin
from autovibe.domains.work.messages import column_message, column_value, task_message
from autovibe.domains.work.models import Task, TaskStatus, WorkOrderStatus
from autovibe.domains.work.ports import Fleet
from autovibe.domains.work.tasks import get_task
from autovibe.domains.work.transitions import check_transition
from autovibe.domains.work.waiting import block, lock_blockers, refuse_waiting, settle_dependants
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.money import parse_amount
from autovibe.v1 import work_pb2

_RESUMABLE: Final = frozenset(
    {TaskStatus.BLOCKED, TaskStatus.FAILED, TaskStatus.PENDING, TaskStatus.QUEUED}
)
_STARTABLE: Final = frozenset({TaskStatus.PENDING, TaskStatus.QUEUED})


@dataclass(frozen=True)
class ContinuePlan:
    """A task that may go on, and where from."""

    task_id: str
    context: work_pb2.TaskContext
    payload: work_pb2.WorkOrderPayload
    budget: str


class _Continue:
    """What resume and retry share: agent and isolation are tried before the task is queued."""

    def __init__(self, fleet: Fleet, leave: Leave) -> None:
        """Continue tasks on a fleet; `leave` is asked before they begin."""
        self._fleet = fleet
        self._leave = leave

    async def act(self, ctx: CallContext, plan: ContinuePlan) -> None:
        """Make sure that the agent can run.

        Raises:
            AgentNotInstalledError: its program is missing.
            NoIsolationError: its isolation does not work here.
        """
        await self._fleet.check(plan.context.agent, plan.context.isolation)

    async def record(
        self, tx: WriteTx, ctx: CallContext, plan: ContinuePlan, outcome: None
    ) -> work_pb2.Task:
        """Set the new cap and queue the task.

        Raises:
            TaskNotResumableError: the task has been started meanwhile.
            TaskWaitsError: it waits for others that can still complete.
            ApprovalNeededError: it waits for a person.
            BudgetBelowUseError: the task has cost more than the new cap already.
        """
        task = await get_task(tx, plan.task_id)
        blockers = await lock_blockers(tx, task)
        if task.status != TaskStatus.QUEUED:  # a claim locks the order of a queued one first
            await repository.refresh_locked(tx, task)
            blockers = await lock_blockers(tx, task)
        _check_resumable(task)
        check_not_waiting(task)
        if task.status not in _STARTABLE:
            refuse_waiting(task, blockers)
        if plan.budget and task.project_id is not None:
            await set_task_budget(tx, ctx, task.project_id, task.id, plan.budget)
        task.context = column_value(plan.context)
        if await needs_leave_to_begin(tx, task):
            await self._leave.block(tx, ctx, task)
            await tx.session.flush()  # the answer shows the task as it is now
            return task_message(task)
        if task.status == TaskStatus.PENDING and blockers:
            block(task, blockers)
            await tx.session.flush()  # the answer shows the task as it is now
            return task_message(task)
        await enqueue_again(tx, ctx, task, plan.payload)
        await settle_dependants(tx, ctx, task)
        return task_message(task)


class ResumeTask(_Continue):
    """The long operation ResumeTask."""

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: work_pb2.ResumeTaskRequest
    ) -> ContinuePlan:
        """Find the newest checkpoint at which files and conversation agree.

        Raises:
            TaskNotResumableError: the task runs, has completed, or was cancelled.
        """
        task = await get_task(tx, request.task_id)
        _check_resumable(task)
        payload = await resumed_payload(tx, task)
        if request.timeout_s:
            payload.context.timeout_s = request.timeout_s
        _check_budget(request.budget)
        return ContinuePlan(str(task.id), payload.context, payload, request.budget)


class RetryTask(_Continue):
    """The long operation RetryTask."""

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: work_pb2.RetryTaskRequest
    ) -> ContinuePlan:
        """Begin again at the base.

        Raises:
            TaskNotResumableError: the task runs, has completed, or was cancelled.
        """
        task = await get_task(tx, request.task_id)
        _check_resumable(task)
        _check_budget(request.budget)
        payload = first_payload(task)
        return ContinuePlan(str(task.id), payload.context, payload, request.budget)


@dataclass(frozen=True)
class CancelPlan:
    """Which task is to be cancelled."""

    task_id: str
    running: bool


class CancelTask:
    """The long operation CancelTask."""

    def __init__(self, control: Control) -> None:
        """Cancel tasks, wherever their machines run."""
        self._control = control

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: work_pb2.CancelTaskRequest
    ) -> CancelPlan:
        """Find the task.

        Raises:
            InvalidTransitionError: it has completed.
        """
        task = await get_task(tx, request.task_id)
        if task.status != TaskStatus.CANCELLED:
            check_transition("task", task.status, TaskStatus.CANCELLED)
        return CancelPlan(str(task.id), task.status == TaskStatus.IN_PROGRESS)

    async def act(self, ctx: CallContext, plan: CancelPlan) -> None:
        """Stop its machine, if it has one, after a last checkpoint.

        Raises:
            TaskNotRunningError: the process that ran the task is dead.
        """
        if not await self._control.pause(plan.task_id) and plan.running:
            raise TaskNotRunningError(
                f"Nobody works on task {plan.task_id} any more, and its lease has not ended yet; "
                "cancel it in a minute.",
                task_id=plan.task_id,
            )

    async def record(
        self, tx: WriteTx, ctx: CallContext, plan: CancelPlan, outcome: None
    ) -> work_pb2.Task:
        """Move task and order to their ends.

        Raises:
            InvalidTransitionError: it has completed meanwhile.
        """
        task = await get_task(tx, plan.task_id)
        if task.status == TaskStatus.CANCELLED:
            return task_message(task)
        check_transition("task", task.status, TaskStatus.CANCELLED)
        task.status = TaskStatus.CANCELLED
        task.block_reason = None
        task.completed_at = ctx.clock.now()
        order = await repository.newest_order(tx, task.id)
        if order is not None and order.status == WorkOrderStatus.PENDING:
            order.status = WorkOrderStatus.FAILED
            order.error_message = "cancelled"
            order.completed_at = ctx.clock.now()
        await withdraw_of_task(tx, ctx, task.id)
        await settle_dependants(tx, ctx, task)
        return task_message(task)


class ForkCheckpoint:
    """The long operation ForkCheckpoint: a new task, with a cap of its own (decision B9)."""

    def __init__(self, create: CreateTask) -> None:
        """Create tasks as CreateTask does."""
        self._create = create

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: work_pb2.ForkCheckpointRequest
    ) -> CreatePlan:
        """Take what is not said from the task that made the checkpoint.

        Raises:
            CheckpointNotFoundError: there is none.
            CheckpointPrunedError: its files are gone.
        """
        checkpoint, _ = await get_readable_root(tx, request.checkpoint_id)
        source = None
        if checkpoint.creating_machine_id is not None:
            source = await repository.task_of_machine(tx, checkpoint.creating_machine_id)
        context = work_pb2.TaskContext()
        if source is not None:
            context.CopyFrom(column_message(source.context, work_pb2.TaskContext))
        same_agent = not request.context.agent or request.context.agent == context.agent
        if not same_agent:
            context.ClearField("model")
            context.ClearField("agent_args")
        if request.context.agent_args:
            context.ClearField("agent_args")  # merging would add them to the source's
        context.MergeFrom(request.context)
        context.session_id = ""
        if same_agent and not request.fresh_conversation:
            context.session_id = checkpoint.agent_session_id or ""
        create = work_pb2.CreateTaskRequest(
            project=str(checkpoint.project_id),
            description=request.description,
            context=context,
            budget=request.budget,
            base_checkpoint_id=str(checkpoint.id),
            start=request.start,
        )
        create.metadata.update({"forked_from": str(checkpoint.id)})
        return await self._create.prepare(tx, ctx, create)

    async def act(self, ctx: CallContext, plan: CreatePlan) -> str:
        """Try agent and isolation."""
        return await self._create.act(ctx, plan)

    async def record(
        self, tx: WriteTx, ctx: CallContext, plan: CreatePlan, outcome: str
    ) -> work_pb2.Task:
        """Insert the task."""
        return await self._create.record(tx, ctx, plan, outcome)


def _check_resumable(task: Task) -> None:
    if task.status in _RESUMABLE:
        return
    hints = {
        TaskStatus.COMPLETED: "it has completed; go on from it with `autovibe checkpoint fork`",
        TaskStatus.CANCELLED: "it was cancelled; go on from it with `autovibe checkpoint fork`",
        TaskStatus.IN_PROGRESS: "it is running; follow it with `autovibe logs -f`",
    }
    raise TaskNotResumableError(
        f"Task {task.id} cannot be started again: {hints[task.status]}.", task_id=str(task.id)
    )


def _check_budget(budget: str) -> None:
    """Refuse a malformed amount.

    Raises:
        InvalidArgumentError: it is no amount of money above 0.
    """
    if budget and parse_amount(budget)[0] <= 0:
        raise InvalidArgumentError("A budget must be above 0.", field="budget")
