"""Tables of the machines domain."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, Text, text
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
from autovibe.db.types import EnumText, Json

if TYPE_CHECKING:
    from autovibe.domains.checkpoints.models import Checkpoint
    from autovibe.domains.hubs.models import HubInstance
    from autovibe.domains.metering.models import ResourceUsage
    from autovibe.domains.projects.models import Project
    from autovibe.domains.work.models import AgentExecution, Execution, Worker

_LIVE_VM = "vm_id IS NOT NULL AND terminated_at IS NULL"


class MachineStatus(StrEnum):
    """Where a machine is in its life."""

    SPAWNING = "spawning"
    ACTIVE = "active"
    WORKING = "working"
    CHECKPOINTING = "checkpointing"
    TERMINATED = "terminated"
    ERROR = "error"


class MachineMessageStatus(StrEnum):
    """Where a message between machines is."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    PROCESSED = "processed"
    FAILED = "failed"
    DEAD = "dead"


class IntelligentMachine(Identified, WithMetadata, Timestamps, Base):
    """One agent, or hub, in one isolated place; it lives for one job.

    `hypervisor` holds a driver's name: process, sandbox, qemu, proxmox, libvirt, vmware.
    `last_checkpoint_id` is a soft reference.
    """

    __tablename__ = "intelligent_machines"
    __table_args__ = (
        one_of("status", MachineStatus, "valid_status_values"),
        CheckConstraint(
            "machine_type = 'hub' OR project_id IS NOT NULL", name="ck_machines_project_required"
        ),
        CheckConstraint(
            "terminated_at IS NULL OR terminated_at > spawned_at",
            name="ck_machines_terminated_after_spawned",
        ),
        CheckConstraint("checkpoint_count >= 0", name="ck_machines_checkpoint_count"),
        Index("idx_machines_project_status", "project_id", "status"),
        Index("idx_machines_type_status", "machine_type", "status"),
        Index("idx_machines_spawn_time", text("spawned_at DESC")),
        Index(
            "idx_machines_vm",
            "vm_id",
            postgresql_where=text("vm_id IS NOT NULL"),
            sqlite_where=text("vm_id IS NOT NULL"),
        ),
        Index(
            "uq_machines_live_vm",
            "hypervisor",
            "vm_id",
            unique=True,
            postgresql_where=text(_LIVE_VM),
            sqlite_where=text(_LIVE_VM),
        ),
        Index("idx_machines_status", "status"),
        Index("idx_machines_hub", "spawned_by_hub_id"),
        Index("idx_machines_parent_machine", "parent_machine_id"),
        Index("idx_machines_parent_checkpoint", "parent_checkpoint_id"),
        Index("idx_machines_worker", "worker_id"),
        Index(
            "idx_machines_constraints_gin", "resource_constraints", postgresql_using="gin"
        ).ddl_if(dialect="postgresql"),
        # A value that is no number must not break the insert, hence the pattern.
        Index(
            "idx_machines_budget",
            text(
                "(CASE WHEN resource_constraints->>'daily_budget' ~ '^-?[0-9]+([.][0-9]+)?$'"
                " THEN (resource_constraints->>'daily_budget')::NUMERIC END)"
            ),
        ).ddl_if(dialect="postgresql"),
    )

    machine_type: Mapped[str] = mapped_column(String(50))
    status: Mapped[MachineStatus] = mapped_column(
        EnumText(MachineStatus, 50),
        default=MachineStatus.SPAWNING,
        server_default=MachineStatus.SPAWNING,
    )
    project_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("projects.id", ondelete="RESTRICT")
    )
    # Machines name checkpoints and checkpoints name machines: this side is added afterwards.
    parent_checkpoint_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey(
            "checkpoints.id",
            name="fk_intelligent_machines_parent_checkpoint_id",
            use_alter=True,
        )
    )
    last_checkpoint_id: Mapped[uuid.UUID | None] = mapped_column()
    spawned_by_hub_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("intelligent_machines.id", ondelete="SET NULL")
    )
    parent_machine_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("intelligent_machines.id", ondelete="SET NULL")
    )
    worker_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("workers.id", ondelete="SET NULL")
    )
    hypervisor: Mapped[str] = mapped_column(String(30), default="proxmox", server_default="proxmox")
    vm_id: Mapped[str | None] = mapped_column(String(100))
    vm_node: Mapped[str | None] = mapped_column(String(100))
    hub_vm_id: Mapped[str | None] = mapped_column(String(100))
    original_prompt: Mapped[str | None] = mapped_column(Text)
    file_modifications: Mapped[dict[str, Any]] = json_object()
    resource_constraints: Mapped[dict[str, Any]] = json_object()
    resource_usage: Mapped[dict[str, Any]] = json_object()
    current_progress: Mapped[str | None] = mapped_column(Text)
    error_message: Mapped[str | None] = mapped_column(Text)
    checkpoint_count: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    spawned_at: Mapped[datetime] = clock_time()
    terminated_at: Mapped[datetime | None] = mapped_column()

    project: Mapped[Project | None] = relationship(back_populates="machines", lazy="joined")
    checkpoints: Mapped[list[Checkpoint]] = relationship(
        back_populates="creating_machine",
        foreign_keys="Checkpoint.creating_machine_id",
        order_by="Checkpoint.created_at.desc()",
        cascade="save-update, merge",
        passive_deletes=True,
    )
    parent_checkpoint: Mapped[Checkpoint | None] = relationship(
        back_populates="spawned_machines", foreign_keys=[parent_checkpoint_id], lazy="joined"
    )
    spawned_by_hub: Mapped[IntelligentMachine | None] = relationship(
        back_populates="spawned_machines",
        foreign_keys=[spawned_by_hub_id],
        remote_side="IntelligentMachine.id",
    )
    spawned_machines: Mapped[list[IntelligentMachine]] = relationship(
        back_populates="spawned_by_hub", foreign_keys=[spawned_by_hub_id], passive_deletes=True
    )
    parent_machine: Mapped[IntelligentMachine | None] = relationship(
        back_populates="sub_machines",
        foreign_keys=[parent_machine_id],
        remote_side="IntelligentMachine.id",
    )
    sub_machines: Mapped[list[IntelligentMachine]] = relationship(
        back_populates="parent_machine", foreign_keys=[parent_machine_id], passive_deletes=True
    )
    worker: Mapped[Worker | None] = relationship(back_populates="machines")
    executions: WriteOnlyMapped[Execution] = relationship(
        back_populates="machine", passive_deletes=True
    )
    usage_records: WriteOnlyMapped[ResourceUsage] = relationship(
        back_populates="machine", passive_deletes=True
    )
    inbox: WriteOnlyMapped[MachineMessage] = relationship(
        back_populates="recipient",
        foreign_keys="MachineMessage.recipient_machine_id",
        passive_deletes=True,
    )
    hub_instance: Mapped[HubInstance | None] = relationship(
        back_populates="machine", uselist=False, passive_deletes=True
    )
    agent_executions: WriteOnlyMapped[AgentExecution] = relationship(
        back_populates="machine", passive_deletes=True
    )


class MachineMessage(Identified, WithMetadata, Base):
    """A message in a machine's inbox; `message_type` is the full name of a protobuf message."""

    __tablename__ = "machine_messages"
    __table_args__ = (
        one_of("status", MachineMessageStatus, "ck_machine_messages_status"),
        Index("idx_machine_messages_inbox", "recipient_machine_id", "status", "enqueued_at"),
        Index("idx_machine_messages_sender", "sender_machine_id"),
        Index("idx_machine_messages_correlation", "correlation_id"),
    )

    sender_machine_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("intelligent_machines.id", ondelete="SET NULL")
    )
    recipient_machine_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("intelligent_machines.id", ondelete="CASCADE")
    )
    message_type: Mapped[str] = mapped_column(String(200))
    payload: Mapped[dict[str, Any]] = mapped_column(Json)
    correlation_id: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[MachineMessageStatus] = mapped_column(
        EnumText(MachineMessageStatus, 20),
        default=MachineMessageStatus.QUEUED,
        server_default=MachineMessageStatus.QUEUED,
    )
    attempts: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    enqueued_at: Mapped[datetime] = clock_time()
    delivered_at: Mapped[datetime | None] = mapped_column()
    processed_at: Mapped[datetime | None] = mapped_column()
    expires_at: Mapped[datetime | None] = mapped_column()
    error_message: Mapped[str | None] = mapped_column(Text)

    sender: Mapped[IntelligentMachine | None] = relationship(foreign_keys=[sender_machine_id])
    recipient: Mapped[IntelligentMachine] = relationship(
        back_populates="inbox", foreign_keys=[recipient_machine_id]
    )
