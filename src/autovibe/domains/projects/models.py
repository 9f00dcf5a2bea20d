"""Tables of the projects domain."""

from __future__ import annotations

import uuid
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from autovibe.db.base import (
    Base,
    Identified,
    Timestamps,
    WithMetadata,
    decimal_between,
    one_of,
)
from autovibe.db.types import EnumText, ExactDecimal


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
