"""Queries on the audit trail, its seals, and the outbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, func, or_, select, text

from autovibe.db import ReadTx, WriteTx
from autovibe.db.records import AuditRecord, OutboxEvent
from autovibe.domains.audit.models import AuditSeal


async def last_seal(tx: ReadTx) -> AuditSeal | None:
    """Return the newest seal."""
    return await tx.session.scalar(select(AuditSeal).order_by(AuditSeal.id.desc()).limit(1))


async def find_seal(tx: ReadTx, seal_id: int) -> AuditSeal | None:
    """Return the seal with this id."""
    return await tx.session.get(AuditSeal, seal_id)


async def seals_after(tx: ReadTx, seal_id: int, limit: int) -> Sequence[AuditSeal]:
    """Return seals, the oldest first, those after one."""
    query = select(AuditSeal).where(AuditSeal.id > seal_id).order_by(AuditSeal.id).limit(limit)
    return (await tx.session.scalars(query)).all()


async def list_records(
    tx: ReadTx,
    *,
    equal: Mapping[str, str],
    operation: str,
    since: datetime | None,
    until: datetime | None,
    before_id: int | None,
    limit: int,
) -> Sequence[AuditRecord]:
    """Return rows, the newest first, those before an id.

    Args:
        tx: any.
        equal: columns with the text that they must have.
        operation: the whole name of an rpc, its service's name and its own, or its own; "" is any.
        since: only those of this time and later.
        until: only those before this time.
        before_id: id of the last one seen.
        limit: how many at most.
    """
    query = select(AuditRecord).order_by(AuditRecord.id.desc()).limit(limit)
    for column, value in equal.items():
        query = query.where(getattr(AuditRecord, column) == value)
    if operation:
        named = AuditRecord.operation
        within = [named.endswith(f"{mark}{operation}", autoescape=True) for mark in "./"]
        query = query.where(or_(named == operation, *within))
    if since is not None:
        query = query.where(AuditRecord.at >= since)
    if until is not None:
        query = query.where(AuditRecord.at < until)
    if before_id is not None:
        query = query.where(AuditRecord.id < before_id)
    return (await tx.session.scalars(query)).all()


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
