"""Creating a whole graph of tasks at once, all or none."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.projects import get_project
from autovibe.domains.work.create_task import (
    CreatePlan,
    CreateTask,
    add_dependency,
    find_start,
    insert_task,
)
from autovibe.domains.work.dependencies import find_path, refuse_cycle
from autovibe.domains.work.enqueuing import first_payload
from autovibe.domains.work.errors import SelfDependencyError
from autovibe.domains.work.models import Task
from autovibe.domains.work.ports import Fleet
from autovibe.domains.work.repository import graph as graph_repository
from autovibe.domains.work.subtasks import check_levels, part_level
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import IdempotencyKeyReusedError, InvalidArgumentError
from autovibe.kernel.ids import new_id
from autovibe.kernel.protoconv import struct
from autovibe.v1 import tasks_pb2, work_pb2

_BATCH: Final = "batch"
"""Member of a task's metadata that says with which request it was made."""


@dataclass(frozen=True)
class GraphPlan:
    """A checked request: its specs with every default, those of wholes before their parts."""

    request: tasks_pb2.CreateTasksRequest
    specs: Mapping[str, tasks_pb2.TaskSpec]
    plans: Mapping[str, CreatePlan]
    order: Sequence[str]


class CreateTasks:
    """The long operation CreateTasks."""

    def __init__(self, fleet: Fleet, create: CreateTask) -> None:
        """Create tasks for a fleet, each as CreateTask does."""
        self._fleet = fleet
        self._create = create

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: tasks_pb2.CreateTasksRequest
    ) -> GraphPlan:
        """Check the graph and each of its tasks.

        Raises:
            ProjectNotFoundError: there is no such project.
            InvalidArgumentError: a key is used twice or unknown, or a task is malformed.
            SelfDependencyError: a task would wait for itself.
            TaskCycleError: tasks would wait for each other.
            ParentNotAllowedError: a part would have more leave than the whole, or lie too deep.
            ApprovalGateOpenError: an agent may not do supervised work.
        """
        await get_project(tx, request.project)
        specs = _by_key(request.tasks)
        _check_edges(specs)
        order = _wholes_first(specs)
        plans: dict[str, CreatePlan] = {}
        for key in order:
            spec = specs[key]
            level = spec.permission_level
            if spec.parent:
                level = part_level(plans[spec.parent].permission, level, spec.parent)
            plans[key] = self._plan(ctx, request.project, spec, level)
        await find_start(tx, plans[order[0]].request)  # a missing checkpoint is said before all
        return GraphPlan(request, specs, plans, order)

    async def act(self, ctx: CallContext, plan: GraphPlan) -> dict[tuple[str, str], str]:
        """Try each agent with each isolation; return the driver to use for each pair.

        Raises:
            UnknownAgentError: no adapter has this name.
            AgentNotInstalledError: an agent's program is missing.
            NoIsolationError: a wanted isolation does not work here.
        """
        pairs = {(one.context.agent, one.context.isolation) for one in plan.plans.values()}
        return {pair: await self._fleet.check(*pair) for pair in sorted(pairs)}

    async def record(
        self,
        tx: WriteTx,
        ctx: CallContext,
        plan: GraphPlan,
        outcome: dict[tuple[str, str], str],
    ) -> tasks_pb2.CreateTasksResponse:
        """Insert the tasks, their caps and their dependencies, and queue those that wait for none.

        Raises:
            IdempotencyKeyReusedError: an earlier request with this key asked for something else.
            NoExchangeRateError: a cap is in a currency without a rate.
        """
        request = plan.request
        if request.dry_run:
            return _would_be(plan)
        start = await find_start(tx, plan.plans[plan.order[0]].request)
        ids = {key: _task_id(start.project_id, request.idempotency_key, key) for key in plan.order}
        digest = _digest(request)
        if request.idempotency_key:
            made = await graph_repository.lock_tasks(tx, ids.values())
            if made:
                return _repeated(request, ids, made, digest)
        tasks: dict[str, Task] = {}
        for key in plan.order:
            one, spec = plan.plans[key], plan.specs[key]
            wanted = (one.context.agent, one.context.isolation)
            # Recording may be run again after a lost race: the plan stays as it was made.
            fresh = _copy(one, parent_id=ids[spec.parent] if spec.parent else None)
            if request.idempotency_key:
                fresh.request.metadata.update(
                    {_BATCH: {"key": request.idempotency_key, "digest": digest}}
                )
            tasks[key] = await insert_task(
                tx, ctx, fresh, start, isolation=outcome[wanted], task_id=ids[key]
            )
        for key, spec in plan.specs.items():
            for other in dict.fromkeys(spec.after):
                add_dependency(tx, ids[key], ids[other])
        await tx.session.flush()  # what each waits for is asked of the database
        if request.start:
            await self._create.leave.start(
                tx, ctx, [(tasks[key], first_payload(tasks[key])) for key in plan.specs]
            )
        await tx.session.flush()  # the answer shows the tasks as they are now
        return tasks_pb2.CreateTasksResponse(
            tasks=[_created(key, tasks[key]) for key in plan.specs]
        )

    def _plan(
        self, ctx: CallContext, project: str, spec: tasks_pb2.TaskSpec, level: str
    ) -> CreatePlan:
        request = work_pb2.CreateTaskRequest(
            project=project,
            title=spec.title,
            description=spec.prompt,
            task_type=spec.task_type,
            priority=spec.priority,
            budget=spec.budget,
            context=work_pb2.TaskContext(
                agent=spec.agent,
                model=spec.model,
                isolation=spec.isolation,
                timeout_s=spec.timeout_s,
                agent_args=spec.agent_args,
                trust_agent=spec.trust_agent,
                worker_type=spec.worker_type,
                capabilities=spec.capabilities,
                max_retries=spec.max_retries,
                expires_s=spec.expires_s,
            ),
            metadata=struct({"labels": dict(spec.labels)} if spec.labels else {}),
        )
        try:
            return self._create.plan(ctx, request, level)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(
                f"Task {spec.key!r}: {error.message}", key=spec.key, **error.params
            ) from error


def _by_key(given: Sequence[tasks_pb2.TaskSpec]) -> dict[str, tasks_pb2.TaskSpec]:
    specs: dict[str, tasks_pb2.TaskSpec] = {}
    for spec in given:
        if spec.key in specs:
            raise InvalidArgumentError(
                f"Two tasks have the key {spec.key!r}; give each its own.", field="tasks"
            )
        specs[spec.key] = spec
    for spec in given:
        for other in (*spec.after, *([spec.parent] if spec.parent else [])):
            if other not in specs:
                raise InvalidArgumentError(
                    f"Task {spec.key!r} names {other!r}, which is not among the tasks; add it, or "
                    "leave it out.",
                    field="tasks",
                )
    return specs


def _check_edges(specs: Mapping[str, tasks_pb2.TaskSpec]) -> None:
    for key, spec in specs.items():
        if key in spec.after or key == spec.parent:
            raise SelfDependencyError(
                f"Task {key!r} cannot wait for itself or be its own part; name another one.",
                key=key,
            )
    for edges in (
        {key: list(spec.after) for key, spec in specs.items()},
        {key: [spec.parent] if spec.parent else [] for key, spec in specs.items()},
    ):
        _check_acyclic(edges)


def _check_acyclic(edges: Mapping[str, Sequence[str]]) -> None:
    """Refuse a cycle: take away what waits for nothing, again and again; a cycle stays."""
    left = {key: set(others) for key, others in edges.items()}
    while free := [key for key, others in left.items() if not others & left.keys()]:
        for key in free:
            del left[key]
    if left:
        # Whatever is left waits for something that is left: walk until a task comes again.
        walked = [next(iter(left))]
        while (following := next(iter(sorted(left[walked[-1]] & left.keys())))) not in walked:
            walked.append(following)
        path = find_path(edges, walked[walked.index(following)], walked[-1])
        refuse_cycle([*path, path[0]])


def _wholes_first(specs: Mapping[str, tasks_pb2.TaskSpec]) -> list[str]:
    """Return the keys so that each follows the task that it is a part of."""
    levels: dict[str, int] = {}
    for key in specs:
        line = [key]
        while specs[line[-1]].parent and line[-1] not in levels:
            line.append(specs[line[-1]].parent)
        level = levels.setdefault(line[-1], 1)
        for member in reversed(line[:-1]):
            level += 1
            check_levels(level, specs[member].parent)
            levels[member] = level
    return sorted(specs, key=levels.__getitem__)


def _task_id(project_id: uuid.UUID, idempotency_key: str, key: str) -> uuid.UUID:
    """Return the id of a task; with an idempotency key it is always the same."""
    if not idempotency_key:
        return new_id()
    return uuid.uuid5(project_id, f"{idempotency_key}\0{key}")


def _digest(request: tasks_pb2.CreateTasksRequest) -> str:
    """Return what two requests have in common that ask for the same."""
    same = tasks_pb2.CreateTasksRequest()
    same.CopyFrom(request)
    same.ClearField("project")  # it may be given by name or by id
    return hashlib.sha256(same.SerializeToString(deterministic=True)).hexdigest()


def _copy(plan: CreatePlan, *, parent_id: uuid.UUID | None) -> CreatePlan:
    request, context = work_pb2.CreateTaskRequest(), work_pb2.TaskContext()
    request.CopyFrom(plan.request)
    request.parent_task_id = str(parent_id or "")
    context.CopyFrom(plan.context)
    return CreatePlan(request, context, plan.permission, plan.budget)


def _would_be(plan: GraphPlan) -> tasks_pb2.CreateTasksResponse:
    answer = tasks_pb2.CreateTasksResponse()
    for key, spec in plan.specs.items():
        status, reason = "pending", ""
        if plan.request.start:
            waits = bool(spec.after)
            status, reason = ("blocked", graph_repository.WAITING) if waits else ("queued", "")
        answer.tasks.add(key=key, title=spec.title, status=status, block_reason=reason)
    return answer


def _repeated(
    request: tasks_pb2.CreateTasksRequest,
    ids: Mapping[str, uuid.UUID],
    made: Sequence[Task],
    digest: str,
) -> tasks_pb2.CreateTasksResponse:
    by_id = {task.id: task for task in made}
    same = len(by_id) == len(ids) and all(
        task.metadata_.get(_BATCH, {}).get("digest") == digest for task in made
    )
    if not same:
        raise IdempotencyKeyReusedError(
            f"The key {request.idempotency_key!r} was used for other tasks; give a new one.",
            idempotency_key=request.idempotency_key,
        )
    return tasks_pb2.CreateTasksResponse(
        tasks=[_created(spec.key, by_id[ids[spec.key]]) for spec in request.tasks], repeated=True
    )


def _created(key: str, task: Task) -> tasks_pb2.CreatedTask:
    return tasks_pb2.CreatedTask(
        key=key,
        task_id=str(task.id),
        title=task.title,
        status=task.status,
        block_reason=task.block_reason or "",
    )
