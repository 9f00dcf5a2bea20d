"""Tables of the identity domain: people, their projects, tokens, and control-plane processes."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    CHAR,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    false,
    true,
)
from sqlalchemy.orm import Mapped, WriteOnlyMapped, mapped_column, relationship

from autovibe.db.base import (
    Base,
    Identified,
    Timestamps,
    WithMetadata,
    clock_time,
    json_object,
    one_of,
)
from autovibe.db.types import EnumText

if TYPE_CHECKING:
    from autovibe.domains.collaboration.models import ChatMessage
    from autovibe.domains.commerce.models import Order
    from autovibe.domains.knowledge.models import ContextDocument
    from autovibe.domains.work.models import Task, ToolExecution


class UserRole(StrEnum):
    """What a person may do, everywhere or in one project."""

    ADMIN = "admin"
    DEVELOPER = "developer"
    VIEWER = "viewer"


class TokenKind(StrEnum):
    """What a token is for: calls, the calls of one login, or something else that is done once."""

    API = "api"
    SESSION = "session"
    VERIFICATION = "verification"
    """Proves an e-mail address."""
    LINK = "link"
    """Opens the session of a browser."""

    @property
    def is_for_calls(self) -> bool:
        """Return whether a call can be made with it."""
        return self in {TokenKind.API, TokenKind.SESSION}


class User(Identified, WithMetadata, Timestamps, Base):
    """A person or a service account."""

    __tablename__ = "users"
    __table_args__ = (
        one_of("role", UserRole, "ck_users_role"),
        Index("idx_users_email", "email", unique=True),
        Index("idx_users_username", "username", unique=True),
        Index("idx_users_role", "role"),
    )

    username: Mapped[str] = mapped_column(String(50))
    email: Mapped[str] = mapped_column(String(255))
    hashed_password: Mapped[str] = mapped_column(String(255))
    full_name: Mapped[str | None] = mapped_column(String(255))
    role: Mapped[UserRole] = mapped_column(EnumText(UserRole, 20))
    is_active: Mapped[bool] = mapped_column(Boolean, default=True, server_default=true())
    is_verified: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    is_service_account: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    last_login_at: Mapped[datetime | None] = mapped_column()
    settings: Mapped[dict[str, Any]] = json_object()
    deleted_at: Mapped[datetime | None] = mapped_column()

    tasks: WriteOnlyMapped[Task] = relationship(back_populates="creator", passive_deletes=True)
    context_documents: WriteOnlyMapped[ContextDocument] = relationship(
        back_populates="creator", passive_deletes=True
    )
    chat_messages: WriteOnlyMapped[ChatMessage] = relationship(
        primaryjoin="and_(User.id == foreign(ChatMessage.sender_id),"
        " ChatMessage.sender_type == 'user')",
        order_by="ChatMessage.created_at",
        viewonly=True,
    )
    orders: Mapped[list[Order]] = relationship(back_populates="user", passive_deletes=True)
    tool_executions: Mapped[list[ToolExecution]] = relationship(
        back_populates="user", passive_deletes=True
    )


class ProjectMember(Identified, Timestamps, Base):
    """That a user belongs to a project, and as what."""

    __tablename__ = "project_members"
    __table_args__ = (
        one_of("role", UserRole, "ck_project_members_role"),
        UniqueConstraint("project_id", "user_id", name="uq_project_members"),
        Index("idx_project_members_user", "user_id"),
    )

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    role: Mapped[UserRole] = mapped_column(EnumText(UserRole, 20))

    user: Mapped[User] = relationship()


class ApiToken(Identified, Timestamps, Base):
    """A token, kept as its hash only, of at most one user, machine or worker."""

    __tablename__ = "api_tokens"
    __table_args__ = (
        CheckConstraint(
            "(user_id IS NULL OR machine_id IS NULL) AND (user_id IS NULL OR worker_id IS NULL)"
            " AND (machine_id IS NULL OR worker_id IS NULL)",
            name="ck_api_tokens_one_owner",
        ),
        one_of("kind", TokenKind, "ck_api_tokens_kind"),
        UniqueConstraint("token_hash", name="uq_api_tokens_token_hash"),
        Index("idx_api_tokens_user", "user_id"),
        Index("idx_api_tokens_machine", "machine_id"),
        Index("idx_api_tokens_worker", "worker_id"),
    )

    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    machine_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("intelligent_machines.id", ondelete="CASCADE")
    )
    worker_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("workers.id", ondelete="CASCADE")
    )
    name: Mapped[str] = mapped_column(String(255))
    token_hash: Mapped[str] = mapped_column(CHAR(64))
    scopes: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    expires_at: Mapped[datetime | None] = mapped_column()
    last_used_at: Mapped[datetime | None] = mapped_column()
    revoked_at: Mapped[datetime | None] = mapped_column()
    kind: Mapped[TokenKind] = mapped_column(
        EnumText(TokenKind, 20),
        default=TokenKind.API,
        server_default=TokenKind.API,
        sort_order=102,  # behind the times, where the third revision adds it
    )

    user: Mapped[User | None] = relationship()


class LoginThrottle(Identified, Base):
    """Failed logins of one account or from one address, and until when the next is refused."""

    __tablename__ = "login_throttles"
    __table_args__ = (
        UniqueConstraint("throttle_key", name="uq_login_throttles_key"),
        Index("idx_login_throttles_time", "last_failed_at"),
    )

    throttle_key: Mapped[str] = mapped_column(String(300))
    failures: Mapped[int] = mapped_column()
    last_failed_at: Mapped[datetime] = mapped_column()
    blocked_until: Mapped[datetime | None] = mapped_column()


class Instance(Identified, Base):
    """A control-plane process; recovery touches only what belongs to a dead one."""

    __tablename__ = "instances"
    __table_args__ = (Index("idx_instances_heartbeat", "heartbeat_at"),)

    host: Mapped[str] = mapped_column(String(255))
    boot_id: Mapped[str] = mapped_column(String(64))
    pid: Mapped[int] = mapped_column()
    started_at: Mapped[datetime] = clock_time()
    heartbeat_at: Mapped[datetime] = clock_time()
