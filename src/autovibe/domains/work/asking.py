"""Asking for leave: the level of the task decides, then the rules of its project, then a person.

An answer counts once, for the call that it was given for: to the machine that asked, or, when that
was freed or has died, to the one that goes on from its checkpoint and asks for the same again.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.db.bells import Bells
from autovibe.domains.projects import get_project
from autovibe.domains.work.answering import expire
from autovibe.domains.work.approvals import (
    ALLOW,
    DENY,
    approval_topic,
    asked_details,
    fingerprint,
    get_approval,
    given_answer,
    open_approval,
)
from autovibe.domains.work.messages import column_value
from autovibe.domains.work.models import (
    ApprovalKind,
    ApprovalRequest,
    ApprovalStatus,
    Execution,
    PermissionLevel,
    Task,
)
from autovibe.domains.work.permission_policy import (
    ASK,
    SHELL_TOOL,
    Decision,
    ToolCall,
    decide,
    stated_policy,
)
from autovibe.domains.work.queue import check_execution
from autovibe.domains.work.repository import approvals as rows
from autovibe.kernel.context import CallContext
from autovibe.kernel.protoconv import from_struct, timestamp
from autovibe.v1 import agents_pb2, approvals_pb2

_WAIT: Final = "wait"
_LINE_OF: Final = ("command", "file_path", "path", "notebook_path", "url", "query", "pattern")
_ENDED: Final = frozenset({ApprovalStatus.ANSWERED, ApprovalStatus.EXPIRED})


async def ask(
    tx: WriteTx, ctx: CallContext, request: approvals_pb2.AskApprovalRequest, deadline_s: int
) -> approvals_pb2.AskApprovalResponse:
    """Return whether something is allowed, or under which request somebody has to say so.

    Raises:
        LeaseLostError: who asks does not hold the task's order any more.
    """
    execution = await check_execution(tx, uuid.UUID(request.execution_id), request.lease_generation)
    task = await tx.session.get_one(Task, execution.task_id)
    kind = ApprovalKind(request.kind)
    why = ""
    if kind == ApprovalKind.TOOL_USE:
        decision = await _by_rules(tx, task, request)
        if decision.effect != ASK:
            message = f"Not allowed: {decision.why}." if decision.effect == DENY else ""
            return approvals_pb2.AskApprovalResponse(
                verdict=decision.effect, message=message, decided_by=decision.why
            )
        why = decision.why
    details = agents_pb2.ApprovalDetails(
        tool=request.tool,
        input=request.input,
        cwd=request.cwd,
        text=request.text or why,
        tool_use_id=request.tool_use_id,
    )
    details.fingerprint = fingerprint(kind, _compared(details, kind))
    found = await _earlier(tx, ctx, task, execution, details)
    if found is None:
        found = await _new(tx, ctx, execution, request, details=details, deadline_s=deadline_s)
    await _note_on_calls(tx, execution, found, request.tool_use_id)
    return _response(found)


async def _note_on_calls(
    tx: WriteTx, execution: Execution, found: ApprovalRequest, tool_use_id: str
) -> None:
    """Let what is recorded of a call name the request that decided it."""
    if found.status == ApprovalStatus.OPEN or not tool_use_id:
        return
    for call in await rows.tool_calls_of(tx, execution.correlation_id, tool_use_id):
        call.metadata_ = {**call.metadata_, "approval_id": str(found.id)}


async def _by_rules(tx: WriteTx, task: Task, request: approvals_pb2.AskApprovalRequest) -> Decision:
    if task.permission_level == PermissionLevel.AUTONOMOUS:
        return Decision(ALLOW, "the task is autonomous")
    metadata = {}
    if task.project_id is not None:
        metadata = (await get_project(tx, str(task.project_id))).metadata_
    command = ""
    if request.tool == SHELL_TOOL:
        command = str(from_struct(request.input).get("command", ""))
    call = ToolCall(request.tool, command, list(request.paths))
    return decide(stated_policy(metadata), call)


def _compared(
    details: agents_pb2.ApprovalDetails, kind: ApprovalKind
) -> agents_pb2.ApprovalDetails:
    """Return what two requests must have in common; why a tool is asked about is not part of it."""
    compared = agents_pb2.ApprovalDetails(tool=details.tool, input=details.input, cwd=details.cwd)
    if kind != ApprovalKind.TOOL_USE:
        compared.text = details.text
    return compared


async def _earlier(
    tx: WriteTx,
    ctx: CallContext,
    task: Task,
    execution: Execution,
    details: agents_pb2.ApprovalDetails,
) -> ApprovalRequest | None:
    """Return the request that this one repeats, if its answer counts for it or will do so."""
    kinds = (ApprovalKind.TOOL_USE, ApprovalKind.QUESTION, ApprovalKind.BUDGET)
    for candidate in await rows.of_task(tx, task.id, kinds):
        if asked_details(candidate).fingerprint != details.fingerprint:
            continue
        found = await rows.lock(tx, candidate.id)
        if found is not None:
            await _expire_late(tx, ctx, found)
            if _counts(found, execution, details.tool_use_id):
                return found
    return None


async def _expire_late(tx: WriteTx, ctx: CallContext, found: ApprovalRequest) -> None:
    late = found.deadline_at is not None and found.deadline_at <= ctx.clock.now()
    if late and found.status == ApprovalStatus.OPEN:
        await expire(tx, ctx, found)


def _counts(found: ApprovalRequest, execution: Execution, tool_use_id: str) -> bool:
    """Return whether a request is this one's too; note then who waits for it, or has its answer."""
    answer = given_answer(found)
    if found.status == ApprovalStatus.ANSWERED and answer.identical:
        return True
    own = found.execution_id == execution.id
    if own and asked_details(found).tool_use_id != tool_use_id:
        return False  # the same thing asked for a second time in one conversation
    if found.status == ApprovalStatus.OPEN:
        found.execution_id = execution.id
        found.machine_id = execution.machine_id
        return True
    if not own and (answer.delivered or found.status not in _ENDED):
        return False
    answer.delivered = True
    found.answer = column_value(answer)
    return True


async def _new(
    tx: WriteTx,
    ctx: CallContext,
    execution: Execution,
    request: approvals_pb2.AskApprovalRequest,
    *,
    details: agents_pb2.ApprovalDetails,
    deadline_s: int,
) -> ApprovalRequest:
    task = await tx.session.get_one(Task, execution.task_id)
    kind = ApprovalKind(request.kind)
    question = kind == ApprovalKind.QUESTION
    return await open_approval(
        tx,
        ctx,
        task,
        kind,
        request.text if question else _title(request),
        details=details,
        deadline_s=deadline_s,
        execution_id=execution.id,
        machine_id=execution.machine_id,
        options=list(request.options) if question else (ALLOW, DENY),
        default_answer=request.default_answer if question else DENY,
    )


def _title(request: approvals_pb2.AskApprovalRequest) -> str:
    given = from_struct(request.input)
    line = next((str(given[name]) for name in _LINE_OF if given.get(name)), "")
    return f"{request.tool}: {line}" if line else request.tool


def _response(found: ApprovalRequest) -> approvals_pb2.AskApprovalResponse:
    answer = given_answer(found)
    response = approvals_pb2.AskApprovalResponse(
        approval_id=str(found.id),
        verdict=_WAIT,
        message=answer.text,
        decided_by=answer.by,
        deadline_at=timestamp(found.deadline_at),
    )
    if found.status == ApprovalStatus.OPEN:
        return response
    if found.kind == ApprovalKind.QUESTION:
        response.verdict = ALLOW if found.status in _ENDED else DENY
        return response
    response.verdict = ALLOW if answer.choice == ALLOW else DENY
    if response.verdict == DENY and not response.message:
        response.message = "A person said no; take another way, or ask what they want instead."
    return response


@dataclass(frozen=True)
class WaitPlan:
    """What is waited for, and how long at most."""

    topic: str
    decided: bool
    seen: int
    wait_s: float


class WaitForApproval:
    """The long operation WaitForApproval."""

    def __init__(self, bells: Bells) -> None:
        """Wait for bells of this process."""
        self._bells = bells

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: approvals_pb2.WaitForApprovalRequest
    ) -> WaitPlan:
        """Look whether there is an answer yet.

        Raises:
            ApprovalNotFoundError: there is no such request.
        """
        topic = approval_topic(request.approval_id)
        seen = self._bells.count([topic])  # before the look: what rings after it is heard
        approval = await get_approval(tx, request.approval_id)
        left_s = float(request.wait_s)
        if approval.deadline_at is not None:
            left_s = min(left_s, (approval.deadline_at - ctx.clock.now()).total_seconds())
        decided = approval.status != ApprovalStatus.OPEN or left_s < 0
        return WaitPlan(topic, decided, seen, max(0.0, left_s))

    async def act(self, ctx: CallContext, plan: WaitPlan) -> approvals_pb2.WaitForApprovalResponse:
        """Wait until the bell rings or the time is up; who asked asks again then."""
        del ctx
        rung = plan.decided
        if not plan.decided:
            rung = await self._bells.wait([plan.topic], plan.seen, plan.wait_s) != plan.seen
        return approvals_pb2.WaitForApprovalResponse(decided=rung)
