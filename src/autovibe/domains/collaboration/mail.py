"""The agent's side of chat: what its runtime takes for it, and what it says itself."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final, Literal, cast

from autovibe.db import ReadTx, WriteTx
from autovibe.db.bells import Bells
from autovibe.domains.collaboration.chat_errors import MessageNotFoundError
from autovibe.domains.collaboration.models import ChatMessage, MessageType, SenderType
from autovibe.domains.collaboration.repository import chat as repository
from autovibe.domains.collaboration.talking import (
    Words,
    ensure_conversation,
    get_message,
    post_to,
    say,
    task_topic,
)
from autovibe.domains.machines import letters, mailbox
from autovibe.domains.work.errors import LeaseLostError
from autovibe.domains.work.queue import check_execution
from autovibe.domains.work.tasks import get_task, machines_of_task
from autovibe.kernel.context import CallContext
from autovibe.kernel.protoconv import timestamp
from autovibe.v1 import chat_pb2

_MOST: Final = 100
_RUNNING: Final = "running"


@dataclass(frozen=True)
class WaitPlan:
    """What is waited for, and how long."""

    topics: tuple[str, ...]
    seen: int
    wait_s: float
    waiting: bool


class WaitForMail:
    """The long operation WaitForMail."""

    def __init__(self, bells: Bells) -> None:
        """Wait for bells of this process."""
        self._bells = bells

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: chat_pb2.WaitForMailRequest
    ) -> WaitPlan:
        """Look whether there is something; the bells are counted first, so that none is missed."""
        del ctx
        task_id, machine_id = uuid.UUID(request.task_id), uuid.UUID(request.machine_id)
        topics = (task_topic(task_id), mailbox.mailbox_topic(machine_id))
        seen = self._bells.count(topics)
        waiting = await letters.has_waiting(tx, machine_id) or bool(
            await repository.waiting_for_task(tx, task_id, 1)
        )
        return WaitPlan(topics, seen, float(request.wait_s), waiting)

    async def act(self, ctx: CallContext, plan: WaitPlan) -> chat_pb2.WaitForMailResponse:
        """Wait until a bell rings or the time is up; the caller looks again then."""
        del ctx
        if not plan.waiting and plan.wait_s:
            await self._bells.wait(plan.topics, plan.seen, plan.wait_s)
        return chat_pb2.WaitForMailResponse(waiting=plan.waiting)


async def take(
    tx: WriteTx, ctx: CallContext, request: chat_pb2.TakeMailRequest
) -> chat_pb2.TakeMailResponse:
    """Take what waits for the agent of a task.

    That is what was said while no machine worked on it, what its earlier machines never saw, and
    what is in the mailbox of this one.

    Raises:
        LeaseLostError: the execution has ended, or belongs to another lease.
    """
    execution = await check_execution(tx, uuid.UUID(request.execution_id), request.lease_generation)
    if execution.status != _RUNNING:
        raise LeaseLostError(
            "The execution has ended; what its agent has not heard waits for the next one.",
            execution_id=request.execution_id,
        )
    machine_id = uuid.UUID(request.machine_id)
    earlier = [one for one in await machines_of_task(tx, execution.task_id) if one != machine_id]
    for letter in await letters.take_over(tx, ctx.clock, earlier):
        await _send_on(tx, ctx, machine_id, letter)
    for row in await repository.waiting_for_task(tx, execution.task_id, _MOST):
        await post_to(tx, ctx, machine_id, row)
    await tx.session.flush()  # what was posted just now is taken, too
    taken = await letters.take_runtime(tx, ctx.clock, machine_id)
    return chat_pb2.TakeMailResponse(items=[_item(letter) for letter in taken])


async def report(tx: WriteTx, ctx: CallContext, request: chat_pb2.ReportMailRequest) -> None:
    """Record what became of mail that was taken.

    Raises:
        LeaseLostError: the execution belongs to another lease.
    """
    execution = await check_execution(tx, uuid.UUID(request.execution_id), request.lease_generation)
    if execution.machine_id is None:
        return
    await letters.settle(
        tx,
        ctx.clock,
        execution.machine_id,
        [uuid.UUID(one) for one in request.ids],
        status=cast("Literal['processed', 'failed', 'queued']", request.status),
        error=request.error_message,
    )


async def post_agent_message(
    tx: WriteTx, ctx: CallContext, request: chat_pb2.PostAgentMessageRequest
) -> ChatMessage:
    """Record what an agent says or asks in the conversation of its task.

    Raises:
        LeaseLostError: the execution belongs to another lease.
        MessageNotFoundError: what it answers is no message of the conversation.
    """
    execution = await check_execution(tx, uuid.UUID(request.execution_id), request.lease_generation)
    task = await get_task(tx, str(execution.task_id))
    conversation = await ensure_conversation(tx, ctx, task_id=str(task.id))
    parent_id: uuid.UUID | None = None
    if request.parent_message_id:
        parent = await get_message(tx, request.parent_message_id)
        if parent.conversation_id != conversation.id:
            raise MessageNotFoundError(
                f"Message {request.parent_message_id} is in another conversation; leave it out.",
                message_id=request.parent_message_id,
            )
        parent_id = parent.id
    words = Words(
        SenderType.WORKER,
        execution.worker_id,
        str(task.context.get("agent", "")),
        request.message,
        MessageType(request.message_type or MessageType.TEXT),
        parent_id,
    )
    return await say(tx, ctx, conversation, words, execution_id=str(execution.id))


async def _send_on(
    tx: WriteTx, ctx: CallContext, machine_id: uuid.UUID, letter: letters.Letter
) -> None:
    """Put what another machine never saw into the mailbox of this one."""
    message_id = letter.data.get("chat_message_id")
    row = await tx.session.get(ChatMessage, uuid.UUID(message_id)) if message_id else None
    if row is not None:
        await post_to(tx, ctx, machine_id, row)
    else:
        payload = {"text": letter.text, "data": letter.data}
        await mailbox.post(tx, ctx.clock, machine_id, payload, sender_id=letter.sender_id)


def _item(letter: letters.Letter) -> chat_pb2.MailItem:
    item = chat_pb2.MailItem(
        id=str(letter.id),
        chat_message_id=str(letter.data.get("chat_message_id", "")),
        sender_name=str(letter.data.get("sender_name", "")),
        message=letter.text,
        sent_at=timestamp(letter.sent_at),
    )
    if letter.sender_id is not None:
        item.sender_name = f"machine {letter.sender_id}"
    return item
