"""Sealing the audit trail, and cleaning up after the outbox (decision E3)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from autovibe.db import ReadTx, WriteTx
from autovibe.db.records import AuditRecord
from autovibe.domains.audit import repository
from autovibe.domains.audit.models import AuditSeal
from autovibe.domains.contract import Slice
from autovibe.kernel.context import CallContext

FIRST_HASH: Final = "0" * 64
"""What the first seal names as the one before it."""
OUTBOX_AGE: Final = timedelta(days=1)
_SEALED_AT_ONCE: Final = 1_000
_DELETED_AT_ONCE: Final = 500


async def seal_audit(tx: WriteTx, ctx: CallContext, *, dry_run: bool) -> Slice:
    """Put the next rows of the audit trail under a seal that the one before it is part of.

    Ids do not follow the order of commits. With writers locked out for a moment every id below the
    newest one is either there or never will be, so that a seal misses none.
    """
    last = await repository.last_seal(tx)
    after = last.last_id if last else 0
    if dry_run:
        return Slice(await repository.count_audit_rows(tx, after))
    await repository.lock_audit_writers_out(tx)
    rows = await repository.audit_rows(tx, after, limit=_SEALED_AT_ONCE)
    if not rows:
        return Slice(0)
    previous = last.hash if last else FIRST_HASH
    rows_hash = hash_rows(rows)
    first_id, last_id = rows[0].id, rows[-1].id
    tx.session.add(
        AuditSeal(
            first_id=first_id,
            last_id=last_id,
            rows_hash=rows_hash,
            prev_hash=previous,
            hash=chain(previous, first_id, last_id, rows_hash),
            sealed_at=ctx.clock.now(),
        )
    )
    return Slice(len(rows), more=len(rows) == _SEALED_AT_ONCE)


async def find_broken_seal(tx: ReadTx) -> AuditSeal | None:
    """Return the first seal that does not fit its rows or the seal before it."""
    previous = FIRST_HASH
    for seal in await repository.all_seals(tx):
        rows = await repository.audit_rows(tx, seal.first_id - 1, until=seal.last_id)
        fits = seal.prev_hash == previous and seal.rows_hash == hash_rows(rows)
        if not fits or seal.hash != chain(previous, seal.first_id, seal.last_id, seal.rows_hash):
            return seal
        previous = seal.hash
    return None


def chain(previous: str, first_id: int, last_id: int, rows_hash: str) -> str:
    """Return the hash of a seal."""
    return hashlib.sha256(f"{previous}\n{first_id}\n{last_id}\n{rows_hash}".encode()).hexdigest()


def hash_rows(rows: Sequence[AuditRecord]) -> str:
    """Return the SHA-256 of rows, one line of JSON with sorted names for each."""
    digest = hashlib.sha256()
    for row in rows:
        value: dict[str, Any] = {
            "id": row.id,
            "at": row.at.isoformat(),
            "actor_type": row.actor_type,
            "actor_id": row.actor_id,
            "operation": row.operation,
            "resource_type": row.resource_type,
            "resource_id": row.resource_id,
            "outcome": str(row.outcome),
            "reason": row.reason,
            "request_id": row.request_id,
            "details": row.details,
        }
        digest.update(json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


async def clean_outbox(tx: WriteTx, ctx: CallContext, *, dry_run: bool) -> Slice:
    """Delete events that were relayed a day ago or more."""
    before = ctx.clock.now() - OUTBOX_AGE
    if dry_run:
        return Slice(await repository.count_relayed(tx, before))
    deleted = await repository.delete_relayed(tx, before, _DELETED_AT_ONCE)
    return Slice(deleted, more=deleted == _DELETED_AT_ONCE)
