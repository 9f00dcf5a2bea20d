"""Creating a task: what it may run, from which checkpoint, under which cap (decisions B2, B3)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints import find_import, get_readable_root
from autovibe.domains.metering import set_task_budget
from autovibe.domains.projects import get_project
from autovibe.domains.work.enqueuing import first_payload
from autovibe.domains.work.errors import ApprovalGateOpenError
from autovibe.domains.work.labels import check_labels
from autovibe.domains.work.leave import Leave
from autovibe.domains.work.messages import column_value, task_message
from autovibe.domains.work.models import (
    DependencyType,
    PermissionLevel,
    Task,
    TaskDependency,
    TaskPriority,
    TaskStatus,
    TaskType,
)
from autovibe.domains.work.ports import Fleet, WorkDefaults
from autovibe.domains.work.repository import graph as graph_repository
from autovibe.domains.work.subtasks import check_parent
from autovibe.domains.work.tasks import get_task
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError, PermissionDeniedError
from autovibe.kernel.ids import new_id
from autovibe.kernel.money import parse_amount
from autovibe.kernel.permissions import HOST
from autovibe.kernel.protoconv import from_struct, id_or_none
from autovibe.v1 import work_pb2

_TITLE_LENGTH: Final = 255
_NO_ISOLATION: Final = "process"
_MAX_TIMEOUT_S: Final = 30 * 86_400


@dataclass(frozen=True)
class CreatePlan:
    """A checked request, with every default filled in."""

    request: work_pb2.CreateTaskRequest
    context: work_pb2.TaskContext
    permission: PermissionLevel
    budget: str


@dataclass(frozen=True)
class Start:
    """What tasks of one project begin with: its files, and the directory that they came from."""

    project_id: uuid.UUID
    base_id: uuid.UUID
    origin: dict[str, Any]


def complete_context(
    ctx: CallContext,
    fleet: Fleet,
    defaults: WorkDefaults,
    given: work_pb2.TaskContext,
    permission_level: str,
) -> tuple[work_pb2.TaskContext, PermissionLevel]:
    """Return how a task is to be run with every default filled in, and its permission level.

    Raises:
        InvalidArgumentError: the time limit is out of range.
        ApprovalGateOpenError: the agent may not do supervised work.
        PermissionDeniedError: nothing would isolate the agent, and the caller may not use the host.
    """
    agents = fleet.agents()
    context = work_pb2.TaskContext()
    context.CopyFrom(given)
    context.agent = context.agent or next(iter(agents))
    context.isolation = context.isolation or "auto"
    if context.isolation == _NO_ISOLATION and not (ctx.actor.sees_all and ctx.actor.may(HOST)):
        raise PermissionDeniedError(
            "Only an admin runs agents on the server's host without isolation; leave it at auto.",
            permission=HOST,
        )
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
            ctx, self._fleet, self._defaults, request.context, request.permission_level
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

    def __init__(self, fleet: Fleet, defaults: WorkDefaults, leave: Leave) -> None:
        """Create tasks for a fleet; `leave` is asked before they begin."""
        self._fleet = fleet
        self._defaults = defaults
        self.leave = leave

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: work_pb2.CreateTaskRequest
    ) -> CreatePlan:
        """Fill in the defaults and check what needs no trying.

        Raises:
            InvalidArgumentError: nothing says what is to be done, or an amount is malformed.
            ApprovalGateOpenError: the agent may not do supervised work.
            TaskNotFoundError: there is no such parent, or task to wait for.
            ParentNotAllowedError: it cannot be a part of that task.
        """
        project = await get_project(tx, request.project)
        level = request.permission_level
        parent = None
        if request.parent_task_id:
            parent = await get_task(tx, request.parent_task_id)
            level = await check_parent(tx, parent, project.id, level)
        for other in request.after_task_ids:
            _check_project(await get_task(tx, other), project.id)
        plan = self.plan(ctx, request, level)
        if parent is not None:
            plan.request.parent_task_id = str(parent.id)
        return plan

    def plan(
        self, ctx: CallContext, request: work_pb2.CreateTaskRequest, permission_level: str
    ) -> CreatePlan:
        """Return a plan with every default filled in, from a request alone.

        Raises:
            InvalidArgumentError: nothing says what is to be done, or something is malformed.
            ApprovalGateOpenError: the agent may not do supervised work.
            PermissionDeniedError: the caller may not run agents without isolation.
        """
        context, permission = complete_context(
            ctx, self._fleet, self._defaults, request.context, permission_level
        )
        if not request.description.strip() and not context.agent_args:
            raise InvalidArgumentError(
                "The prompt is empty; say what is to be done.", field="description"
            )
        check_labels(from_struct(request.metadata))
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
        start = await find_start(tx, plan.request)
        task = await insert_task(tx, ctx, plan, start, isolation=outcome, task_id=new_id())
        for other in plan.request.after_task_ids:
            blocker = await get_task(tx, other)
            if await graph_repository.find_dependency(tx, task.id, blocker.id) is None:
                add_dependency(tx, task.id, blocker.id)
                await tx.session.flush()  # the next one may be the same task
        if plan.request.start:
            await self.leave.start(tx, ctx, [(task, first_payload(task))])
        await tx.session.flush()  # the answer shows the task as it is now
        return task_message(task)


async def find_start(tx: ReadTx | WriteTx, request: work_pb2.CreateTaskRequest) -> Start:
    """Return what a task of a request begins with.

    Raises:
        InvalidArgumentError: there is no checkpoint, or it is another project's.
        CheckpointNotFoundError: the base checkpoint does not exist.
        CheckpointPrunedError: its files are gone.
    """
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
    imported = await find_import(tx, base)
    return Start(project.id, base.id, imported.metadata_["import"] if imported else {})


async def insert_task(
    tx: WriteTx,
    ctx: CallContext,
    plan: CreatePlan,
    start: Start,
    *,
    isolation: str,
    task_id: uuid.UUID,
) -> Task:
    """Insert a task and its cap; it is pending.

    Raises:
        NoExchangeRateError: the cap is in a currency without a rate.
    """
    request, context, origin = plan.request, plan.context, start.origin
    context.isolation = isolation
    context.repo_path = context.repo_path or origin.get("repo_path", "")
    context.head_commit = context.head_commit or origin.get("head_commit", "")
    context.dirty = bool(origin.get("dirty_paths"))
    context.follows_project = not request.base_checkpoint_id
    task = Task(
        id=task_id,
        project_id=start.project_id,
        title=request.title or _title(request.description, context.agent_args),
        description=request.description,
        task_type=TaskType(request.task_type or TaskType.FEATURE),
        permission_level=plan.permission,
        priority=TaskPriority(request.priority or TaskPriority.NORMAL),
        status=TaskStatus.PENDING,
        context=column_value(context),
        metadata=from_struct(request.metadata),
        parent_task_id=id_or_none(request.parent_task_id),
        base_checkpoint_id=start.base_id,
    )
    tx.session.add(task)
    await tx.session.flush()  # the cap, the order and its parts refer to it
    await set_task_budget(tx, ctx, start.project_id, task.id, plan.budget)
    return task


def add_dependency(
    tx: WriteTx,
    task_id: uuid.UUID,
    depends_on_task_id: uuid.UUID,
    dependency_type: DependencyType = DependencyType.BLOCKS,
) -> TaskDependency:
    """Insert a dependency; the caller has made sure that there is no cycle."""
    dependency = TaskDependency(
        task_id=task_id, depends_on_task_id=depends_on_task_id, dependency_type=dependency_type
    )
    tx.session.add(dependency)
    return dependency


def _check_project(task: Task, project_id: uuid.UUID) -> None:
    if task.project_id != project_id:
        raise InvalidArgumentError(
            f"Task {task.id} belongs to another project; tasks wait for those of their own.",
            field="after_task_ids",
        )


def _title(prompt: str, arguments: object) -> str:
    lines = [line.strip() for line in prompt.strip().splitlines() if line.strip()]
    first = lines[0] if lines else " ".join(str(part) for part in arguments)  # type: ignore[attr-defined]  # a repeated field
    return first[:_TITLE_LENGTH]
