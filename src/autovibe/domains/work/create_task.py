"""Creating a task: what it may run, from which checkpoint, under which cap (decisions B2, B3)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints import find_import, get_readable_root
from autovibe.domains.metering import set_task_budget
from autovibe.domains.projects import get_project
from autovibe.domains.work.errors import ApprovalGateOpenError
from autovibe.domains.work.messages import column_value, task_message
from autovibe.domains.work.models import (
    PermissionLevel,
    Task,
    TaskPriority,
    TaskStatus,
    TaskType,
)
from autovibe.domains.work.ports import Fleet, WorkDefaults
from autovibe.domains.work.queue import enqueue, first_payload
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.money import parse_amount
from autovibe.kernel.protoconv import from_struct
from autovibe.v1 import work_pb2

_TITLE_LENGTH: Final = 255
_MAX_TIMEOUT_S: Final = 30 * 86_400


@dataclass(frozen=True)
class CreatePlan:
    """A checked request, with every default filled in."""

    request: work_pb2.CreateTaskRequest
    context: work_pb2.TaskContext
    permission: PermissionLevel
    budget: str


def complete_context(
    fleet: Fleet, defaults: WorkDefaults, given: work_pb2.TaskContext, permission_level: str
) -> tuple[work_pb2.TaskContext, PermissionLevel]:
    """Return how a task is to be run with every default filled in, and its permission level.

    Raises:
        InvalidArgumentError: the time limit is out of range.
        ApprovalGateOpenError: the agent may not do supervised work.
    """
    agents = fleet.agents()
    context = work_pb2.TaskContext()
    context.CopyFrom(given)
    context.agent = context.agent or next(iter(agents))
    context.isolation = context.isolation or "auto"
    context.timeout_s = context.timeout_s or defaults.task_timeout_s
    if not 1 <= context.timeout_s <= _MAX_TIMEOUT_S:
        raise InvalidArgumentError(
            "The time limit must lie between one second and 30 days.", field="context.timeout_s"
        )
    facts = agents.get(context.agent)
    if facts is not None:
        context.model = context.model or facts.default_model or ""
    permission = PermissionLevel(permission_level or PermissionLevel.AUTONOMOUS)
    gate_open = facts is not None and facts.approval_gate != "closed"
    if permission != PermissionLevel.AUTONOMOUS and gate_open:
        raise ApprovalGateOpenError(
            f"{context.agent} cannot do {permission} work: its permission gate does not fail "
            "closed. Use another agent, or permission level autonomous."
        )
    return context, permission


class CheckTaskContext:
    """The long operation CheckTaskContext: what CreateTask would say, before anything is made."""

    def __init__(self, fleet: Fleet, defaults: WorkDefaults) -> None:
        """Check against a fleet."""
        self._fleet = fleet
        self._defaults = defaults

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: work_pb2.CheckTaskContextRequest
    ) -> work_pb2.TaskContext:
        """Fill in the defaults.

        Raises:
            InvalidArgumentError: the time limit is out of range.
            ApprovalGateOpenError: the agent may not do supervised work.
        """
        return complete_context(
            self._fleet, self._defaults, request.context, request.permission_level
        )[0]

    async def act(self, ctx: CallContext, plan: work_pb2.TaskContext) -> work_pb2.TaskContext:
        """Try agent and isolation.

        Raises:
            UnknownAgentError: no adapter has this name.
            AgentNotInstalledError: the agent's program is missing.
            NoIsolationError: the wanted isolation does not work here.
        """
        plan.isolation = await self._fleet.check(plan.agent, plan.isolation)
        return plan


class CreateTask:
    """The long operation CreateTask: agent and isolation are tried before a row is written."""

    def __init__(self, fleet: Fleet, defaults: WorkDefaults) -> None:
        """Create tasks for a fleet."""
        self._fleet = fleet
        self._defaults = defaults

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: work_pb2.CreateTaskRequest
    ) -> CreatePlan:
        """Fill in the defaults and check what needs no trying.

        Raises:
            InvalidArgumentError: nothing says what is to be done, or an amount is malformed.
            ApprovalGateOpenError: the agent may not do supervised work.
        """
        await get_project(tx, request.project)
        context, permission = complete_context(
            self._fleet, self._defaults, request.context, request.permission_level
        )
        if not request.description.strip() and not context.agent_args:
            raise InvalidArgumentError(
                "The prompt is empty; say what is to be done.", field="description"
            )
        budget = request.budget or self._defaults.task_budget
        if budget:
            parse_amount(budget)
        return CreatePlan(request, context, permission, budget)

    async def act(self, ctx: CallContext, plan: CreatePlan) -> str:
        """Try agent and isolation; return the driver to use.

        Raises:
            UnknownAgentError: no adapter has this name.
            AgentNotInstalledError: the agent's program is missing.
            NoIsolationError: the wanted isolation does not work here.
        """
        return await self._fleet.check(plan.context.agent, plan.context.isolation)

    async def record(
        self, tx: WriteTx, ctx: CallContext, plan: CreatePlan, outcome: str
    ) -> work_pb2.Task:
        """Insert the task and its cap, and queue it when asked to.

        Raises:
            CheckpointNotFoundError: the base checkpoint does not exist.
            CheckpointPrunedError: its files are gone.
            NoExchangeRateError: the cap is in a currency without a rate.
        """
        request, context = plan.request, plan.context
        project = await get_project(tx, request.project)
        base_id = request.base_checkpoint_id or str(project.current_checkpoint_id or "")
        if not base_id:
            raise InvalidArgumentError(
                f"Project {project.name!r} has no checkpoint yet; give a directory with --repo.",
                field="base_checkpoint_id",
            )
        base, _ = await get_readable_root(tx, base_id)
        if base.project_id != project.id:
            raise InvalidArgumentError(
                f"Checkpoint {base_id} belongs to another project than {project.name!r}; choose "
                "one of its own.",
                field="base_checkpoint_id",
            )
        context.isolation = outcome
        imported = await find_import(tx, base)
        origin: dict[str, Any] = imported.metadata_["import"] if imported else {}
        context.repo_path = context.repo_path or origin.get("repo_path", "")
        context.head_commit = context.head_commit or origin.get("head_commit", "")
        context.dirty = bool(origin.get("dirty_paths"))
        task = Task(
            id=uuid.uuid4(),
            project_id=project.id,
            title=request.title or _title(request.description, context.agent_args),
            description=request.description,
            task_type=TaskType(request.task_type or TaskType.FEATURE),
            permission_level=plan.permission,
            priority=TaskPriority(request.priority or TaskPriority.NORMAL),
            status=TaskStatus.PENDING,
            context=column_value(context),
            metadata=from_struct(request.metadata),
            base_checkpoint_id=base.id,
        )
        tx.session.add(task)
        await tx.session.flush()  # the cap and the order refer to it
        await set_task_budget(tx, ctx, project.id, task.id, plan.budget)
        if request.start:
            await enqueue(tx, ctx, task, first_payload(task))
        return task_message(task)


def _title(prompt: str, arguments: object) -> str:
    lines = [line.strip() for line in prompt.strip().splitlines() if line.strip()]
    first = lines[0] if lines else " ".join(str(part) for part in arguments)  # type: ignore[attr-defined]  # a repeated field
    return first[:_TITLE_LENGTH]
