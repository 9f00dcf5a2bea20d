"""Tables of the metering domain: usage, budgets, the ledger of holds, exchange rates."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    UniqueConstraint,
    text,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from autovibe.db.base import (
    Base,
    Created,
    Identified,
    Timestamps,
    WithMetadata,
    clock_time,
    metadata_of,
    money,
    one_of,
)
from autovibe.db.types import EnumText, ExactDecimal
from autovibe.v1.metering_pb2 import CallTerms, UsageMetadata

if TYPE_CHECKING:
    from autovibe.domains.machines.models import IntelligentMachine
    from autovibe.domains.projects.models import Project

_OPEN_STATES = "state IN ('reserved','forwarded','uncertain')"


class ResourceType(StrEnum):
    """What is metered."""

    MONEY = "money"
    TIME = "time"
    API_CALLS = "api_calls"
    CPU = "cpu"
    MEMORY = "memory"
    STORAGE = "storage"
    NETWORK = "network"


class BudgetPeriod(StrEnum):
    """How long a budget lasts, by the UTC calendar."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    TOTAL = "total"


class Enforcement(StrEnum):
    """Whether a usage row may be refused by a budget, or is only recorded."""

    AUTHORISE = "authorise"
    RECORD = "record"


class ReservationState(StrEnum):
    """Where a call is between its hold and its settlement."""

    RESERVED = "reserved"
    FORWARDED = "forwarded"
    SETTLED = "settled"
    RELEASED = "released"
    EXPIRED = "expired"
    UNCERTAIN = "uncertain"


class ResourceUsage(Identified, WithMetadata, Base):
    """Metered consumption, append-only; on PostgreSQL partitioned by `recorded_at`.

    `execution_id` and `reservation_id` are soft references. A row with a reservation adds nothing
    to budgets: the ledger has moved its holds in the same transaction.
    """

    __tablename__ = "resource_usage"
    __table_args__ = (
        CheckConstraint("amount > 0", name="positive_resource_amount"),
        one_of("resource_type", ResourceType, "ck_resource_usage_type"),
        one_of("enforcement", Enforcement, "ck_resource_usage_enforcement"),
        Index("idx_resource_project_time", "project_id", "recorded_at"),
        Index("idx_resource_type_time", "resource_type", "recorded_at"),
        Index(
            "idx_resource_machine",
            "machine_id",
            postgresql_where=text("machine_id IS NOT NULL"),
            sqlite_where=text("machine_id IS NOT NULL"),
        ),
        Index(
            "idx_resource_usage_execution",
            "execution_id",
            postgresql_where=text("execution_id IS NOT NULL"),
            sqlite_where=text("execution_id IS NOT NULL"),
        ),
        {"postgresql_partition_by": "RANGE (recorded_at)"},
    )

    recorded_at: Mapped[datetime] = clock_time(primary_key=True)
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    machine_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("intelligent_machines.id", ondelete="SET NULL")
    )
    execution_id: Mapped[uuid.UUID | None] = mapped_column()
    reservation_id: Mapped[uuid.UUID | None] = mapped_column()
    resource_type: Mapped[ResourceType] = mapped_column(EnumText(ResourceType, 50))
    resource_subtype: Mapped[str | None] = mapped_column(String(100))
    amount: Mapped[Decimal] = mapped_column(money())
    unit: Mapped[str] = mapped_column(String(20))
    cost_cad: Mapped[Decimal | None] = mapped_column(money())
    enforcement: Mapped[Enforcement] = mapped_column(
        EnumText(Enforcement, 20),
        default=Enforcement.AUTHORISE,
        server_default=Enforcement.AUTHORISE,
    )
    metadata_: Mapped[dict[str, Any]] = metadata_of(UsageMetadata)
    billing_period_start: Mapped[date | None] = mapped_column(Date)
    billing_period_end: Mapped[date | None] = mapped_column(Date)

    project: Mapped[Project] = relationship(back_populates="resource_usage")
    machine: Mapped[IntelligentMachine | None] = relationship(back_populates="usage_records")


class ResourceUsageDaily(Base):
    """Usage per project, UTC day, resource and unit; kept by a trigger on `resource_usage`."""

    __tablename__ = "resource_usage_daily"
    __table_args__ = (
        PrimaryKeyConstraint(
            "project_id", "usage_date", "resource_type", "unit", name="pk_resource_usage_daily"
        ),
        one_of("resource_type", ResourceType, "ck_resource_usage_daily_type"),
        Index("idx_resource_usage_daily_date", "usage_date"),
    )

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    usage_date: Mapped[date] = mapped_column(Date)
    resource_type: Mapped[ResourceType] = mapped_column(EnumText(ResourceType, 50))
    unit: Mapped[str] = mapped_column(String(20))
    amount: Mapped[Decimal] = mapped_column(ExactDecimal(20, 6))
    cost_cad: Mapped[Decimal] = mapped_column(
        ExactDecimal(20, 6), default=Decimal(0), server_default="0"
    )
    transaction_count: Mapped[int] = mapped_column(BigInteger)


class ResourceBudget(Identified, Timestamps, Base):
    """What may be used of one resource in one period, by a project or by one task of it.

    The key is unique with NULL task ids equal: one budget of the project per period.
    """

    __tablename__ = "resource_budgets"
    __table_args__ = (
        one_of("resource_type", ResourceType, "ck_budgets_resource_type"),
        one_of("budget_period", BudgetPeriod, "ck_budgets_period"),
        CheckConstraint("period_end >= period_start", name="ck_budgets_dates"),
        CheckConstraint(
            "allocated_amount >= 0 AND used_amount >= 0 AND reserved_amount >= 0",
            name="ck_budgets_amounts",
        ),
        UniqueConstraint(
            "project_id",
            "task_id",
            "resource_type",
            "budget_period",
            "period_start",
            name="uq_budgets_project_type_period_start",
            postgresql_nulls_not_distinct=True,
        ).ddl_if(dialect="postgresql"),
        Index(
            "uq_budgets_project_type_period_start",
            "project_id",
            text("coalesce(task_id, '')"),
            "resource_type",
            "budget_period",
            "period_start",
            unique=True,
        ).ddl_if(dialect="sqlite"),
        Index("idx_budgets_project_period", "project_id", "period_start", "period_end"),
        Index("idx_budgets_active", "period_end", "period_start"),
        Index("idx_budgets_task", "task_id"),
        # Every call changes these rows: within their pages.
        {"postgresql_with": {"fillfactor": 20}},
    )

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    task_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    resource_type: Mapped[ResourceType] = mapped_column(EnumText(ResourceType, 50))
    budget_period: Mapped[BudgetPeriod] = mapped_column(EnumText(BudgetPeriod, 50))
    period_start: Mapped[date] = mapped_column(Date)
    period_end: Mapped[date] = mapped_column(Date)
    allocated_amount: Mapped[Decimal] = mapped_column(money())
    used_amount: Mapped[Decimal] = mapped_column(money(), default=Decimal(0), server_default="0")
    reserved_amount: Mapped[Decimal] = mapped_column(
        money(), default=Decimal(0), server_default="0"
    )
    unit: Mapped[str] = mapped_column(String(20))
    auto_reset: Mapped[bool] = mapped_column(Boolean, default=True, server_default=true())

    project: Mapped[Project] = relationship(back_populates="budgets")


class BudgetReservation(Identified, WithMetadata, Base):
    """One call: admitted by its holds, forwarded, then settled, released or left uncertain.

    The id is the request id of the call. Execution and instance are soft references: the ledger
    outlives both, and recovery asks for the holds of instances that are gone.
    """

    __tablename__ = "budget_reservations"
    __table_args__ = (
        one_of("state", ReservationState, "ck_budget_reservations_state"),
        UniqueConstraint(
            "execution_id", "idempotency_key", name="uq_budget_reservations_idempotency"
        ),
        Index(
            "idx_budget_reservations_open",
            "instance_id",
            "expires_at",
            postgresql_where=text(_OPEN_STATES),
            sqlite_where=text(_OPEN_STATES),
        ),
        Index("idx_budget_reservations_project", "project_id", "reserved_at"),
        Index("idx_budget_reservations_task", "task_id"),
        Index("idx_budget_reservations_machine", "machine_id"),
    )

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    task_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tasks.id", ondelete="SET NULL"))
    machine_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("intelligent_machines.id", ondelete="SET NULL")
    )
    execution_id: Mapped[uuid.UUID | None] = mapped_column()
    lease_generation: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    instance_id: Mapped[uuid.UUID] = mapped_column()
    state: Mapped[ReservationState] = mapped_column(
        EnumText(ReservationState, 20),
        default=ReservationState.RESERVED,
        server_default=ReservationState.RESERVED,
    )
    idempotency_key: Mapped[str] = mapped_column(String(200))
    metadata_: Mapped[dict[str, Any]] = metadata_of(CallTerms)
    reserved_at: Mapped[datetime] = clock_time()
    forwarded_at: Mapped[datetime | None] = mapped_column()
    finished_at: Mapped[datetime | None] = mapped_column()
    expires_at: Mapped[datetime] = mapped_column()

    holds: Mapped[list[BudgetHold]] = relationship(
        back_populates="reservation",
        primaryjoin="BudgetReservation.id == foreign(BudgetHold.reservation_id)",
        cascade="all, delete-orphan",
        passive_deletes=True,
        lazy="raise",
        order_by="BudgetHold.budget_id",
    )


class BudgetHold(Base):
    """What one call holds of one budget; it settles against exactly these, even after midnight.

    Soft references: four holds are written per call, by the statement that writes the call, and
    looking up what it has just written cost as much as writing them. A trigger deletes the holds of
    a call with it; they outlive their budgets.
    """

    __tablename__ = "budget_holds"
    __table_args__ = (
        PrimaryKeyConstraint("reservation_id", "budget_id", name="pk_budget_holds"),
        one_of("resource_type", ResourceType, "ck_budget_holds_resource_type"),
        CheckConstraint(
            "amount >= 0 AND (settled_amount IS NULL OR settled_amount >= 0)",
            name="ck_budget_holds_amounts",
        ),
        # Settling changes a row within its page.
        {"sqlite_with_rowid": False, "postgresql_with": {"fillfactor": 60}},
    )

    reservation_id: Mapped[uuid.UUID] = mapped_column()
    budget_id: Mapped[uuid.UUID] = mapped_column()
    resource_type: Mapped[ResourceType] = mapped_column(EnumText(ResourceType, 50))
    amount: Mapped[Decimal] = mapped_column(money())
    settled_amount: Mapped[Decimal | None] = mapped_column(money())

    reservation: Mapped[BudgetReservation] = relationship(
        back_populates="holds",
        primaryjoin="BudgetReservation.id == foreign(BudgetHold.reservation_id)",
        lazy="raise",
    )
    budget: Mapped[ResourceBudget | None] = relationship(
        primaryjoin="ResourceBudget.id == foreign(BudgetHold.budget_id)", lazy="raise"
    )


class ProviderPause(Identified, Base):
    """When the used-up quota of a provider's key resets. The id is made of the key's hash."""

    __tablename__ = "provider_pauses"

    opens_at: Mapped[datetime] = mapped_column()


class ExchangeRate(Identified, Created, Base):
    """The price of one unit of a currency in CAD, from a day on. The first migration loads USD."""

    __tablename__ = "exchange_rates"
    __table_args__ = (
        CheckConstraint("rate_to_cad > 0", name="ck_exchange_rates_rate"),
        UniqueConstraint("currency", "valid_from", name="uq_exchange_rates"),
    )

    currency: Mapped[str] = mapped_column(String(3))
    rate_to_cad: Mapped[Decimal] = mapped_column(ExactDecimal(18, 8))
    valid_from: Mapped[datetime] = mapped_column()
    source: Mapped[str] = mapped_column(String(100))
