"""Tables of the hubs domain."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from autovibe.db.base import (
    Base,
    Created,
    Identified,
    Timestamps,
    WithMetadata,
    clock_time,
    json_object,
    one_of,
)
from autovibe.db.types import EnumText, ExactDecimal, Json, JsonValue
from autovibe.v1.hubs_pb2 import HubPerformanceData, HubSuccessMetrics, HubSystemMetrics

if TYPE_CHECKING:
    from autovibe.domains.machines.models import IntelligentMachine


class HubType(StrEnum):
    """What a hub is for."""

    PRIMARY = "primary"
    DEVELOPMENT = "development"
    EXPERIMENTAL = "experimental"
    DOMAIN_SPECIFIC = "domain_specific"


class HubStatus(StrEnum):
    """Where a hub is in its life."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    EXPERIMENTAL = "experimental"
    RETIRING = "retiring"


class HubCheckpointType(StrEnum):
    """Why a hub was snapshotted."""

    DAILY = "daily"
    MANUAL = "manual"
    PRE_EXPERIMENT = "pre_experiment"
    RECOVERY = "recovery"


class HubVerificationStatus(StrEnum):
    """Whether a hub's snapshot was read back."""

    PENDING = "pending"
    VERIFYING = "verifying"
    VERIFIED = "verified"
    FAILED = "failed"


class ExperimentStatus(StrEnum):
    """Where an experiment is: planned, then running, then completed or failed."""

    PLANNED = "planned"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class ExperimentResult(StrEnum):
    """Which of two hubs did better."""

    EXPERIMENTAL_WINS = "experimental_wins"
    ORIGINAL_WINS = "original_wins"
    INCONCLUSIVE = "inconclusive"


class HubInstance(Identified, WithMetadata, Timestamps, Base):
    """A hub, and the hub that it evolved from.

    Hubs and experiments name each other: `experiment_id` is written after both rows exist.
    """

    __tablename__ = "hub_instances"
    __table_args__ = (
        one_of("type", HubType, "ck_hub_instances_type"),
        one_of("status", HubStatus, "ck_hub_instances_status"),
        UniqueConstraint("machine_id", name="uq_hub_instances_machine"),
        Index("idx_hub_instances_status", "status"),
        Index("idx_hub_instances_type", "type"),
        Index("idx_hub_instances_parent", "parent_hub_id"),
        Index("idx_hub_instances_experiment", "experiment_id"),
    )

    machine_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("intelligent_machines.id", ondelete="SET NULL")
    )
    type: Mapped[HubType] = mapped_column(EnumText(HubType, 50))
    status: Mapped[HubStatus] = mapped_column(EnumText(HubStatus, 50))
    hypervisor: Mapped[str] = mapped_column(String(30), default="proxmox", server_default="proxmox")
    vm_id: Mapped[str] = mapped_column(String(100))
    vm_node: Mapped[str | None] = mapped_column(String(100))
    version: Mapped[str | None] = mapped_column(String(50))
    configuration: Mapped[dict[str, Any]] = json_object()
    parent_hub_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("hub_instances.id", ondelete="SET NULL")
    )
    experiment_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey(
            "hub_experiments.id",
            ondelete="SET NULL",
            name="fk_hub_instances_experiment_id",
            use_alter=True,
        )
    )
    spawned_at: Mapped[datetime] = clock_time()
    last_checkpoint_at: Mapped[datetime | None] = mapped_column()
    terminated_at: Mapped[datetime | None] = mapped_column()

    machine: Mapped[IntelligentMachine | None] = relationship(
        back_populates="hub_instance", lazy="joined"
    )
    checkpoints: Mapped[list[HubCheckpoint]] = relationship(
        back_populates="hub", passive_deletes="all", order_by="HubCheckpoint.created_at.desc()"
    )
    parent_hub: Mapped[HubInstance | None] = relationship(
        back_populates="child_hubs", remote_side="HubInstance.id"
    )
    child_hubs: Mapped[list[HubInstance]] = relationship(
        back_populates="parent_hub", passive_deletes=True
    )
    experiments_as_original: Mapped[list[HubExperiment]] = relationship(
        back_populates="original_hub",
        foreign_keys="HubExperiment.original_hub_id",
        passive_deletes="all",
    )
    experiments_as_experimental: Mapped[list[HubExperiment]] = relationship(
        back_populates="experimental_hub",
        foreign_keys="HubExperiment.experimental_hub_id",
        passive_deletes=True,
    )
    experiment: Mapped[HubExperiment | None] = relationship(
        foreign_keys=[experiment_id], post_update=True
    )


class HubCheckpoint(Identified, WithMetadata, Created, Base):
    """A snapshot of a hub's VM."""

    __tablename__ = "hub_checkpoints"
    __table_args__ = (
        one_of("checkpoint_type", HubCheckpointType, "ck_hub_checkpoints_type"),
        one_of("verification_status", HubVerificationStatus, "ck_hub_checkpoints_status"),
        CheckConstraint(
            "verified_at IS NULL OR verified_at >= created_at", name="ck_hub_checkpoints_time"
        ),
        Index("idx_hub_checkpoints_hub", "hub_id"),
        Index("idx_hub_checkpoints_created_at", text("created_at DESC")),
        Index("idx_hub_checkpoints_type", "checkpoint_type"),
    )

    hub_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("hub_instances.id"))
    checkpoint_type: Mapped[HubCheckpointType] = mapped_column(EnumText(HubCheckpointType, 50))
    proxmox_snapshot_id: Mapped[str] = mapped_column(String(200))
    trigger_reason: Mapped[str | None] = mapped_column(String(200))
    system_metrics: Mapped[dict[str, Any] | None] = mapped_column(JsonValue(HubSystemMetrics))
    active_machines: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    active_projects: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    checkpoint_size_gb: Mapped[Decimal | None] = mapped_column(ExactDecimal(10, 3))
    verification_status: Mapped[HubVerificationStatus] = mapped_column(
        EnumText(HubVerificationStatus, 50),
        default=HubVerificationStatus.PENDING,
        server_default=HubVerificationStatus.PENDING,
    )
    verified_at: Mapped[datetime | None] = mapped_column()

    hub: Mapped[HubInstance] = relationship(back_populates="checkpoints", lazy="joined")
    experiments: Mapped[list[HubExperiment]] = relationship(
        back_populates="base_checkpoint", passive_deletes="all"
    )


class HubExperiment(Identified, WithMetadata, Timestamps, Base):
    """A comparison of a changed hub with the original, for some days."""

    __tablename__ = "hub_experiments"
    __table_args__ = (
        one_of("status", ExperimentStatus, "ck_hub_experiments_status"),
        CheckConstraint(
            "result IS NULL OR result IN ('experimental_wins','original_wins','inconclusive')",
            name="ck_hub_experiments_result",
        ),
        CheckConstraint("duration_days > 0", name="ck_hub_experiments_days"),
        Index("idx_hub_experiments_status", "status"),
        Index("idx_hub_experiments_started_at", "started_at"),
        Index("idx_hub_experiments_base", "base_checkpoint_id"),
        Index("idx_hub_experiments_original", "original_hub_id"),
        Index("idx_hub_experiments_experimental", "experimental_hub_id"),
    )

    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(Text)
    base_checkpoint_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("hub_checkpoints.id"))
    original_hub_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("hub_instances.id"))
    experimental_hub_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("hub_instances.id", ondelete="SET NULL")
    )
    configuration_changes: Mapped[dict[str, Any]] = mapped_column(Json)
    success_metrics: Mapped[dict[str, Any] | None] = mapped_column(JsonValue(HubSuccessMetrics))
    performance_data: Mapped[dict[str, Any] | None] = mapped_column(JsonValue(HubPerformanceData))
    status: Mapped[ExperimentStatus] = mapped_column(
        EnumText(ExperimentStatus, 50),
        default=ExperimentStatus.PLANNED,
        server_default=ExperimentStatus.PLANNED,
    )
    duration_days: Mapped[int] = mapped_column(Integer, default=14, server_default="14")
    started_at: Mapped[datetime | None] = mapped_column()
    completed_at: Mapped[datetime | None] = mapped_column()
    result: Mapped[ExperimentResult | None] = mapped_column(EnumText(ExperimentResult, 50))

    base_checkpoint: Mapped[HubCheckpoint] = relationship(
        back_populates="experiments", foreign_keys=[base_checkpoint_id]
    )
    original_hub: Mapped[HubInstance] = relationship(
        back_populates="experiments_as_original", foreign_keys=[original_hub_id]
    )
    experimental_hub: Mapped[HubInstance | None] = relationship(
        back_populates="experiments_as_experimental", foreign_keys=[experimental_hub_id]
    )
