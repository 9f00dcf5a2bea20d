"""What waits for a person: finding it, putting it down, telling of it."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from google.protobuf import json_format

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.projects import get_project
from autovibe.domains.work.errors import ApprovalNotFoundError
from autovibe.domains.work.messages import column_message, column_value
from autovibe.domains.work.models import (
    ApprovalKind,
    ApprovalRequest,
    ApprovalStatus,
    Task,
)
from autovibe.domains.work.repository import approvals as rows
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.ids import id_range, new_id
from autovibe.kernel.protoconv import id_text, timestamp
from autovibe.v1 import agents_pb2, approvals_pb2

ALLOW: Final = "allow"
DENY: Final = "deny"
WAITING: Final = "WAITING_FOR_APPROVAL"
"""Why a task is blocked that goes on when a person has answered."""
_TITLE_LENGTH: Final = 255


def approval_topic(approval_id: uuid.UUID | str) -> str:
    """Return the bell that rings when a request is open no more."""
    return f"approval:{approval_id}"


INBOX_TOPIC: Final = "approvals"
"""The bell that rings when something new waits, or has been answered."""


async def get_approval(tx: ReadTx | WriteTx, id_or_prefix: str) -> ApprovalRequest:
    """Return one request by its id or the beginning of it.

    Raises:
        ApprovalNotFoundError: there is none.
        InvalidArgumentError: the beginning fits several.
    """
    found = await rows.find_between(tx, *id_range(id_or_prefix, "approval"))
    if not found:
        raise ApprovalNotFoundError(
            f"There is no approval {id_or_prefix}; see `autovibe inbox`.", approval_id=id_or_prefix
        )
    if len(found) > 1:
        raise InvalidArgumentError(
            f"Several approvals begin with {id_or_prefix}; give more of the id.",
            field="approval_id",
        )
    return found[0]


async def open_approval(
    tx: WriteTx,
    ctx: CallContext,
    task: Task,
    kind: ApprovalKind,
    title: str,
    *,
    details: agents_pb2.ApprovalDetails,
    deadline_s: int,
    execution_id: uuid.UUID | None = None,
    machine_id: uuid.UUID | None = None,
    options: Iterable[str] = (ALLOW, DENY),
    default_answer: str = DENY,
) -> ApprovalRequest:
    """Put down a question; a person hears of it through the outbox.

    Args:
        tx: writes it.
        ctx: who asks, and when.
        task: what it is about.
        kind: what is asked for.
        title: in one line, cut if it is long; `details` have all of it.
        details: what a person needs to know.
        deadline_s: seconds until the default counts.
        execution_id: the attempt that asks.
        machine_id: the machine that asks.
        options: what may be answered.
        default_answer: what counts when nobody answers.
    """
    approval = ApprovalRequest(
        id=new_id(),
        task_id=task.id,
        execution_id=execution_id,
        machine_id=machine_id,
        kind=kind,
        title=" ".join(title.split())[:_TITLE_LENGTH] or kind,
        details=column_value(details),
        options=list(options),
        default_answer=default_answer,
        deadline_at=ctx.clock.now() + timedelta(seconds=deadline_s),
        status=ApprovalStatus.OPEN,
    )
    tx.session.add(approval)
    await tx.session.flush()  # the answer shows its times
    tell(tx, "approvals.asked", approval)
    return approval


def tell(tx: WriteTx, topic: str, approval: ApprovalRequest) -> None:
    """Let everybody know of a change: those who wait, and those who are notified."""
    tx.ring(approval_topic(approval.id))
    tx.ring(INBOX_TOPIC)
    tx.emit(
        topic,
        {
            "approval_id": str(approval.id),
            "task_id": id_text(approval.task_id),
            "kind": approval.kind,
            "status": approval.status,
            "title": approval.title,
        },
    )


def given_answer(approval: ApprovalRequest) -> agents_pb2.ApprovalAnswer:
    """Return what was answered; an empty one for a request that is open."""
    return column_message(approval.answer or {}, agents_pb2.ApprovalAnswer)


def asked_details(approval: ApprovalRequest) -> agents_pb2.ApprovalDetails:
    """Return what was asked."""
    return column_message(approval.details, agents_pb2.ApprovalDetails)


def fingerprint(kind: str, details: agents_pb2.ApprovalDetails) -> str:
    """Return what is equal for requests that ask for the same (decision C10).

    It is of the canonical JSON of tool, input and directory, and of the text of a question.
    """
    asked: Mapping[str, Any] = {
        "kind": kind,
        "tool": details.tool,
        "input": json_format.MessageToDict(details.input),
        "cwd": details.cwd,
        "text": details.text,
    }
    canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


async def approval_message(
    tx: ReadTx | WriteTx, approval: ApprovalRequest
) -> approvals_pb2.Approval:
    """Return the message of a request, with the names of its task and project."""
    message = approvals_pb2.Approval(
        id=str(approval.id),
        task_id=id_text(approval.task_id),
        execution_id=id_text(approval.execution_id),
        machine_id=id_text(approval.machine_id),
        conversation_id=id_text(approval.conversation_id),
        kind=approval.kind,
        title=approval.title,
        details=asked_details(approval),
        options=approval.options,
        default_answer=approval.default_answer or "",
        deadline_at=timestamp(approval.deadline_at),
        status=approval.status,
        answer=given_answer(approval) if approval.answer is not None else None,
        answered_by=id_text(approval.answered_by),
        answered_at=timestamp(approval.answered_at),
        created_at=timestamp(approval.created_at),
        updated_at=timestamp(approval.updated_at),
    )
    task = await tx.session.get(Task, approval.task_id) if approval.task_id else None
    if task is not None:
        message.task_title = task.title
        message.project_id = id_text(task.project_id)
        if task.project_id is not None:
            message.project_name = (await get_project(tx, str(task.project_id))).name
    return message
