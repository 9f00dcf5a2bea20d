"""Tasks that wait for others: blocked while one of them is open, queued when the last completes.

Whoever changes what a task waits for, or the status of a task that others wait for, holds locks in
the direction of the graph: first the task that is waited for, then the one that waits. So two
blockers that complete at the same moment see each other at the row of the task that waits for
both, and exactly one of them queues it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from autovibe.db import WriteTx
from autovibe.domains.checkpoints.errors import CheckpointNotFoundError
from autovibe.domains.projects import get_project
from autovibe.domains.projects.errors import ProjectNotFoundError
from autovibe.domains.work import repository
from autovibe.domains.work.enqueuing import (
    enqueue,
    enqueue_again,
    enqueue_many,
    first_payload,
    resumed_payload,
)
from autovibe.domains.work.errors import InvalidTransitionError, TaskWaitsError
from autovibe.domains.work.messages import column_message
from autovibe.domains.work.models import Task, TaskStatus
from autovibe.domains.work.repository import graph as graph_repository
from autovibe.domains.work.repository.graph import STUCK, WAITING, Blocker
from autovibe.domains.work.transitions import check_transition
from autovibe.kernel.context import CallContext
from autovibe.v1 import work_pb2

_DEAD: Final = frozenset({TaskStatus.FAILED, TaskStatus.CANCELLED})
_SHOWN: Final = 3
_SHORT: Final = 8


def waits(task: Task) -> bool:
    """Return whether a task is blocked by nothing but what it depends on."""
    reason = task.block_reason or ""
    return task.status == TaskStatus.BLOCKED and (reason == WAITING or reason.startswith(STUCK))


async def settle_dependants(tx: WriteTx, ctx: CallContext, *tasks: Task) -> None:
    """Let go what waited for tasks that have changed their status, or say anew why it waits."""
    await tx.session.flush()  # what is read below is their new status, under their locks
    ids = [task.id for task in tasks]
    await settle(tx, ctx, await graph_repository.lock_waiting_dependants(tx, ids))


async def settle(tx: WriteTx, ctx: CallContext, tasks: Sequence[Task]) -> None:
    """Queue those of these locked, waiting tasks that wait for nothing more."""
    blockers = await graph_repository.open_blockers(tx, [task.id for task in tasks])
    for task in tasks:
        if blockers[task.id]:
            task.block_reason = reason_of(blockers[task.id])
            continue
        try:
            await _let_go(tx, ctx, task)
        except (CheckpointNotFoundError, InvalidTransitionError, ProjectNotFoundError) as error:
            # Whatever is wrong with this one, the completion that let it go must be recorded.
            task.block_reason = error.reason


async def start_or_wait(
    tx: WriteTx,
    ctx: CallContext,
    entries: Sequence[tuple[Task, work_pb2.WorkOrderPayload]],
) -> None:
    """Queue tasks; one with an open blocker is blocked until the blockers have completed.

    Raises:
        InvalidTransitionError: a task cannot be queued now.
    """
    free: list[tuple[Task, work_pb2.WorkOrderPayload]] = []
    for task, payload in entries:
        blockers = await lock_blockers(tx, task)
        if blockers:
            block(task, blockers)
        else:
            free.append((task, payload))
    await enqueue_many(tx, ctx, free)


async def lock_blockers(tx: WriteTx, task: Task) -> list[Blocker]:
    """Return what a task waits for and has not completed; none of it can complete meanwhile."""
    found = (await graph_repository.open_blockers(tx, [task.id]))[task.id]
    if not found:
        return []
    await graph_repository.lock_tasks(tx, [blocker.id for blocker in found])
    return (await graph_repository.open_blockers(tx, [task.id]))[task.id]


def block(task: Task, blockers: Sequence[Blocker]) -> None:
    """Let a task wait for its blockers.

    Raises:
        InvalidTransitionError: the task cannot be blocked now.
    """
    if task.status != TaskStatus.BLOCKED:
        check_transition("task", task.status, TaskStatus.BLOCKED)
    task.status = TaskStatus.BLOCKED
    task.block_reason = reason_of(blockers)


def reason_of(blockers: Sequence[Blocker]) -> str:
    """Return why a task waits: in general, or for which one that does not go on by itself."""
    for blocker in blockers:
        if blocker.status in _DEAD:
            return f"{STUCK}{blocker.status.upper()}:{str(blocker.id)[:_SHORT]}"
    return WAITING


def living(blockers: Sequence[Blocker]) -> list[Blocker]:
    """Return the blockers that can complete without anybody's doing."""
    return [blocker for blocker in blockers if blocker.status not in _DEAD]


def refuse_waiting(task: Task, blockers: Sequence[Blocker]) -> None:
    """Refuse to start a task by hand while it waits for others that can still complete.

    One whose blockers have all failed or were cancelled may go on without them: a person said so.

    Raises:
        TaskWaitsError: there are such others.
    """
    open_ones = living(blockers)
    if not open_ones:
        return
    names = ", ".join(str(blocker.id)[:_SHORT] for blocker in open_ones[:_SHOWN])
    more = ", …" if len(open_ones) > _SHOWN else ""
    raise TaskWaitsError(
        f"Task {task.id} waits for {names}{more} and starts by itself when they have completed; "
        "to start it now, remove that with `autovibe task undepend`.",
        task_id=str(task.id),
    )


async def _let_go(tx: WriteTx, ctx: CallContext, task: Task) -> None:
    if task.started_at is None:
        await _follow_project(tx, task)
    if await repository.newest_order(tx, task.id) is None:
        await enqueue(tx, ctx, task, first_payload(task))
    else:
        await enqueue_again(tx, ctx, task, await resumed_payload(tx, task))


async def _follow_project(tx: WriteTx, task: Task) -> None:
    """Let a task begin with what its blockers have made, unless its base was chosen."""
    context = column_message(task.context, work_pb2.TaskContext)
    if context.follows_project and task.project_id is not None:
        project = await get_project(tx, str(task.project_id))
        task.base_checkpoint_id = project.current_checkpoint_id or task.base_checkpoint_id
