"""What the status and kind columns of the work domain may hold."""

from __future__ import annotations

from enum import StrEnum


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

    @property
    def rank(self) -> int:
        """Return its place among them, from 0: as numbers they can be sorted."""
        return list(TaskPriority).index(self)


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


class CapabilityLevel(StrEnum):
    """How well a worker can do something."""

    BEGINNER = "beginner"
    INTERMEDIATE = "intermediate"
    ADVANCED = "advanced"
    EXPERT = "expert"


class ApprovalKind(StrEnum):
    """What a person is asked for."""

    START = "start"
    TOOL_USE = "tool_use"
    QUESTION = "question"
    APPLY = "apply"
    BUDGET = "budget"


class ApprovalStatus(StrEnum):
    """Whether a request waits for its answer."""

    OPEN = "open"
    ANSWERED = "answered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class AgentExecutionStatus(StrEnum):
    """How a run of an agent stands; it moves once."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class ToolExecutionStatus(StrEnum):
    """How a call of a tool stands; it moves once."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    TIMEOUT = "timeout"
