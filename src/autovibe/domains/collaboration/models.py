"""Tables of the collaboration domain."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, WriteOnlyMapped, mapped_column, relationship

from autovibe.db.base import Base, Created, Identified, Timestamps, WithMetadata, one_of
from autovibe.db.types import EnumText

if TYPE_CHECKING:
    from autovibe.domains.identity.models import User
    from autovibe.domains.projects.models import Project
    from autovibe.domains.work.models import Task


class SenderType(StrEnum):
    """What sent a message; `sender_id` is of a user or a worker, else NULL."""

    USER = "user"
    WORKER = "worker"
    SYSTEM = "system"
    CONTROLLER = "controller"


class MessageType(StrEnum):
    """What a message is."""

    TEXT = "text"
    QUESTION = "question"
    RESPONSE = "response"
    STATUS = "status"
    ERROR = "error"


class ChatConversation(Identified, WithMetadata, Timestamps, Base):
    """A thread of messages, about a project or a task or neither."""

    __tablename__ = "chat_conversations"
    __table_args__ = (
        Index("idx_chat_conversations_project", "project_id"),
        Index("idx_chat_conversations_task", "task_id"),
        Index("idx_chat_conversations_created_by", "created_by"),
    )

    title: Mapped[str | None] = mapped_column(String(255))
    project_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("projects.id", ondelete="SET NULL")
    )
    task_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tasks.id", ondelete="SET NULL"))
    created_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL")
    )

    messages: WriteOnlyMapped[ChatMessage] = relationship(
        back_populates="conversation",
        order_by="ChatMessage.created_at",
        passive_deletes="all",
    )
    project: Mapped[Project | None] = relationship()
    task: Mapped[Task | None] = relationship(back_populates="conversations")
    creator: Mapped[User | None] = relationship()


class ChatMessage(Identified, WithMetadata, Created, Base):
    """One message of a conversation; `edited_at` is its time of change."""

    __tablename__ = "chat_messages"
    __table_args__ = (
        one_of("sender_type", SenderType, "ck_chat_messages_sender_type"),
        one_of("message_type", MessageType, "ck_chat_messages_type"),
        Index("idx_chat_messages_conversation", "conversation_id", "created_at"),
        Index("idx_chat_messages_sender", "sender_type", "sender_id"),
        Index("idx_chat_messages_created", "created_at"),
        Index("idx_chat_messages_parent", "parent_message_id"),
    )

    conversation_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("chat_conversations.id", ondelete="RESTRICT")
    )
    sender_type: Mapped[SenderType] = mapped_column(EnumText(SenderType, 10))
    sender_id: Mapped[uuid.UUID | None] = mapped_column()
    message: Mapped[str] = mapped_column(Text)
    message_type: Mapped[MessageType] = mapped_column(
        EnumText(MessageType, 20), default=MessageType.TEXT, server_default=MessageType.TEXT
    )
    parent_message_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("chat_messages.id", ondelete="SET NULL")
    )
    edited_at: Mapped[datetime | None] = mapped_column()

    conversation: Mapped[ChatConversation] = relationship(back_populates="messages")
    parent: Mapped[ChatMessage | None] = relationship(
        back_populates="replies", remote_side="ChatMessage.id"
    )
    replies: Mapped[list[ChatMessage]] = relationship(back_populates="parent", passive_deletes=True)
    attachments: Mapped[list[ChatAttachment]] = relationship(
        back_populates="message",
        lazy="selectin",
        cascade="all, delete-orphan",
        passive_deletes=True,
    )


class ChatAttachment(Identified, WithMetadata, Created, Base):
    """A file that belongs to a message."""

    __tablename__ = "chat_attachments"
    __table_args__ = (Index("idx_chat_attachments_message", "message_id"),)

    message_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("chat_messages.id", ondelete="CASCADE")
    )
    file_name: Mapped[str] = mapped_column(String(255))
    file_path: Mapped[str] = mapped_column(String(500))
    file_type: Mapped[str | None] = mapped_column(String(50))
    file_size_bytes: Mapped[int | None] = mapped_column(BigInteger)

    message: Mapped[ChatMessage] = relationship(back_populates="attachments")
