"""Tables of the work domain: workers, tasks, their queue, and what agents ask and do."""

from __future__ import annotations

from autovibe.domains.work.models.agents import (
    AgentExecution,
    ApprovalRequest,
    RoundTableResult,
    ToolExecution,
)
from autovibe.domains.work.models.queue import (
    Execution,
    ExecutionLog,
    QueueShare,
    WorkerAssignment,
    WorkOrder,
)
from autovibe.domains.work.models.states import (
    AgentExecutionStatus,
    ApprovalKind,
    ApprovalStatus,
    AssignmentStatus,
    CapabilityLevel,
    DependencyType,
    ExecutionStatus,
    LogLevel,
    PermissionLevel,
    TaskPriority,
    TaskStatus,
    TaskType,
    ToolExecutionStatus,
    WorkerStatus,
    WorkOrderStatus,
)
from autovibe.domains.work.models.tasks import (
    Task,
    TaskDependency,
)
from autovibe.domains.work.models.workers import (
    Worker,
    WorkerCapability,
)

__all__ = [
    "AgentExecution",
    "AgentExecutionStatus",
    "ApprovalKind",
    "ApprovalRequest",
    "ApprovalStatus",
    "AssignmentStatus",
    "CapabilityLevel",
    "DependencyType",
    "Execution",
    "ExecutionLog",
    "ExecutionStatus",
    "LogLevel",
    "PermissionLevel",
    "QueueShare",
    "RoundTableResult",
    "Task",
    "TaskDependency",
    "TaskPriority",
    "TaskStatus",
    "TaskType",
    "ToolExecution",
    "ToolExecutionStatus",
    "WorkOrder",
    "WorkOrderStatus",
    "Worker",
    "WorkerAssignment",
    "WorkerCapability",
    "WorkerStatus",
]
