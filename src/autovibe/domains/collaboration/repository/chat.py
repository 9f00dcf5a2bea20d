"""Queries on conversations, their messages and attachments."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, func, or_, select

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.collaboration.models import (
    ChatAttachment,
    ChatConversation,
    ChatMessage,
    MessageType,
)

RowT = TypeVar("RowT", ChatConversation, ChatMessage, ChatAttachment)

Place = tuple[datetime, uuid.UUID]
ARCHIVED: str = "archived_at"
"""Member of a conversation's metadata that says since when it is archived."""
MAIL: str = "mail"
"""Member of a message's metadata: `waiting` for a machine, or `posted` to the mailbox of one."""
WAITING: str = "waiting"


@dataclass(frozen=True)
class Scope:
    """Where is looked; what is None does not count."""

    conversation_id: uuid.UUID | None = None
    task_id: uuid.UUID | None = None
    project_id: uuid.UUID | None = None


async def find_between(
    tx: ReadTx | WriteTx, model: type[RowT], low: uuid.UUID, high: uuid.UUID
) -> Sequence[RowT]:
    """Return at most two rows whose ids lie between these."""
    query: Select[RowT] = select(model).where(model.id.between(low, high)).limit(2)
    return (await tx.session.scalars(query)).all()


async def lock(tx: WriteTx, row: ChatConversation | ChatMessage) -> None:
    """Lock a row that was read before, and read it again as it is now."""
    await tx.session.refresh(row, with_for_update=True)


async def first_open(tx: ReadTx | WriteTx, scope: Scope) -> ChatConversation | None:
    """Return the oldest open conversation of a task, or of a project as a whole."""
    conversation = ChatConversation
    query = (
        select(conversation)
        .where(conversation.metadata_[ARCHIVED].as_string().is_(None))
        .order_by(conversation.created_at, conversation.id)
        .limit(1)
    )
    if scope.task_id is not None:
        query = query.where(conversation.task_id == scope.task_id)
    else:
        query = query.where(
            conversation.project_id == scope.project_id, conversation.task_id.is_(None)
        )
    return (await tx.session.scalars(query)).one_or_none()


async def list_conversations(
    tx: ReadTx, scope: Scope, *, archived: bool, after: Place | None, limit: int
) -> Sequence[ChatConversation]:
    """Return conversations, the newest first, those after the given place."""
    row = ChatConversation
    query = select(row).order_by(row.created_at.desc(), row.id).limit(limit)
    if scope.project_id is not None:
        query = query.where(row.project_id == scope.project_id)
    if scope.task_id is not None:
        query = query.where(row.task_id == scope.task_id)
    if not archived:
        query = query.where(row.metadata_[ARCHIVED].as_string().is_(None))
    if after is not None:
        time, last_id = after
        query = query.where(
            or_(row.created_at < time, (row.created_at == time) & (row.id > last_id))
        )
    return (await tx.session.scalars(query)).all()


async def last_time(tx: WriteTx, conversation_id: uuid.UUID) -> datetime | None:
    """Return when the newest message of a conversation was sent."""
    query = select(func.max(ChatMessage.created_at)).where(
        ChatMessage.conversation_id == conversation_id
    )
    return await tx.session.scalar(query)


async def list_messages(
    tx: ReadTx,
    conversation_id: uuid.UUID,
    *,
    parent_id: uuid.UUID | None,
    newest_first: bool,
    after: Place | None,
    limit: int,
) -> Sequence[ChatMessage]:
    """Return messages of a conversation in an order, those after the given place."""
    row = ChatMessage
    query = select(row).where(row.conversation_id == conversation_id)
    if parent_id is not None:
        query = query.where(row.parent_message_id == parent_id)
    return await _page(tx, query, newest_first=newest_first, after=after, limit=limit)


async def search(
    tx: ReadTx, words: Sequence[str], scope: Scope, *, after: Place | None, limit: int
) -> Sequence[ChatMessage]:
    """Return the messages that hold all of some words, the newest first."""
    query = select(ChatMessage).where(tx.dialect.holds_words(ChatMessage.message, words))
    if scope.conversation_id is not None:
        query = query.where(ChatMessage.conversation_id == scope.conversation_id)
    if scope.task_id is not None or scope.project_id is not None:
        query = query.join(ChatConversation, ChatConversation.id == ChatMessage.conversation_id)
    if scope.task_id is not None:
        query = query.where(ChatConversation.task_id == scope.task_id)
    if scope.project_id is not None:
        query = query.where(ChatConversation.project_id == scope.project_id)
    return await _page(tx, query, newest_first=True, after=after, limit=limit)


async def find_about(
    tx: ReadTx | WriteTx, name: str, value: str, kind: MessageType
) -> ChatMessage | None:
    """Return the oldest message of a kind whose metadata has a value."""
    row = ChatMessage
    query = (
        select(row)
        .where(row.message_type == kind, row.metadata_[name].as_string() == value)
        .order_by(row.created_at, row.id)
        .limit(1)
    )
    return (await tx.session.scalars(query)).one_or_none()


async def has_reply(tx: ReadTx | WriteTx, message_id: uuid.UUID, kind: MessageType) -> bool:
    """Return whether a message of a kind answers another one."""
    query = select(ChatMessage.id).where(
        ChatMessage.parent_message_id == message_id, ChatMessage.message_type == kind
    )
    return await tx.session.scalar(query.limit(1)) is not None


async def conversation_of(tx: ReadTx | WriteTx, message: ChatMessage) -> ChatConversation:
    """Return the conversation of a message."""
    return await tx.session.get_one(ChatConversation, message.conversation_id)


async def waiting_for_task(
    tx: ReadTx | WriteTx, task_id: uuid.UUID, limit: int
) -> Sequence[ChatMessage]:
    """Return messages to the agent of a task that are in no mailbox yet, the oldest first."""
    query = (
        select(ChatMessage)
        .join(ChatConversation, ChatConversation.id == ChatMessage.conversation_id)
        .where(
            ChatConversation.task_id == task_id,
            ChatMessage.metadata_[MAIL].as_string() == WAITING,
        )
        .order_by(ChatMessage.created_at, ChatMessage.id)
        .limit(limit)
    )
    return (await tx.session.scalars(query)).all()


async def _page(
    tx: ReadTx, query: Select[Any], *, newest_first: bool, after: Place | None, limit: int
) -> Sequence[ChatMessage]:
    row = ChatMessage
    if newest_first:
        query = query.order_by(row.created_at.desc(), row.id.desc())
    else:
        query = query.order_by(row.created_at, row.id)
    if after is not None:
        time, last_id = after
        same = row.created_at == time
        beyond = (
            or_(row.created_at < time, same & (row.id < last_id))
            if newest_first
            else or_(row.created_at > time, same & (row.id > last_id))
        )
        query = query.where(beyond)
    return (await tx.session.scalars(query.limit(limit))).all()
