"""Tables of the audit domain; the audit trail itself is written by every transaction (`db`)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CHAR, BigInteger, Identity, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from autovibe.db.base import Base, Identified, clock_time, json_object, one_of
from autovibe.db.types import BigIdentity, EnumText


class MaintenanceStatus(StrEnum):
    """How a job ended."""

    SUCCESS = "success"
    FAILED = "failed"


class AuditSeal(Base):
    """One link of the chain over batches of audit rows, verifiable without the database."""

    __tablename__ = "audit_seals"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigIdentity, Identity(), primary_key=True)
    first_id: Mapped[int] = mapped_column(BigInteger)
    last_id: Mapped[int] = mapped_column(BigInteger)
    rows_hash: Mapped[str] = mapped_column(CHAR(64))
    prev_hash: Mapped[str] = mapped_column(CHAR(64))
    hash: Mapped[str] = mapped_column(CHAR(64))
    sealed_at: Mapped[datetime] = clock_time()


class MaintenanceRecord(Identified, Base):
    """The result of one run of a scheduled job, archive or purge."""

    __tablename__ = "maintenance_log"
    __table_args__ = (
        one_of("status", MaintenanceStatus, "ck_maintenance_log_status"),
        Index("idx_maintenance_log_operation", "operation", text("performed_at DESC")),
    )

    operation: Mapped[str] = mapped_column(String(100))
    affected_rows: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    performed_at: Mapped[datetime] = clock_time()
    status: Mapped[MaintenanceStatus] = mapped_column(
        EnumText(MaintenanceStatus, 20),
        default=MaintenanceStatus.SUCCESS,
        server_default=MaintenanceStatus.SUCCESS,
    )
    duration_ms: Mapped[int | None] = mapped_column()
    details: Mapped[dict[str, Any]] = json_object()
