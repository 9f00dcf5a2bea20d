"""Sealing the audit trail, and cleaning up after the outbox (decision E3)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
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
    """Put the next rows of the audit trail under a seal, as a step of a job."""
    if dry_run:
        last = await repository.last_seal(tx)
        return Slice(await repository.count_audit_rows(tx, last.last_id if last else 0))
    sealed = await seal_next(tx, ctx)
    return Slice(sealed.rows, more=sealed.more)


@dataclass(frozen=True)
class Sealed:
    """The seal that was made, if there was anything to seal."""

    seal: AuditSeal | None
    rows: int
    more: bool


async def seal_next(tx: WriteTx, ctx: CallContext) -> Sealed:
    """Put the next rows of the audit trail under a seal that the one before it is part of.

    Ids do not follow the order of commits. With writers locked out for a moment every id below the
    newest one is either there or never will be, so that a seal misses none.
    """
    await repository.lock_audit_writers_out(tx)
    last = await repository.last_seal(tx)
    rows = await repository.audit_rows(tx, last.last_id if last else 0, limit=_SEALED_AT_ONCE)
    if not rows:
        return Sealed(None, 0, more=False)
    previous = last.hash if last else FIRST_HASH
    rows_hash = hash_rows(rows)
    first_id, last_id = rows[0].id, rows[-1].id
    seal = AuditSeal(
        first_id=first_id,
        last_id=last_id,
        rows_hash=rows_hash,
        prev_hash=previous,
        hash=chain(previous, first_id, last_id, rows_hash),
        sealed_at=ctx.clock.now(),
    )
    tx.session.add(seal)
    await tx.session.flush()  # its id is part of the answer
    return Sealed(seal, len(rows), more=len(rows) == _SEALED_AT_ONCE)


@dataclass(frozen=True)
class Verified:
    """What a part of the chain is like."""

    seals: int
    rows: int
    head: AuditSeal | None
    """The last seal that fits."""
    broken: AuditSeal | None = None
    """The first one that does not."""
    problem: str = ""
    more: bool = False


async def verify_seals(tx: ReadTx, after: AuditSeal | None, limit: int) -> Verified:
    """Compute seals again, those behind one that fits.

    A seal covers every row behind the seal before it, so that a row put between two is found, too.
    """
    head, rows_seen = after, 0
    seals = await repository.seals_after(tx, after.id if after else 0, limit + 1)
    for count, seal in enumerate(seals[:limit]):
        behind = head.last_id if head else 0
        rows = await repository.audit_rows(tx, behind, until=seal.last_id)
        problem = _problem(seal, head, rows)
        if problem:
            return Verified(count, rows_seen, head, seal, problem)
        head, rows_seen = seal, rows_seen + len(rows)
    return Verified(min(len(seals), limit), rows_seen, head, more=len(seals) > limit)


def _problem(seal: AuditSeal, head: AuditSeal | None, rows: Sequence[AuditRecord]) -> str:
    if seal.hash != chain(seal.prev_hash, seal.first_id, seal.last_id, seal.rows_hash):
        return "the seal itself was changed"
    if seal.prev_hash != (head.hash if head else FIRST_HASH):
        return "a seal before it was changed, added or taken away"
    if seal.rows_hash != hash_rows(rows):
        return "rows under it were changed, added or taken away"
    return ""


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
