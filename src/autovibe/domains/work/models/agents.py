"""Tables of what agents ask and do: approvals, runs, tool calls, round tables."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from autovibe.db.base import (
    Base,
    Created,
    Identified,
    Timestamps,
    WithMetadata,
    json_object,
    one_of,
)
from autovibe.db.types import EnumText, Json, JsonValue
from autovibe.domains.work.models.states import (
    AgentExecutionStatus,
    ApprovalKind,
    ApprovalStatus,
    ToolExecutionStatus,
)
from autovibe.v1.agents_pb2 import (
    AgentResult,
    ApprovalAnswer,
    ApprovalDetails,
    RoundTableParticipant,
)

if TYPE_CHECKING:
    from autovibe.domains.identity.models import User
    from autovibe.domains.machines.models import IntelligentMachine
    from autovibe.domains.work.models.queue import Execution
    from autovibe.domains.work.models.tasks import Task


_OPEN = "status = 'open'"


class ApprovalRequest(Identified, Timestamps, Base):
    """Something that waits for a person: the one inbox of all agents.

    `answered_by` is kept when the task goes, and emptied when the person goes.
    """

    __tablename__ = "approval_requests"
    __table_args__ = (
        one_of("kind", ApprovalKind, "ck_approval_requests_kind"),
        one_of("status", ApprovalStatus, "ck_approval_requests_status"),
        CheckConstraint(
            "(status = 'answered') = (answered_at IS NOT NULL)",
            name="ck_approval_requests_answered",
        ),
        Index(
            "idx_approval_requests_open",
            "deadline_at",
            postgresql_where=text(_OPEN),
            sqlite_where=text(_OPEN),
        ),
        Index("idx_approval_requests_task", "task_id"),
        Index("idx_approval_requests_execution", "execution_id"),
        Index("idx_approval_requests_machine", "machine_id"),
        Index("idx_approval_requests_conversation", "conversation_id"),
        Index("idx_approval_requests_answered_by", "answered_by"),
    )

    task_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    execution_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("executions.id", ondelete="SET NULL")
    )
    machine_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("intelligent_machines.id", ondelete="SET NULL")
    )
    conversation_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("chat_conversations.id", ondelete="SET NULL")
    )
    kind: Mapped[ApprovalKind] = mapped_column(EnumText(ApprovalKind, 20))
    title: Mapped[str] = mapped_column(String(255))
    details: Mapped[dict[str, Any]] = json_object(ApprovalDetails)
    options: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    default_answer: Mapped[str | None] = mapped_column(String(255))
    deadline_at: Mapped[datetime | None] = mapped_column()
    status: Mapped[ApprovalStatus] = mapped_column(
        EnumText(ApprovalStatus, 20),
        default=ApprovalStatus.OPEN,
        server_default=ApprovalStatus.OPEN,
    )
    answer: Mapped[dict[str, Any] | None] = mapped_column(JsonValue(ApprovalAnswer))
    answered_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL")
    )
    answered_at: Mapped[datetime | None] = mapped_column()

    task: Mapped[Task | None] = relationship()


class AgentExecution(Identified, WithMetadata, Created, Base):
    """One run of an agent; `execution_id` is its name outside, not the attempt it belongs to."""

    __tablename__ = "agent_executions"
    __table_args__ = (
        one_of("status", AgentExecutionStatus, "ck_agent_executions_status"),
        UniqueConstraint("execution_id", name="uq_agent_executions_execution_id"),
        Index("idx_agent_executions_agent", "agent_name"),
        Index("idx_agent_executions_status", "status"),
        Index("idx_agent_executions_task_execution", "task_execution_id"),
        Index("idx_agent_executions_machine", "machine_id"),
    )

    execution_id: Mapped[str] = mapped_column(String(100))
    task_execution_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("executions.id", ondelete="SET NULL")
    )
    machine_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("intelligent_machines.id", ondelete="SET NULL")
    )
    agent_name: Mapped[str] = mapped_column(String(100))
    prompt: Mapped[str] = mapped_column(Text)
    status: Mapped[AgentExecutionStatus] = mapped_column(
        EnumText(AgentExecutionStatus, 50),
        default=AgentExecutionStatus.RUNNING,
        server_default=AgentExecutionStatus.RUNNING,
    )
    result: Mapped[dict[str, Any] | None] = mapped_column(JsonValue(AgentResult))
    tokens_used: Mapped[int | None] = mapped_column()
    duration_ms: Mapped[int | None] = mapped_column()
    completed_at: Mapped[datetime | None] = mapped_column()

    task_execution: Mapped[Execution | None] = relationship(back_populates="agent_executions")
    machine: Mapped[IntelligentMachine | None] = relationship(back_populates="agent_executions")
    tool_executions: Mapped[list[ToolExecution]] = relationship(
        back_populates="agent_execution", passive_deletes=True
    )


class ToolExecution(Identified, WithMetadata, Created, Base):
    """One call of a tool. `inputs` hold no secret: they are redacted before they come here."""

    __tablename__ = "tool_executions"
    __table_args__ = (
        one_of("status", ToolExecutionStatus, "ck_tool_executions_status"),
        Index("idx_tool_executions_correlation", "correlation_id"),
        Index("idx_tool_executions_tool", "tool_name"),
        Index("idx_tool_executions_status", "status"),
        Index("idx_tool_executions_user", "user_id"),
        Index("idx_tool_executions_agent_execution", "agent_execution_id"),
    )

    correlation_id: Mapped[str] = mapped_column(String(64))
    tool_name: Mapped[str] = mapped_column(String(128))
    agent_id: Mapped[str | None] = mapped_column(String(100))
    agent_execution_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("agent_executions.id", ondelete="SET NULL")
    )
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    inputs: Mapped[dict[str, Any]] = mapped_column(Json)
    outputs: Mapped[dict[str, Any] | None] = mapped_column(Json)
    status: Mapped[ToolExecutionStatus] = mapped_column(
        EnumText(ToolExecutionStatus, 50),
        default=ToolExecutionStatus.RUNNING,
        server_default=ToolExecutionStatus.RUNNING,
    )
    error_message: Mapped[str | None] = mapped_column(Text)
    duration_ms: Mapped[int | None] = mapped_column()

    user: Mapped[User | None] = relationship(back_populates="tool_executions")
    agent_execution: Mapped[AgentExecution | None] = relationship(back_populates="tool_executions")


class RoundTableResult(Identified, WithMetadata, Created, Base):
    """What several models answered to one prompt, and which answer won."""

    __tablename__ = "llm_round_table_results"
    __table_args__ = (
        UniqueConstraint("result_id", name="uq_llm_round_table_results_result_id"),
        Index("idx_llm_results_category", "task_category"),
        Index("idx_llm_results_execution", "task_execution_id"),
    )

    result_id: Mapped[str] = mapped_column(String(100))
    prompt: Mapped[str | None] = mapped_column(Text)
    task_category: Mapped[str | None] = mapped_column(String(100))
    winner_provider: Mapped[str | None] = mapped_column(String(50))
    winner_response: Mapped[str | None] = mapped_column(Text)
    participants: Mapped[list[dict[str, Any]]] = mapped_column(
        JsonValue(RoundTableParticipant, many=True)
    )
    task_execution_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("executions.id", ondelete="SET NULL")
    )

    task_execution: Mapped[Execution | None] = relationship()
