"""Answering what waits for a person, and what follows: a task that was freed goes on by itself."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final

from autovibe.db import WriteTx
from autovibe.domains.contract import Slice
from autovibe.domains.metering import set_task_budget
from autovibe.domains.work.approvals import (
    ALLOW,
    DENY,
    WAITING,
    approval_message,
    asked_details,
    get_approval,
    given_answer,
    tell,
)
from autovibe.domains.work.enqueuing import enqueue_again, first_payload, resumed_payload
from autovibe.domains.work.errors import ApprovalClosedError
from autovibe.domains.work.messages import column_value
from autovibe.domains.work.models import (
    ApprovalKind,
    ApprovalRequest,
    ApprovalStatus,
    Execution,
    Task,
    TaskStatus,
)
from autovibe.domains.work.repository import approvals as rows
from autovibe.domains.work.transitions import check_transition
from autovibe.domains.work.waiting import settle_dependants, start_or_wait
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import AutovibeError, InvalidArgumentError
from autovibe.kernel.money import parse_amount
from autovibe.v1 import agents_pb2, approvals_pb2

EXPIRED: Final = "APPROVAL_EXPIRED"
"""Why a task is blocked whose start nobody has allowed in time."""
_FREED: Final = frozenset({WAITING, "CONTROL_PLANE_DIED", "LEASE_EXPIRED"})
_OF_AGENTS: Final = (ApprovalKind.TOOL_USE, ApprovalKind.QUESTION)
_OVER: Final = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED})
_AT_ONCE: Final = 50
_NOTE: Final = (
    "You were stopped while you waited for a person, who has answered meanwhile. The files are as "
    "they were after the last step whose result you have seen. Do again what you asked leave for, "
    "or ask again what you asked: the answer is there now. Then go on with the task."
)


async def answer(
    tx: WriteTx, ctx: CallContext, request: approvals_pb2.AnswerApprovalRequest
) -> approvals_pb2.AnswerApprovalResponse | AutovibeError:
    """Record what a person answered, and let go on what waited for it.

    Returns the error instead when the deadline has passed, which is recorded then.

    Raises:
        ApprovalNotFoundError: there is no such request.
        ApprovalClosedError: it is open no more.
        InvalidArgumentError: the answer does not fit the question.
    """
    found = await _locked_open(tx, request.approval_id)
    if found.deadline_at is not None and found.deadline_at <= ctx.clock.now():
        await expire(tx, ctx, found)
        return _closed(found)
    given = _checked_answer(ctx, found, request)
    others: Sequence[ApprovalRequest] = []
    if request.identical:
        others = await _identical(tx, found)
    for one in (found, *others):
        _close(ctx, one, ApprovalStatus.ANSWERED, given)
        tell(tx, "approvals.answered", one)
    await tx.session.flush()  # what goes on looks at them
    for one in (found, *others):
        await _go_on(tx, ctx, one)
    await tx.session.flush()  # the answer shows the task as it is now
    task = await tx.session.get(Task, found.task_id) if found.task_id else None
    return approvals_pb2.AnswerApprovalResponse(
        approval=await approval_message(tx, found),
        also_answered_ids=[str(one.id) for one in others],
        task_status=task.status if task is not None else "",
    )


async def cancel(tx: WriteTx, ctx: CallContext, approval_id: str) -> ApprovalRequest:
    """Withdraw a request; what asked is told no.

    Raises:
        ApprovalNotFoundError: there is no such request.
        ApprovalClosedError: it is open no more.
    """
    found = await _locked_open(tx, approval_id)
    told = agents_pb2.ApprovalAnswer(
        choice=DENY, text="A person has withdrawn the question.", by=_who(ctx)
    )
    _close(ctx, found, ApprovalStatus.CANCELLED, told)
    tell(tx, "approvals.cancelled", found)
    await _go_on(tx, ctx, found)
    return found


async def release(tx: WriteTx, ctx: CallContext, execution_id: uuid.UUID) -> int:
    """Note that an execution has ended; return how many of its questions nobody needs any more.

    The answer may have come while its machine was being freed: its task goes on then.
    """
    execution = await tx.session.get(Execution, execution_id)
    if execution is None:
        return 0
    task = await tx.session.get_one(
        Task, execution.task_id, with_for_update=True, populate_existing=True
    )
    if task.status == TaskStatus.BLOCKED and task.block_reason == WAITING:
        await _take_up(tx, ctx, task)
        return 0
    if task.status not in _OVER:
        return 0
    found = await rows.open_of_execution(tx, execution_id)
    for one in found:
        await _withdraw(tx, ctx, one)
    return len(found)


async def withdraw_of_task(tx: WriteTx, ctx: CallContext, task_id: uuid.UUID) -> None:
    """Withdraw all that a task asked for which is not to go on."""
    for one in await rows.of_task(tx, task_id):
        if one.status == ApprovalStatus.OPEN:
            locked = await rows.lock(tx, one.id)
            if locked is not None and locked.status == ApprovalStatus.OPEN:
                await _withdraw(tx, ctx, locked)


async def expire(tx: WriteTx, ctx: CallContext, found: ApprovalRequest) -> None:
    """Let the default count: no, unless a question has another one (decision C10)."""
    question = found.kind == ApprovalKind.QUESTION
    told = agents_pb2.ApprovalAnswer(choice="" if question else DENY)
    told.text = "Nobody answered in time."
    if question and found.default_answer:
        told.text = found.default_answer
    _close(ctx, found, ApprovalStatus.EXPIRED, told)
    tell(tx, "approvals.expired", found)
    tx.audit(
        actor_type="system",
        actor_id="deadline",
        operation="autovibe.v1.ApprovalService/ExpireApproval",
        resource_type="approval",
        resource_id=found.id,
        details={"default": told.choice or told.text[:200]},
    )
    await tx.session.flush()  # what goes on looks at it
    await _go_on(tx, ctx, found)


async def expire_approvals(tx: WriteTx, ctx: CallContext, *, dry_run: bool) -> Slice:
    """Close what nobody has answered in time: a slice of the scheduled job."""
    now = ctx.clock.now()
    if dry_run:
        return Slice(await rows.count_overdue(tx, now))
    found = await rows.overdue(tx, now, _AT_ONCE)
    for one in found:
        await expire(tx, ctx, one)
    # Whoever freed a machine may have died before it looked whether the answer had come meanwhile.
    for task in await rows.stranded(tx, WAITING, _AT_ONCE):
        await _take_up(tx, ctx, task)
    return Slice(len(found), more=len(found) == _AT_ONCE)


async def _locked_open(tx: WriteTx, id_or_prefix: str) -> ApprovalRequest:
    found = await get_approval(tx, id_or_prefix)
    locked = await rows.lock(tx, found.id)
    if locked is None or locked.status != ApprovalStatus.OPEN:
        raise _closed(locked or found)
    return locked


def _closed(found: ApprovalRequest) -> ApprovalClosedError:
    return ApprovalClosedError(
        f"Approval {found.id} is {found.status} and cannot be answered any more; see what is open "
        "with `autovibe inbox`.",
        approval_id=str(found.id),
        status=found.status,
    )


def _checked_answer(
    ctx: CallContext, found: ApprovalRequest, request: approvals_pb2.AnswerApprovalRequest
) -> agents_pb2.ApprovalAnswer:
    given = agents_pb2.ApprovalAnswer(
        choice=request.choice, text=request.text, by=_who(ctx), identical=request.identical
    )
    if found.kind == ApprovalKind.QUESTION:
        if not request.text.strip():
            raise InvalidArgumentError(
                f"This is a question; answer it with `autovibe answer {str(found.id)[:8]} TEXT`.",
                field="text",
            )
        given.choice = request.text if request.text in found.options else ""
        return given
    if request.choice not in {ALLOW, DENY}:
        raise InvalidArgumentError(
            f"Say yes or no: `autovibe approve {str(found.id)[:8]}`, or `autovibe deny`.",
            field="choice",
        )
    if found.kind == ApprovalKind.BUDGET and request.choice == ALLOW:
        parse_amount(request.text or asked_details(found).amount)
    return given


async def _identical(tx: WriteTx, found: ApprovalRequest) -> Sequence[ApprovalRequest]:
    """Return the other open requests of the task that ask for the same, locked."""
    if found.task_id is None:
        return []
    wanted = asked_details(found).fingerprint
    same: list[ApprovalRequest] = []
    for one in await rows.of_task(tx, found.task_id, [found.kind]):
        if one.id == found.id or asked_details(one).fingerprint != wanted:
            continue
        locked = await rows.lock(tx, one.id)
        if locked is not None and locked.status == ApprovalStatus.OPEN:
            same.append(locked)
    return same


def _close(
    ctx: CallContext,
    found: ApprovalRequest,
    status: ApprovalStatus,
    told: agents_pb2.ApprovalAnswer,
) -> None:
    found.status = status
    found.answer = column_value(told)
    if status == ApprovalStatus.ANSWERED:
        found.answered_at = ctx.clock.now()
        found.answered_by = ctx.actor.user_id


async def _withdraw(tx: WriteTx, ctx: CallContext, found: ApprovalRequest) -> None:
    told = agents_pb2.ApprovalAnswer(choice=DENY, text="It is needed no more.")
    _close(ctx, found, ApprovalStatus.CANCELLED, told)
    tell(tx, "approvals.cancelled", found)


async def _go_on(tx: WriteTx, ctx: CallContext, found: ApprovalRequest) -> None:
    """Do what an answer means for the task."""
    if found.task_id is None:
        return
    task = await tx.session.get(Task, found.task_id, with_for_update=True, populate_existing=True)
    if task is None:
        return
    if found.kind == ApprovalKind.START:
        await _start(tx, ctx, task, found)
    elif found.kind == ApprovalKind.BUDGET:
        await _raise_budget(tx, ctx, task, found)
    elif found.kind in _OF_AGENTS and task.status == TaskStatus.BLOCKED:
        await _take_up(tx, ctx, task)


async def _start(tx: WriteTx, ctx: CallContext, task: Task, found: ApprovalRequest) -> None:
    """Let a task begin, or not."""
    if task.status != TaskStatus.BLOCKED or task.block_reason != WAITING:
        return
    if given_answer(found).choice == ALLOW:
        await start_or_wait(tx, ctx, [(task, first_payload(task))])
    elif found.status == ApprovalStatus.EXPIRED:
        task.block_reason = EXPIRED
    else:
        check_transition("task", task.status, TaskStatus.CANCELLED)
        task.status = TaskStatus.CANCELLED
        task.block_reason = None
        task.completed_at = ctx.clock.now()
        await settle_dependants(tx, ctx, task)


async def _take_up(tx: WriteTx, ctx: CallContext, task: Task) -> None:
    """Queue a task whose machine is gone, as soon as all that it asked is answered."""
    if task.block_reason not in _FREED:
        return
    asked = await rows.of_task(tx, task.id, _OF_AGENTS)
    if any(one.status == ApprovalStatus.OPEN for one in asked):
        return
    payload = await resumed_payload(tx, task)
    if payload.note:
        payload.note = _NOTE
    await enqueue_again(tx, ctx, task, payload)


async def _raise_budget(tx: WriteTx, ctx: CallContext, task: Task, found: ApprovalRequest) -> None:
    """Give a task the budget that was granted, and let it go on."""
    given = given_answer(found)
    if given.choice != ALLOW or task.project_id is None:
        return
    amount = given.text or asked_details(found).amount
    await set_task_budget(tx, ctx, task.project_id, task.id, amount)
    if task.status == TaskStatus.BLOCKED and task.block_reason == "BUDGET_EXHAUSTED":
        await enqueue_again(tx, ctx, task, await resumed_payload(tx, task))


def _who(ctx: CallContext) -> str:
    return f"{ctx.actor.type}:{ctx.actor.id}"
