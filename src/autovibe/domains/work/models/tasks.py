"""Tables of tasks and of what they have to do with each other."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from autovibe.db.base import Base, Identified, Timestamps, WithMetadata, json_object, one_of
from autovibe.db.types import EnumText
from autovibe.domains.work.models.states import (
    DependencyType,
    PermissionLevel,
    TaskPriority,
    TaskStatus,
    TaskType,
)
from autovibe.v1.work_pb2 import TaskContext

if TYPE_CHECKING:
    from autovibe.domains.collaboration.models import ChatConversation
    from autovibe.domains.identity.models import User
    from autovibe.domains.projects.models import Project
    from autovibe.domains.work.models.queue import Execution, WorkOrder
    from autovibe.domains.work.models.workers import Worker


class Task(Identified, WithMetadata, Timestamps, Base):
    """What is to be done. `base_checkpoint_id` and `result_checkpoint_id` are soft references."""

    __tablename__ = "tasks"
    __table_args__ = (
        one_of("task_type", TaskType, "ck_tasks_type"),
        one_of("permission_level", PermissionLevel, "ck_tasks_permission"),
        one_of("priority", TaskPriority, "ck_tasks_priority"),
        one_of("status", TaskStatus, "ck_tasks_status"),
        Index("idx_tasks_status", "status"),
        Index("idx_tasks_type", "task_type"),
        Index("idx_tasks_priority", "priority"),
        Index("idx_tasks_created_by", "created_by"),
        Index("idx_tasks_assigned_to", "assigned_to"),
        Index("idx_tasks_parent", "parent_task_id"),
        Index("idx_tasks_status_priority", "status", "priority"),
        Index("idx_tasks_project_status", "project_id", "status"),
        Index("idx_tasks_context_gin", "context", postgresql_using="gin").ddl_if(
            dialect="postgresql"
        ),
    )

    project_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("projects.id", ondelete="SET NULL")
    )
    title: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
    task_type: Mapped[TaskType] = mapped_column(EnumText(TaskType, 20))
    permission_level: Mapped[PermissionLevel] = mapped_column(EnumText(PermissionLevel, 20))
    priority: Mapped[TaskPriority] = mapped_column(
        EnumText(TaskPriority, 10),
        default=TaskPriority.NORMAL,
        server_default=TaskPriority.NORMAL,
    )
    status: Mapped[TaskStatus] = mapped_column(
        EnumText(TaskStatus, 20), default=TaskStatus.PENDING, server_default=TaskStatus.PENDING
    )
    block_reason: Mapped[str | None] = mapped_column(String(50))
    repository_url: Mapped[str | None] = mapped_column(String(500))
    branch_name: Mapped[str | None] = mapped_column(String(255))
    issue_number: Mapped[int | None] = mapped_column()
    pr_number: Mapped[int | None] = mapped_column()
    context: Mapped[dict[str, Any]] = json_object(TaskContext)
    created_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL")
    )
    assigned_to: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("workers.id", ondelete="SET NULL")
    )
    parent_task_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("tasks.id", ondelete="CASCADE")
    )
    base_checkpoint_id: Mapped[uuid.UUID | None] = mapped_column()
    result_checkpoint_id: Mapped[uuid.UUID | None] = mapped_column()
    started_at: Mapped[datetime | None] = mapped_column()
    completed_at: Mapped[datetime | None] = mapped_column()
    deleted_at: Mapped[datetime | None] = mapped_column()

    project: Mapped[Project | None] = relationship(back_populates="tasks")
    creator: Mapped[User | None] = relationship(back_populates="tasks")
    assignee: Mapped[Worker | None] = relationship(back_populates="assigned_tasks")
    parent_task: Mapped[Task | None] = relationship(
        back_populates="subtasks", remote_side="Task.id"
    )
    subtasks: Mapped[list[Task]] = relationship(
        back_populates="parent_task", cascade="all", passive_deletes=True
    )
    work_orders: Mapped[list[WorkOrder]] = relationship(
        back_populates="task", cascade="save-update, merge", passive_deletes="all"
    )
    executions: Mapped[list[Execution]] = relationship(
        back_populates="task", cascade="save-update, merge", passive_deletes="all"
    )
    dependencies: Mapped[list[TaskDependency]] = relationship(
        back_populates="task",
        foreign_keys="TaskDependency.task_id",
        lazy="selectin",
        cascade="all, delete-orphan",
        passive_deletes=True,
    )
    dependents: Mapped[list[TaskDependency]] = relationship(
        back_populates="depends_on",
        foreign_keys="TaskDependency.depends_on_task_id",
        lazy="selectin",
        cascade="all, delete-orphan",
        passive_deletes=True,
    )
    conversations: Mapped[list[ChatConversation]] = relationship(
        back_populates="task", passive_deletes=True
    )


class TaskDependency(Identified, Timestamps, Base):
    """That one task has to do with another."""

    __tablename__ = "task_dependencies"
    __table_args__ = (
        one_of("dependency_type", DependencyType, "ck_task_dependencies_type"),
        UniqueConstraint("task_id", "depends_on_task_id", name="uq_task_dependencies"),
        CheckConstraint("task_id <> depends_on_task_id", name="ck_task_dependencies_self"),
        Index("idx_task_deps_task", "task_id"),
        Index("idx_task_deps_depends_on", "depends_on_task_id"),
    )

    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    depends_on_task_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("tasks.id", ondelete="CASCADE")
    )
    dependency_type: Mapped[DependencyType] = mapped_column(
        EnumText(DependencyType, 20),
        default=DependencyType.BLOCKS,
        server_default=DependencyType.BLOCKS,
    )

    task: Mapped[Task] = relationship(back_populates="dependencies", foreign_keys=[task_id])
    depends_on: Mapped[Task] = relationship(
        back_populates="dependents", foreign_keys=[depends_on_task_id]
    )
