"""Tables of the queue: orders, who holds them, attempts at them, and what those wrote."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

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
from sqlalchemy.orm import Mapped, WriteOnlyMapped, mapped_column, relationship

from autovibe.db.base import (
    Base,
    Identified,
    Timestamps,
    WithMetadata,
    clock_time,
    json_object,
    metadata_of,
    one_of,
)
from autovibe.db.types import BigIdentity, EnumText, Json, JsonValue
from autovibe.domains.work.models.states import (
    AssignmentStatus,
    ExecutionStatus,
    LogLevel,
    TaskType,
    WorkOrderStatus,
)
from autovibe.v1.work_pb2 import ExecutionMetrics, LogEvent, WorkOrderPayload

if TYPE_CHECKING:
    from autovibe.domains.checkpoints.models import Checkpoint
    from autovibe.domains.machines.models import IntelligentMachine
    from autovibe.domains.work.models.agents import AgentExecution
    from autovibe.domains.work.models.tasks import Task
    from autovibe.domains.work.models.workers import Worker


_PENDING = "status = 'pending'"
_ACTIVE = "status = 'active'"


class WorkOrder(Identified, Timestamps, Base):
    """The claimable queue entry of a task.

    Claims go by priority, then `fair_key`, then id; `lease_generation` rises with every claim, and
    a report of an older generation is refused. `route` says which workers may claim it, and
    whether anybody may now (see `work.routing`).
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
            "route",
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
    route: Mapped[str] = mapped_column(
        String(2000),
        default="*|*|*|",
        server_default="*|*|*|",
        sort_order=110,  # behind the times, where the third revision adds it
    )
    payload: Mapped[dict[str, Any]] = mapped_column(JsonValue(WorkOrderPayload))
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

    task: Mapped[Task] = relationship(back_populates="work_orders")
    assignments: Mapped[list[WorkerAssignment]] = relationship(
        back_populates="work_order", lazy="selectin", cascade="all", passive_deletes=True
    )
    executions: Mapped[list[Execution]] = relationship(
        back_populates="work_order", passive_deletes=True
    )


class QueueShare(Identified, Base):
    """A project in a queue: where its newest order stands, and how many of its tasks may run.

    The next order goes behind the newest one. No `max_running` means no limit.
    """

    __tablename__ = "queue_shares"
    __table_args__ = (
        CheckConstraint(
            "max_running IS NULL OR max_running > 0", name="ck_queue_shares_max_running"
        ),
        UniqueConstraint("queue_name", "project_id", name="uq_queue_shares"),
        Index("idx_queue_shares_project", "project_id"),
    )

    queue_name: Mapped[str] = mapped_column(String(50))
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    last_fair_key: Mapped[float] = mapped_column(Double, default=0.0, server_default="0")
    max_running: Mapped[int | None] = mapped_column()


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

    worker: Mapped[Worker] = relationship(back_populates="assignments")
    work_order: Mapped[WorkOrder] = relationship(back_populates="assignments")
    machine: Mapped[IntelligentMachine | None] = relationship()


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
    metrics: Mapped[dict[str, Any]] = json_object(ExecutionMetrics)
    started_at: Mapped[datetime] = clock_time()
    completed_at: Mapped[datetime | None] = mapped_column()
    duration_seconds: Mapped[int | None] = mapped_column()

    task: Mapped[Task] = relationship(back_populates="executions")
    worker: Mapped[Worker] = relationship(back_populates="executions")
    work_order: Mapped[WorkOrder | None] = relationship(back_populates="executions")
    machine: Mapped[IntelligentMachine | None] = relationship(back_populates="executions")
    result_checkpoint: Mapped[Checkpoint | None] = relationship()
    logs: WriteOnlyMapped[ExecutionLog] = relationship(
        back_populates="execution",
        cascade="all",
        passive_deletes=True,
        order_by="ExecutionLog.seq",
    )
    agent_executions: Mapped[list[AgentExecution]] = relationship(
        back_populates="task_execution", passive_deletes=True
    )


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
    metadata_: Mapped[dict[str, Any]] = metadata_of(LogEvent)
    logged_at: Mapped[datetime] = clock_time()

    execution: Mapped[Execution] = relationship(back_populates="logs")
