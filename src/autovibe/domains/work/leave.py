"""What a task needs leave for besides its tools: to begin, and to have its result applied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.work.approvals import ALLOW, WAITING, given_answer, open_approval
from autovibe.domains.work.errors import ApprovalNeededError, NothingToApplyError
from autovibe.domains.work.models import (
    ApprovalKind,
    ApprovalRequest,
    ApprovalStatus,
    PermissionLevel,
    Task,
    TaskStatus,
)
from autovibe.domains.work.repository import approvals as rows
from autovibe.domains.work.transitions import check_transition
from autovibe.domains.work.waiting import start_or_wait
from autovibe.kernel.context import CallContext
from autovibe.v1 import agents_pb2, work_pb2


@dataclass(frozen=True)
class Leave:
    """Asks for leave before tasks begin and results are applied."""

    deadline_s: int

    async def start(
        self,
        tx: WriteTx,
        ctx: CallContext,
        entries: Sequence[tuple[Task, work_pb2.WorkOrderPayload]],
    ) -> None:
        """Queue tasks, or let them wait: for leave first, then for other tasks.

        Raises:
            InvalidTransitionError: a task cannot be queued now.
        """
        free: list[tuple[Task, work_pb2.WorkOrderPayload]] = []
        for task, payload in entries:
            if await needs_leave_to_begin(tx, task):
                await self.block(tx, ctx, task)
            else:
                free.append((task, payload))
        await start_or_wait(tx, ctx, free)

    async def block(self, tx: WriteTx, ctx: CallContext, task: Task) -> None:
        """Let a task wait until a person says that it may begin."""
        if task.status != TaskStatus.BLOCKED:
            check_transition("task", task.status, TaskStatus.BLOCKED)
        task.status = TaskStatus.BLOCKED
        task.block_reason = WAITING
        await open_approval(
            tx,
            ctx,
            task,
            ApprovalKind.START,
            f"Begin: {task.title}",
            details=agents_pb2.ApprovalDetails(text=task.description or ""),
            deadline_s=self.deadline_s,
        )

    async def ask_to_apply(self, tx: WriteTx, ctx: CallContext, task: Task) -> ApprovalRequest:
        """Return the request to apply a task's result as it is now; there is one at most.

        Raises:
            NothingToApplyError: the task has no result yet.
        """
        if task.result_checkpoint_id is None:
            raise NothingToApplyError(f"Task {task.id} has no result yet.")
        found = await _of_result(tx, task)
        if found is not None and found.status in {ApprovalStatus.OPEN, ApprovalStatus.ANSWERED}:
            return found
        return await open_approval(
            tx,
            ctx,
            task,
            ApprovalKind.APPLY,
            f"Apply the result of: {task.title}",
            details=agents_pb2.ApprovalDetails(fingerprint=str(task.result_checkpoint_id)),
            deadline_s=self.deadline_s,
        )


async def needs_leave_to_begin(tx: ReadTx | WriteTx, task: Task) -> bool:
    """Return whether a person has to allow that a task begins, and nobody has."""
    if task.permission_level != PermissionLevel.HUMAN_REQUIRED:
        return False
    asked = await rows.of_task(tx, task.id, [ApprovalKind.START])
    return not any(
        one.status == ApprovalStatus.ANSWERED and given_answer(one).choice == ALLOW for one in asked
    )


async def check_leave_to_apply(tx: ReadTx | WriteTx, task: Task) -> None:
    """Refuse to apply the result of a task that is not autonomous before a person allowed it.

    Raises:
        ApprovalNeededError: nobody has allowed this result, or somebody has said no.
    """
    if task.permission_level == PermissionLevel.AUTONOMOUS:
        return
    found = await _of_result(tx, task)
    if found is None or found.status != ApprovalStatus.ANSWERED:
        raise ApprovalNeededError(
            f"Task {task.id} is {task.permission_level}: a person has to allow that its result is "
            "applied; ask with `autovibe apply`, answer with `autovibe approve`.",
            task_id=str(task.id),
            approval_id=str(found.id) if found and found.status == ApprovalStatus.OPEN else "",
        )
    answer = given_answer(found)
    if answer.choice != ALLOW:
        why = f" ({answer.text})" if answer.text else ""
        raise ApprovalNeededError(
            f"{answer.by} has said no to applying this result{why}; let the task go on, or look "
            "at the result with `autovibe task diff`.",
            task_id=str(task.id),
            approval_id=str(found.id),
            denied=True,
        )


def waits_for_person(task: Task) -> bool:
    """Return whether a task is blocked until a person has answered."""
    return task.status == TaskStatus.BLOCKED and task.block_reason == WAITING


def check_not_waiting(task: Task) -> None:
    """Refuse to let a task go on past a question that a person has not answered.

    Raises:
        ApprovalNeededError: it waits for an answer.
    """
    if waits_for_person(task):
        raise ApprovalNeededError(
            f"Task {task.id} waits for a person and goes on by itself after the answer; see "
            "`autovibe inbox`.",
            task_id=str(task.id),
        )


async def _of_result(tx: ReadTx | WriteTx, task: Task) -> ApprovalRequest | None:
    """Return the newest request to apply the result that the task has now."""
    result = str(task.result_checkpoint_id or "")
    for one in await rows.of_task(tx, task.id, [ApprovalKind.APPLY]):
        if one.details.get("fingerprint") == result:
            return one
    return None
