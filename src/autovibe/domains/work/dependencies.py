"""What tasks have to do with each other: adding, removing and listing dependencies."""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Mapping, Sequence
from typing import Final, TypeVar

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.work.create_task import add_dependency
from autovibe.domains.work.errors import (
    DependencyNotFoundError,
    DuplicateDependencyError,
    SelfDependencyError,
    TaskCycleError,
    TaskHasStartedError,
)
from autovibe.domains.work.models import DependencyType, Task, TaskDependency, TaskStatus
from autovibe.domains.work.repository import graph as graph_repository
from autovibe.domains.work.tasks import get_task
from autovibe.domains.work.waiting import block, settle, waits
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.protoconv import timestamp
from autovibe.v1 import tasks_pb2

T = TypeVar("T", bound=Hashable)

_STARTED: Final = frozenset({TaskStatus.IN_PROGRESS, TaskStatus.COMPLETED, TaskStatus.CANCELLED})
_SHORT: Final = 8


async def add(tx: WriteTx, request: tasks_pb2.AddTaskDependencyRequest) -> TaskDependency:
    """Let a task wait for another, or note that they have to do with each other.

    Raises:
        TaskNotFoundError: there is no such task.
        SelfDependencyError: they are the same.
        DuplicateDependencyError: there is one between the two already.
        TaskCycleError: they would wait for each other.
        TaskHasStartedError: the task cannot wait any more.
    """
    task, first = await _both(tx, request.task_id, request.depends_on_task_id)
    if task.id == first.id:
        raise SelfDependencyError(
            f"Task {task.id} cannot depend on itself; name another one.", task_id=str(task.id)
        )
    if task.project_id != first.project_id:
        raise InvalidArgumentError(
            f"Task {first.id} belongs to another project; tasks wait for those of their own.",
            field="depends_on_task_id",
        )
    await graph_repository.lock_graph(tx, task.project_id)
    # In the direction of the graph, and as they are now.
    await graph_repository.lock_tasks(tx, [first.id])
    await graph_repository.lock_tasks(tx, [task.id])
    if await graph_repository.find_dependency(tx, task.id, first.id) is not None:
        raise DuplicateDependencyError(
            f"Task {task.id} depends on {first.id} already; remove that first to change it.",
            task_id=str(task.id),
        )
    kind = DependencyType(request.dependency_type or DependencyType.BLOCKS)
    if kind == DependencyType.BLOCKS:
        await _check_blocks(tx, task, first)
    dependency = add_dependency(tx, task.id, first.id, kind)
    await tx.session.flush()  # the row's defaults are part of the answer
    if kind == DependencyType.BLOCKS:
        blockers = (await graph_repository.open_blockers(tx, [task.id]))[task.id]
        if blockers and (task.status == TaskStatus.QUEUED or waits(task)):
            block(task, blockers)
    return dependency


async def remove(
    tx: WriteTx, ctx: CallContext, request: tasks_pb2.RemoveTaskDependencyRequest
) -> Task:
    """Let a task wait for another no longer; return the task as it is then.

    Raises:
        TaskNotFoundError: there is no such task.
        DependencyNotFoundError: the one does not depend on the other.
    """
    task, first = await _both(tx, request.task_id, request.depends_on_task_id)
    await graph_repository.lock_tasks(tx, [task.id])
    dependency = await graph_repository.find_dependency(tx, task.id, first.id)
    if dependency is None:
        raise DependencyNotFoundError(
            f"Task {task.id} does not depend on {first.id}; see `autovibe task graph {task.id}`.",
            task_id=str(task.id),
        )
    await graph_repository.delete_dependency(tx, dependency.id)
    if waits(task):
        await settle(tx, ctx, [task])
    await tx.session.flush()  # the answer shows the task as it is now
    return task


async def _both(tx: WriteTx, task_id: str, other_id: str) -> tuple[Task, Task]:
    return await get_task(tx, task_id), await get_task(tx, other_id)


async def _check_blocks(tx: WriteTx, task: Task, first: Task) -> None:
    if task.status in _STARTED:
        raise TaskHasStartedError(
            f"Task {task.id} is {task.status} and cannot wait for another any more; fork it, or "
            "use the type related.",
            task_id=str(task.id),
        )
    path = find_path(await graph_repository.blocks_below(tx, first.id), first.id, task.id)
    if path:
        refuse_cycle([str(member)[:_SHORT] for member in (task.id, *path)])


def refuse_cycle(names: Sequence[str]) -> None:
    """Refuse a cycle, and name it.

    Args:
        names: of its tasks, the first once more at the end.

    Raises:
        TaskCycleError: always.
    """
    cycle = " → ".join(names)
    raise TaskCycleError(
        f"These tasks would wait for each other: {cycle}; leave one of the steps out.", cycle=cycle
    )


def find_path(edges: Mapping[T, Sequence[T]], start: T, end: T) -> list[T]:
    """Return a shortest path along edges from one to the other, empty if there is none."""
    came_from: dict[T, T] = {start: start}
    frontier = [start]
    while frontier and end not in came_from:
        reached: list[T] = []
        for one in frontier:
            for following in edges.get(one, ()):
                if following not in came_from:
                    came_from[following] = one
                    reached.append(following)
        frontier = reached
    if end not in came_from:
        return []
    path = [end]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return path[::-1]


async def graph_of(
    tx: ReadTx, *, task_id: uuid.UUID | None, project_id: uuid.UUID | None, limit: int
) -> tasks_pb2.TaskGraph:
    """Return everything that hangs together with a task, or is in a project.

    Args:
        tx: any.
        task_id: of the task.
        project_id: of the project, used when no task is named.
        limit: tasks in the answer at most.
    """
    members: set[uuid.UUID] | None = None
    if task_id is not None:
        members, frontier = {task_id}, {task_id}
        while frontier and len(members) <= limit:
            frontier = await graph_repository.neighbours(tx, frontier) - members
            members |= frontier
    found = await graph_repository.nodes(
        tx, task_ids=members, project_id=project_id if members is None else None, limit=limit + 1
    )
    shown = found[:limit]
    dependencies = await graph_repository.dependencies_between(tx, [node.id for node in shown])
    return tasks_pb2.TaskGraph(
        nodes=[
            tasks_pb2.TaskNode(
                id=str(node.id),
                title=node.title,
                status=node.status,
                block_reason=node.block_reason or "",
                parent_task_id=str(node.parent_task_id or ""),
                priority=node.priority,
            )
            for node in shown
        ],
        dependencies=[dependency_message(dependency) for dependency in dependencies],
        truncated=len(found) > limit,
    )


def dependency_message(dependency: TaskDependency) -> tasks_pb2.TaskDependency:
    """Return the message of a dependency."""
    return tasks_pb2.TaskDependency(
        id=str(dependency.id),
        task_id=str(dependency.task_id),
        depends_on_task_id=str(dependency.depends_on_task_id),
        dependency_type=dependency.dependency_type,
        created_at=timestamp(dependency.created_at),
        updated_at=timestamp(dependency.updated_at),
    )
