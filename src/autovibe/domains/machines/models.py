"""Tables of the machines domain."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

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

_LIVE_VM = "vm_id IS NOT NULL AND terminated_at IS NULL"


class MachineStatus(StrEnum):
    """Where a machine is in its life."""

    SPAWNING = "spawning"
    ACTIVE = "active"
    WORKING = "working"
    CHECKPOINTING = "checkpointing"
    TERMINATED = "terminated"
    ERROR = "error"


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
