"""Saying something: which conversation it belongs to, in which order, and who hears it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.collaboration.chat_errors import (
    ConversationArchivedError,
    ConversationNotFoundError,
    MessageNotFoundError,
    NotYourMessageError,
)
from autovibe.domains.collaboration.chat_messages import LETTER_ID, SENDER_NAME
from autovibe.domains.collaboration.models import (
    ChatConversation,
    ChatMessage,
    MessageType,
    SenderType,
)
from autovibe.domains.collaboration.repository import chat as repository
from autovibe.domains.collaboration.repository.chat import ARCHIVED, MAIL, WAITING, Scope
from autovibe.domains.machines import mailbox
from autovibe.domains.projects import get_project
from autovibe.domains.work.tasks import get_task, running_machine
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.ids import id_range

POSTED: Final = "posted"
_INSTANT: Final = timedelta(microseconds=1)
_FOR_AGENTS: Final = frozenset({MessageType.TEXT, MessageType.RESPONSE, MessageType.QUESTION})


@dataclass(frozen=True)
class Words:
    """What is said, by whom."""

    sender_type: SenderType
    sender_id: uuid.UUID | None
    sender_name: str
    message: str
    message_type: MessageType = MessageType.TEXT
    parent_id: uuid.UUID | None = None
    for_agent: bool = False


def task_topic(task_id: uuid.UUID | str) -> str:
    """Return the bell that rings when something is said in a conversation of a task."""
    return f"chat:{task_id}"


async def get_conversation(tx: ReadTx | WriteTx, id_or_prefix: str) -> ChatConversation:
    """Return one conversation by its id or the beginning of it.

    Raises:
        ConversationNotFoundError: there is none.
        InvalidArgumentError: the beginning fits several.
    """
    low, high = id_range(id_or_prefix, "conversation")
    found = await repository.find_between(tx, ChatConversation, low, high)
    if not found:
        raise ConversationNotFoundError(
            f"There is no conversation {id_or_prefix}; see `autovibe chat list`.",
            conversation_id=id_or_prefix,
        )
    if len(found) > 1:
        raise _several("conversations", id_or_prefix, "conversation_id")
    return found[0]


async def get_message(tx: ReadTx | WriteTx, id_or_prefix: str) -> ChatMessage:
    """Return one message by its id or the beginning of it.

    Raises:
        MessageNotFoundError: there is none.
        InvalidArgumentError: the beginning fits several.
    """
    low, high = id_range(id_or_prefix, "message")
    found = await repository.find_between(tx, ChatMessage, low, high)
    if not found:
        raise MessageNotFoundError(
            f"There is no message {id_or_prefix}; see `autovibe chat show`.",
            message_id=id_or_prefix,
        )
    if len(found) > 1:
        raise _several("messages", id_or_prefix, "message_id")
    return found[0]


def check_own(ctx: CallContext, row: ChatMessage) -> None:
    """Refuse what only the sender of a message may do.

    Raises:
        NotYourMessageError: somebody else sent it.
    """
    if row.sender_type != SenderType.USER or row.sender_id != ctx.actor.user_id:
        raise NotYourMessageError(
            "Somebody else sent this message; answer it instead.", message_id=str(row.id)
        )


async def new_conversation(
    tx: WriteTx, ctx: CallContext, *, project: str, task_id: str, title: str
) -> ChatConversation:
    """Begin a conversation about a task, or else about a project.

    Raises:
        ProjectNotFoundError: there is no such project.
        TaskNotFoundError: there is no such task.
        InvalidArgumentError: neither is named, or the task is of another project.
    """
    if task_id:
        task = await get_task(tx, task_id)
        project_id, about = task.project_id, task.id
        if project and (await get_project(tx, project)).id != project_id:
            raise InvalidArgumentError(
                "The task belongs to another project; leave the project out.", field="project"
            )
        title = title or task.title
    elif project:
        project_id, about = (await get_project(tx, project)).id, None
    else:
        raise InvalidArgumentError("Name a task or a project.", field="task_id")
    return await _add_conversation(tx, ctx, project_id, about, title)


async def ensure_conversation(
    tx: WriteTx, ctx: CallContext, *, project: str = "", task_id: str = ""
) -> ChatConversation:
    """Return the oldest open conversation of a task or project; there is one from then on.

    Raises:
        ProjectNotFoundError: there is no such project.
        TaskNotFoundError: there is no such task.
    """
    # The row is locked, so that two who speak first at once have one conversation.
    if task_id:
        task = await get_task(tx, task_id)
        await tx.session.refresh(task, with_for_update=True)
        project_id, about, title = task.project_id, task.id, task.title
    else:
        owner = await get_project(tx, project)
        await tx.session.refresh(owner, with_for_update=True)
        project_id, about, title = owner.id, None, owner.name
    scope = Scope(task_id=about, project_id=project_id)
    found = await repository.first_open(tx, scope)
    return found or await _add_conversation(tx, ctx, project_id, about, title)


async def say(
    tx: WriteTx, ctx: CallContext, conversation: ChatConversation, words: Words, **metadata: Any
) -> ChatMessage:
    """Add a message to a conversation, and put it into the mailbox of the task's agent if it may.

    Each message of a conversation is later than the one before: the conversation is locked, so
    that nobody who reads on from one misses another that was committed late.

    Raises:
        ConversationArchivedError: the conversation takes no more messages.
        MailboxFullError: too many messages wait for the agent.
    """
    await repository.lock(tx, conversation)
    if ARCHIVED in conversation.metadata_:
        raise ConversationArchivedError(
            "The conversation is archived; bring it back with `autovibe chat archive --undo "
            f"{conversation.id}`, or begin another.",
            conversation_id=str(conversation.id),
        )
    now = ctx.clock.now()
    last = await repository.last_time(tx, conversation.id)
    row = ChatMessage(
        id=uuid.uuid4(),
        conversation_id=conversation.id,
        sender_type=words.sender_type,
        sender_id=words.sender_id,
        message=words.message,
        message_type=words.message_type,
        parent_message_id=words.parent_id,
        created_at=now if last is None else max(now, last + _INSTANT),
        attachments=[],
        metadata={SENDER_NAME: words.sender_name, **metadata},
    )
    tx.session.add(row)
    if (
        words.for_agent
        and conversation.task_id is not None
        and words.sender_type == SenderType.USER
        and words.message_type in _FOR_AGENTS
    ):
        await _post(tx, ctx, conversation.task_id, row)
    if conversation.task_id is not None:
        tx.ring(task_topic(conversation.task_id))
    await tx.session.flush()  # what refers to it comes next
    return row


async def _post(tx: WriteTx, ctx: CallContext, task_id: uuid.UUID, row: ChatMessage) -> None:
    machine_id = await running_machine(tx, task_id)
    if machine_id is None:
        row.metadata_ = {**row.metadata_, MAIL: WAITING}
    else:
        await post_to(tx, ctx, machine_id, row)


async def post_to(tx: WriteTx, ctx: CallContext, machine_id: uuid.UUID, row: ChatMessage) -> None:
    """Put a message of a conversation into the mailbox of a machine.

    Raises:
        MailboxFullError: too many messages wait there.
    """
    letter_id = await mailbox.post(
        tx,
        ctx.clock,
        machine_id,
        {
            "text": row.message,
            "data": {
                "chat_message_id": str(row.id),
                "sender_name": row.metadata_.get(SENDER_NAME, ""),
            },
        },
    )
    row.metadata_ = {**row.metadata_, MAIL: POSTED, LETTER_ID: str(letter_id)}


async def _add_conversation(
    tx: WriteTx,
    ctx: CallContext,
    project_id: uuid.UUID | None,
    task_id: uuid.UUID | None,
    title: str,
) -> ChatConversation:
    row = ChatConversation(
        id=uuid.uuid4(),
        title=title[:255] or None,
        project_id=project_id,
        task_id=task_id,
        created_by=ctx.actor.user_id,
        metadata={},
    )
    tx.session.add(row)
    await tx.session.flush()  # its messages refer to it, and its times are part of the answer
    return row


def _several(what: str, text: str, field: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"Several {what} begin with {text}; give more of the id.", field=field
    )
