"""Tables of the projects domain."""

from __future__ import annotations

import uuid
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import Index, String, Text, text
from sqlalchemy.orm import Mapped, WriteOnlyMapped, mapped_column, relationship

from autovibe.db.base import (
    Base,
    Identified,
    Timestamps,
    WithMetadata,
    decimal_between,
    one_of,
)
from autovibe.db.types import EnumText, ExactDecimal

if TYPE_CHECKING:
    from autovibe.domains.checkpoints.models import Checkpoint
    from autovibe.domains.knowledge.models import ContextDocument
    from autovibe.domains.machines.models import IntelligentMachine
    from autovibe.domains.metering.models import ResourceBudget, ResourceUsage
    from autovibe.domains.work.models import Task


class ProjectStatus(StrEnum):
    """Whether a project may run tasks."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    ARCHIVED = "archived"


class Project(Identified, WithMetadata, Timestamps, Base):
    """Root of machines, checkpoints, usage, budgets and tasks.

    `initial_checkpoint_id` and `current_checkpoint_id` are soft references: the checkpoints name
    their project, so a foreign key back would be a circle.
    """

    __tablename__ = "projects"
    __table_args__ = (
        *decimal_between(
            "greediness", Decimal("0.0"), Decimal("1.0"), scale=2, name="valid_greediness_range"
        ),
        one_of("status", ProjectStatus, "ck_projects_status"),
        Index("idx_projects_name", "name", unique=True),
        Index("idx_projects_greediness", text("greediness DESC")),
        Index(
            "idx_projects_status",
            "status",
            postgresql_where=text("status = 'active'"),
            sqlite_where=text("status = 'active'"),
        ),
        Index("idx_projects_metadata_gin", "metadata", postgresql_using="gin").ddl_if(
            dialect="postgresql"
        ),
    )

    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
    greediness: Mapped[Decimal] = mapped_column(ExactDecimal(3, 2))
    status: Mapped[ProjectStatus] = mapped_column(
        EnumText(ProjectStatus, 50),
        default=ProjectStatus.ACTIVE,
        server_default=ProjectStatus.ACTIVE,
    )
    initial_checkpoint_id: Mapped[uuid.UUID | None] = mapped_column()
    current_checkpoint_id: Mapped[uuid.UUID | None] = mapped_column()

    # 'all': the ORM would else empty the machines' project and so walk around RESTRICT.
    machines: Mapped[list[IntelligentMachine]] = relationship(
        back_populates="project", cascade="save-update, merge", passive_deletes="all"
    )
    checkpoints: Mapped[list[Checkpoint]] = relationship(
        back_populates="project", cascade="all, delete-orphan", passive_deletes=True
    )
    resource_usage: WriteOnlyMapped[ResourceUsage] = relationship(
        back_populates="project", cascade="all, delete-orphan", passive_deletes=True
    )
    budgets: Mapped[list[ResourceBudget]] = relationship(
        back_populates="project",
        lazy="selectin",
        cascade="all, delete-orphan",
        passive_deletes=True,
    )
    tasks: WriteOnlyMapped[Task] = relationship(back_populates="project", passive_deletes=True)
    context_documents: WriteOnlyMapped[ContextDocument] = relationship(
        back_populates="project", passive_deletes=True
    )
