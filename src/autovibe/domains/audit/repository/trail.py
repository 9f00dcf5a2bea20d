"""Queries on the audit trail, its seals, and the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select, text

from autovibe.db import ReadTx, WriteTx
from autovibe.db.records import AuditRecord, OutboxEvent
from autovibe.domains.audit.models import AuditSeal


async def last_seal(tx: ReadTx) -> AuditSeal | None:
    """Return the newest seal."""
    return await tx.session.scalar(select(AuditSeal).order_by(AuditSeal.id.desc()).limit(1))


async def all_seals(tx: ReadTx) -> Sequence[AuditSeal]:
    """Return the seals, the oldest first."""
    return (await tx.session.scalars(select(AuditSeal).order_by(AuditSeal.id))).all()


async def count_audit_rows(tx: ReadTx, after: int) -> int:
    """Return how many rows have a greater id."""
    query = select(func.count()).where(AuditRecord.id > after)
    return (await tx.session.scalar(query)) or 0


async def audit_rows(
    tx: ReadTx, after: int, *, until: int | None = None, limit: int | None = None
) -> Sequence[AuditRecord]:
    """Return rows with a greater id, by id."""
    query = select(AuditRecord).where(AuditRecord.id > after).order_by(AuditRecord.id).limit(limit)
    if until is not None:
        query = query.where(AuditRecord.id <= until)
    return (await tx.session.scalars(query)).all()


async def lock_audit_writers_out(tx: WriteTx) -> None:
    """Wait half a second at most until no other transaction has rows that are not committed."""
    if tx.dialect.name == "postgresql":
        await tx.session.execute(text("SET LOCAL lock_timeout = '500ms'"))
        await tx.session.execute(text("LOCK TABLE audit_log IN SHARE MODE"))


async def count_relayed(tx: ReadTx, before: datetime) -> int:
    """Return how many events were relayed before a time."""
    query = select(func.count()).where(OutboxEvent.relayed_at < before)
    return (await tx.session.scalar(query)) or 0


async def delete_relayed(tx: WriteTx, before: datetime, limit: int) -> int:
    """Delete events that were relayed before a time; return how many."""
    query = select(OutboxEvent.id).where(OutboxEvent.relayed_at < before).order_by(OutboxEvent.id)
    ids = list(await tx.session.scalars(query.limit(limit)))
    if ids:
        await tx.session.execute(delete(OutboxEvent).where(OutboxEvent.id.in_(ids)))
    return len(ids)
