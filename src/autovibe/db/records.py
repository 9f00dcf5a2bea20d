"""Rows that every write may add: events to be relayed, and the audit trail."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CHAR, Identity, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from autovibe.db.base import Base, Identified, clock_time, json_object, one_of
from autovibe.db.types import BigIdentity, EnumText, Json


class AuditOutcome(StrEnum):
    """How an operation ended."""

    OK = "ok"
    REFUSED = "refused"
    FAILED = "failed"


class OutboxEvent(Base):
    """An event written with the change it tells of, and relayed after the commit.

    Relays select WHERE relayed_at IS NULL, never id > cursor: ids do not follow commit order.
    """

    __tablename__ = "outbox_events"
    __table_args__ = (
        Index(
            "idx_outbox_events_unrelayed",
            "id",
            postgresql_where=text("relayed_at IS NULL"),
            sqlite_where=text("relayed_at IS NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigIdentity, Identity(), primary_key=True)
    topic: Mapped[str] = mapped_column(String(100))
    payload: Mapped[dict[str, Any]] = mapped_column(Json)
    created_at: Mapped[datetime] = clock_time()
    relayed_at: Mapped[datetime | None] = mapped_column()


class AuditRecord(Base):
    """Who did what to which thing, and how it ended. Append-only; sealed in batches."""

    __tablename__ = "audit_log"
    __table_args__ = (
        one_of("outcome", AuditOutcome, "ck_audit_log_outcome"),
        Index("idx_audit_log_at", "at"),
        Index("idx_audit_log_resource", "resource_type", "resource_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigIdentity, Identity(), primary_key=True)
    at: Mapped[datetime] = clock_time()
    actor_type: Mapped[str] = mapped_column(String(20))
    actor_id: Mapped[str] = mapped_column(String(100))
    operation: Mapped[str] = mapped_column(String(200))
    resource_type: Mapped[str | None] = mapped_column(String(50))
    resource_id: Mapped[str | None] = mapped_column(String(100))
    outcome: Mapped[AuditOutcome] = mapped_column(EnumText(AuditOutcome, 20))
    reason: Mapped[str | None] = mapped_column(String(100))
    request_id: Mapped[str | None] = mapped_column(String(100))
    details: Mapped[dict[str, Any]] = json_object()


class IdempotentReply(Identified, Base):
    """The answer of a call with an idempotency key: a repeat gets it, and nothing is done again."""

    __tablename__ = "idempotent_replies"
    __table_args__ = (
        UniqueConstraint("actor_id", "idempotency_key", name="uq_idempotent_replies_key"),
        Index("idx_idempotent_replies_created", "created_at"),
    )

    actor_id: Mapped[str] = mapped_column(String(100))
    idempotency_key: Mapped[str] = mapped_column(String(200))
    operation: Mapped[str] = mapped_column(String(200))
    request_hash: Mapped[str] = mapped_column(CHAR(64))
    response: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = clock_time()


def text_id(value: uuid.UUID | str | None) -> str | None:
    """Return an id as text, for columns that may name anything."""
    return None if value is None else str(value)
