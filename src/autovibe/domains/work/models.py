"""Tables of the work domain: workers, tasks, orders, assignments, executions and their logs."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from autovibe.db.base import (
    Base,
    Identified,
    Timestamps,
    WithMetadata,
    clock_time,
    json_object,
    one_of,
)
from autovibe.db.types import BigIdentity, EnumText, Json

_PENDING = "status = 'pending'"
_ACTIVE = "status = 'active'"


class TaskType(StrEnum):
    """What kind of work a task is, and which workers do it."""

    FEATURE = "feature"
    BUGFIX = "bugfix"
    TEST = "test"
    DOCS = "docs"
    REFACTOR = "refactor"
    REVIEW = "review"


class PermissionLevel(StrEnum):
    """How much a person must allow."""

    AUTONOMOUS = "autonomous"
    SUPERVISED = "supervised"
    HUMAN_REQUIRED = "human_required"


class TaskPriority(StrEnum):
    """How urgent a task is; `work_orders.priority` is its rank."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"


class TaskStatus(StrEnum):
    """Where a task is."""

    PENDING = "pending"
    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    BLOCKED = "blocked"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class WorkerStatus(StrEnum):
    """Whether a worker can claim work."""

    IDLE = "idle"
    BUSY = "busy"
    OFFLINE = "offline"
    ERROR = "error"


class DependencyType(StrEnum):
    """What one task is to another."""

    BLOCKS = "blocks"
    RELATED = "related"
    DUPLICATE = "duplicate"


class WorkOrderStatus(StrEnum):
    """Where a work order is."""

    PENDING = "pending"
    CLAIMED = "claimed"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"


class AssignmentStatus(StrEnum):
    """How a worker's hold of an order stands."""

    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"


class ExecutionStatus(StrEnum):
    """How one attempt at a task stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


class LogLevel(StrEnum):
    """How much a log line matters."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


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
    config: Mapped[dict[str, Any]] = json_object()
    capabilities: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    last_heartbeat_at: Mapped[datetime | None] = mapped_column()
    deleted_at: Mapped[datetime | None] = mapped_column()


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
    context: Mapped[dict[str, Any]] = json_object()
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

    assignee: Mapped[Worker | None] = relationship(lazy="raise")
    parent_task: Mapped[Task | None] = relationship(remote_side="Task.id", lazy="raise")


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

    task: Mapped[Task] = relationship(foreign_keys=[task_id], lazy="raise")
    depends_on: Mapped[Task] = relationship(foreign_keys=[depends_on_task_id], lazy="raise")


class WorkOrder(Identified, Timestamps, Base):
    """The claimable queue entry of a task.

    Claims go by priority, then `fair_key`, then id; `lease_generation` rises with every claim, and
    a report of an older generation is refused.
    """

    __tablename__ = "work_orders"
    __table_args__ = (
        one_of("status", WorkOrderStatus, "ck_work_orders_status"),
        CheckConstraint("retry_count >= 0 AND max_retries >= 0", name="ck_work_orders_retries"),
        one_of("worker_type", TaskType, "ck_work_orders_worker_type"),
        Index("idx_work_orders_task", "task_id"),
        Index("idx_work_orders_queue", "queue_name"),
        Index("idx_work_orders_status", "status"),
        Index("idx_work_orders_enqueued", "enqueued_at"),
        Index("idx_work_orders_expires", "expires_at"),
        Index(
            "idx_work_orders_claim",
            "queue_name",
            text("priority DESC"),
            "fair_key",
            "id",
            postgresql_where=text(_PENDING),
            sqlite_where=text(_PENDING),
        ),
    )

    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    queue_name: Mapped[str] = mapped_column(String(50))
    status: Mapped[WorkOrderStatus] = mapped_column(
        EnumText(WorkOrderStatus, 20),
        default=WorkOrderStatus.PENDING,
        server_default=WorkOrderStatus.PENDING,
    )
    priority: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    fair_key: Mapped[float] = mapped_column(Double, default=0.0, server_default="0")
    worker_type: Mapped[TaskType | None] = mapped_column(EnumText(TaskType, 20))
    required_capabilities: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    payload: Mapped[dict[str, Any]] = mapped_column(Json)
    result: Mapped[dict[str, Any] | None] = mapped_column(Json)
    error_message: Mapped[str | None] = mapped_column(Text)
    retry_count: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    max_retries: Mapped[int] = mapped_column(Integer, default=3, server_default="3")
    timeout_seconds: Mapped[int] = mapped_column(Integer, default=3600, server_default="3600")
    lease_generation: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    lease_expires_at: Mapped[datetime | None] = mapped_column()
    enqueued_at: Mapped[datetime] = clock_time()
    available_at: Mapped[datetime] = clock_time()
    claimed_at: Mapped[datetime | None] = mapped_column()
    completed_at: Mapped[datetime | None] = mapped_column()
    expires_at: Mapped[datetime | None] = mapped_column()

    task: Mapped[Task] = relationship(lazy="raise")


class WorkerAssignment(Identified, Timestamps, Base):
    """Who holds, or held, which order; one active assignment per order."""

    __tablename__ = "worker_assignments"
    __table_args__ = (
        one_of("status", AssignmentStatus, "ck_worker_assignments_status"),
        UniqueConstraint("worker_id", "work_order_id", name="uq_worker_assignments"),
        Index("idx_assignments_worker", "worker_id"),
        Index("idx_assignments_order", "work_order_id"),
        Index("idx_assignments_status", "status"),
        Index("idx_assignments_machine", "machine_id"),
        Index(
            "uq_assignments_active_order",
            "work_order_id",
            unique=True,
            postgresql_where=text(_ACTIVE),
            sqlite_where=text(_ACTIVE),
        ),
    )

    worker_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("workers.id", ondelete="CASCADE"))
    work_order_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("work_orders.id", ondelete="CASCADE")
    )
    machine_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("intelligent_machines.id", ondelete="SET NULL")
    )
    lease_generation: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    status: Mapped[AssignmentStatus] = mapped_column(
        EnumText(AssignmentStatus, 20),
        default=AssignmentStatus.ACTIVE,
        server_default=AssignmentStatus.ACTIVE,
    )
    assigned_at: Mapped[datetime] = clock_time()
    completed_at: Mapped[datetime | None] = mapped_column()

    worker: Mapped[Worker] = relationship(lazy="raise")
    work_order: Mapped[WorkOrder] = relationship(lazy="raise")


class Execution(Identified, Timestamps, Base):
    """One attempt at a task by a worker on a machine."""

    __tablename__ = "executions"
    __table_args__ = (
        one_of("status", ExecutionStatus, "ck_executions_status"),
        CheckConstraint(
            "duration_seconds IS NULL OR duration_seconds >= 0", name="ck_executions_duration"
        ),
        Index("idx_executions_task", "task_id"),
        Index("idx_executions_worker", "worker_id"),
        Index("idx_executions_status", "status"),
        Index("idx_executions_started", "started_at"),
        Index("idx_executions_task_status", "task_id", "status"),
        Index("idx_executions_work_order", "work_order_id"),
        Index("idx_executions_machine", "machine_id"),
        Index("idx_executions_checkpoint", "result_checkpoint_id"),
        Index("idx_executions_correlation", "correlation_id"),
    )

    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    worker_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("workers.id", ondelete="CASCADE"))
    work_order_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("work_orders.id", ondelete="SET NULL")
    )
    machine_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("intelligent_machines.id", ondelete="SET NULL")
    )
    result_checkpoint_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("checkpoints.id", ondelete="SET NULL")
    )
    lease_generation: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    attempt: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    correlation_id: Mapped[str] = mapped_column(String(64))
    status: Mapped[ExecutionStatus] = mapped_column(
        EnumText(ExecutionStatus, 20),
        default=ExecutionStatus.RUNNING,
        server_default=ExecutionStatus.RUNNING,
    )
    exit_code: Mapped[int | None] = mapped_column()
    stdout_log: Mapped[str | None] = mapped_column(Text)
    stderr_log: Mapped[str | None] = mapped_column(Text)
    metrics: Mapped[dict[str, Any]] = json_object()
    started_at: Mapped[datetime] = clock_time()
    completed_at: Mapped[datetime | None] = mapped_column()
    duration_seconds: Mapped[int | None] = mapped_column()

    task: Mapped[Task] = relationship(lazy="raise")
    worker: Mapped[Worker] = relationship(lazy="raise")
    work_order: Mapped[WorkOrder | None] = relationship(lazy="raise")


class ExecutionLog(WithMetadata, Base):
    """One log line; `seq` is unique per execution and given by its one writer. Append-only."""

    __tablename__ = "execution_logs"
    __table_args__ = (
        one_of("level", LogLevel, "ck_execution_logs_level"),
        UniqueConstraint("execution_id", "seq", name="uq_execution_logs_seq"),
        Index("idx_execution_logs_execution", "execution_id"),
        Index("idx_execution_logs_level", "level"),
        Index("idx_execution_logs_logged_at", "logged_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigIdentity, Identity(), primary_key=True)
    execution_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("executions.id", ondelete="CASCADE"))
    seq: Mapped[int] = mapped_column(BigInteger)
    level: Mapped[LogLevel] = mapped_column(EnumText(LogLevel, 10))
    message: Mapped[str] = mapped_column(Text)
    logged_at: Mapped[datetime] = clock_time()

    execution: Mapped[Execution] = relationship(lazy="raise")
