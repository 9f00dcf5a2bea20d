"""Tables of the workers and of what they can do."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, WriteOnlyMapped, mapped_column, relationship

from autovibe.db.base import Base, Identified, Timestamps, WithMetadata, one_of
from autovibe.db.secret_json import JsonWithSecrets
from autovibe.db.types import EnumText
from autovibe.domains.work.models.states import CapabilityLevel, TaskType, WorkerStatus

if TYPE_CHECKING:
    from autovibe.domains.collaboration.models import ChatMessage
    from autovibe.domains.machines.models import IntelligentMachine
    from autovibe.domains.work.models.queue import Execution, WorkerAssignment
    from autovibe.domains.work.models.tasks import Task


class Worker(Identified, Timestamps, Base):
    """A durable identity that claims work; machines come and go below it."""

    __tablename__ = "workers"
    __table_args__ = (
        one_of("worker_type", TaskType, "ck_workers_type"),
        one_of("status", WorkerStatus, "ck_workers_status"),
        CheckConstraint(
            "max_concurrent_tasks > 0 AND timeout_seconds > 0 AND context_window_size > 0",
            name="ck_workers_limits",
        ),
        Index("idx_workers_type", "worker_type"),
        Index("idx_workers_status", "status"),
        Index("idx_workers_heartbeat", "last_heartbeat_at"),
        Index("idx_workers_type_status", "worker_type", "status"),
    )

    name: Mapped[str] = mapped_column(String(100))
    worker_type: Mapped[TaskType] = mapped_column(EnumText(TaskType, 20))
    status: Mapped[WorkerStatus] = mapped_column(EnumText(WorkerStatus, 20))
    version: Mapped[str | None] = mapped_column(String(50))
    max_concurrent_tasks: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    timeout_seconds: Mapped[int] = mapped_column(Integer, default=3600, server_default="3600")
    context_window_size: Mapped[int] = mapped_column(
        Integer, default=200_000, server_default="200000"
    )
    config: Mapped[dict[str, Any]] = mapped_column(
        JsonWithSecrets(), nullable=False, default=dict, server_default="{}"
    )
    capabilities: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    last_heartbeat_at: Mapped[datetime | None] = mapped_column()
    deleted_at: Mapped[datetime | None] = mapped_column()

    assignments: WriteOnlyMapped[WorkerAssignment] = relationship(
        back_populates="worker", cascade="save-update, merge", passive_deletes=True
    )
    executions: WriteOnlyMapped[Execution] = relationship(
        back_populates="worker", cascade="save-update, merge", passive_deletes=True
    )
    capability_rows: Mapped[list[WorkerCapability]] = relationship(
        back_populates="worker",
        lazy="selectin",
        cascade="all, delete-orphan",
        passive_deletes=True,
    )
    machines: Mapped[list[IntelligentMachine]] = relationship(
        back_populates="worker", passive_deletes=True
    )
    assigned_tasks: WriteOnlyMapped[Task] = relationship(
        back_populates="assignee", passive_deletes=True
    )
    chat_messages: WriteOnlyMapped[ChatMessage] = relationship(
        primaryjoin="and_(Worker.id == foreign(ChatMessage.sender_id),"
        " ChatMessage.sender_type == 'worker')",
        order_by="ChatMessage.created_at",
        viewonly=True,
    )


class WorkerCapability(Identified, WithMetadata, Timestamps, Base):
    """That a worker can do something, and how well; `workers.capabilities` caches the names."""

    __tablename__ = "worker_capabilities"
    __table_args__ = (
        one_of("capability_level", CapabilityLevel, "ck_worker_capabilities_level"),
        UniqueConstraint("worker_id", "capability_name", name="uq_worker_capabilities"),
        Index("idx_worker_caps_worker", "worker_id"),
        Index("idx_worker_caps_name", "capability_name"),
    )

    worker_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("workers.id", ondelete="CASCADE"))
    capability_name: Mapped[str] = mapped_column(String(100))
    capability_level: Mapped[CapabilityLevel] = mapped_column(
        EnumText(CapabilityLevel, 20),
        default=CapabilityLevel.INTERMEDIATE,
        server_default=CapabilityLevel.INTERMEDIATE,
    )

    worker: Mapped[Worker] = relationship(back_populates="capability_rows")
