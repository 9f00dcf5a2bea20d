"""Questions of agents in chat: what waits in the inbox stands in the task's conversation, too.

An answer counts wherever it is given: in the inbox it appears in the conversation, and a reply to
the question in the conversation answers it in the inbox.
"""

from __future__ import annotations

import uuid
from typing import Final

from autovibe.db import WriteTx
from autovibe.domains.collaboration.models import ChatMessage, MessageType, SenderType
from autovibe.domains.collaboration.repository import chat as repository
from autovibe.domains.collaboration.talking import Words, ensure_conversation, say
from autovibe.domains.identity.names import user_name
from autovibe.domains.work import ApprovalService
from autovibe.domains.work.answering import answer
from autovibe.domains.work.errors import ApprovalClosedError
from autovibe.domains.work.queue import check_execution
from autovibe.domains.work.tasks import get_task
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import AutovibeError
from autovibe.v1 import approvals_pb2

APPROVAL: Final = "approval_id"
"""Member of a message's metadata: the request in the inbox that it asks or answers."""
QUESTION: Final = "question"
_WAIT: Final = "wait"
_LONGEST_ANSWER: Final = 10_000


class ConversingApprovals(ApprovalService):
    """The inbox, whose questions and answers stand in conversations too."""

    async def ask_approval(
        self, tx: WriteTx, ctx: CallContext, request: approvals_pb2.AskApprovalRequest
    ) -> approvals_pb2.AskApprovalResponse:
        """Ask for a machine; a question is said in the conversation of its task, too.

        Raises:
            LeaseLostError: who asks does not hold the task's order any more.
        """
        response = await super().ask_approval(tx, ctx, request)
        if request.kind == QUESTION and response.approval_id:
            await _record(tx, ctx, request, response)
        return response

    async def answer_approval(
        self, tx: WriteTx, ctx: CallContext, request: approvals_pb2.AnswerApprovalRequest
    ) -> approvals_pb2.AnswerApprovalResponse | AutovibeError:
        """Answer a request; that of a question is said in the conversation of its task, too.

        Raises:
            ApprovalNotFoundError: there is none.
            ApprovalClosedError: it is open no more.
            InvalidArgumentError: the answer does not fit the question.
        """
        done = await super().answer_approval(tx, ctx, request)
        if isinstance(done, AutovibeError) or done.approval.kind != QUESTION:
            return done
        for approval_id in (done.approval.id, *done.also_answered_ids):
            asked = await repository.find_about(tx, APPROVAL, approval_id, MessageType.QUESTION)
            if asked is not None:
                name = await user_name(tx, ctx.actor)
                await _say_answer(tx, ctx, asked, request.text, name, by_user=True)
        return done


async def answer_in_chat(tx: WriteTx, ctx: CallContext, asked: ChatMessage, text: str) -> bool:
    """Answer a question of the inbox by a reply to it; return False where that does not answer it.

    It has been answered already, nobody waits for it, or the caller may not.
    """
    approval_id = asked.metadata_.get(APPROVAL)
    may = ctx.actor.may("approvals.write") and ctx.actor.may("chat.write")
    if not approval_id or not may or len(text) > _LONGEST_ANSWER or not text.strip():
        return False
    request = approvals_pb2.AnswerApprovalRequest(approval_id=approval_id, text=text)
    try:
        return not isinstance(await answer(tx, ctx, request), AutovibeError)
    except ApprovalClosedError:
        return False


async def _record(
    tx: WriteTx,
    ctx: CallContext,
    request: approvals_pb2.AskApprovalRequest,
    response: approvals_pb2.AskApprovalResponse,
) -> None:
    """Record a question when it is first asked, and its answer when the agent first hears it."""
    approval_id = response.approval_id
    asked = await repository.find_about(tx, APPROVAL, approval_id, MessageType.QUESTION)
    if asked is None:
        execution = await check_execution(
            tx, uuid.UUID(request.execution_id), request.lease_generation
        )
        task = await get_task(tx, str(execution.task_id))
        conversation = await ensure_conversation(tx, ctx, task_id=str(task.id))
        words = Words(
            SenderType.WORKER,
            execution.worker_id,
            str(task.context.get("agent", "")),
            "\n".join([request.text, *(f"- {option}" for option in request.options)]),
            MessageType.QUESTION,
        )
        asked = await say(tx, ctx, conversation, words, **{APPROVAL: approval_id})
    if response.verdict != _WAIT and response.message:
        await _say_answer(tx, ctx, asked, response.message, "inbox", by_user=False)


async def _say_answer(
    tx: WriteTx, ctx: CallContext, asked: ChatMessage, text: str, name: str, *, by_user: bool
) -> None:
    if await repository.has_reply(tx, asked.id, MessageType.RESPONSE):
        return
    conversation = await repository.conversation_of(tx, asked)
    words = Words(
        SenderType.USER if by_user else SenderType.CONTROLLER,
        ctx.actor.user_id if by_user else None,
        name,
        text,
        MessageType.RESPONSE,
        asked.id,
    )
    await say(tx, ctx, conversation, words, **{APPROVAL: asked.metadata_[APPROVAL]})
