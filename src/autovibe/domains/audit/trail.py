"""The audit trail for those who may read it: rows, seals, and whether they fit."""

from __future__ import annotations

from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.db.records import AuditRecord
from autovibe.domains.audit import repository
from autovibe.domains.audit.errors import SealNotFoundError
from autovibe.domains.audit.models import AuditSeal
from autovibe.domains.audit.sealing import seal_next, verify_seals
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.paging import decode_token, encode_token, page_size
from autovibe.kernel.protoconv import from_timestamp, struct, timestamp
from autovibe.v1 import audit_pb2

_VERIFIED_AT_ONCE: Final = 20
_LARGEST_ID: Final = 2**63 - 1


class AuditService:
    """Implements autovibe.v1.AuditService."""

    async def list_audit_records(
        self, tx: ReadTx, ctx: CallContext, request: audit_pb2.ListAuditRecordsRequest
    ) -> audit_pb2.ListAuditRecordsResponse:
        """Return one page of the trail, the newest row first."""
        del ctx
        size = page_size(request.page_size)
        wanted = {
            "actor_id": request.actor_id,
            "resource_id": request.resource_id,
            "outcome": request.outcome,
        }
        rows = await repository.list_records(
            tx,
            equal={column: value for column, value in wanted.items() if value},
            operation=request.operation,
            since=from_timestamp(request.since) if request.HasField("since") else None,
            until=from_timestamp(request.until) if request.HasField("until") else None,
            before_id=_last_id(request.page_token),
            limit=size + 1,
        )
        more = len(rows) > size
        return audit_pb2.ListAuditRecordsResponse(
            records=[_record_message(row) for row in rows[:size]],
            next_page_token=encode_token(str(rows[size - 1].id)) if more else "",
        )

    async def verify_audit(
        self, tx: ReadTx, ctx: CallContext, request: audit_pb2.VerifyAuditRequest
    ) -> audit_pb2.VerifyAuditResponse:
        """Compute a part of the chain of seals again.

        Raises:
            SealNotFoundError: there is no seal to go on behind.
        """
        del ctx
        after = None
        if request.after_seal_id:
            after = await repository.find_seal(tx, request.after_seal_id)
            if after is None:
                raise SealNotFoundError(
                    f"There is no seal {request.after_seal_id}; verify from the first one.",
                    seal_id=str(request.after_seal_id),
                )
        found = await verify_seals(tx, after, _VERIFIED_AT_ONCE)
        last = await repository.last_seal(tx)
        return audit_pb2.VerifyAuditResponse(
            seals=found.seals,
            rows=found.rows,
            broken=_seal_message(found.broken),
            problem=found.problem,
            head=_seal_message(found.head),
            more=found.more,
            unsealed_rows=await repository.count_audit_rows(tx, last.last_id if last else 0),
        )

    async def seal_audit(
        self, tx: WriteTx, ctx: CallContext, request: audit_pb2.SealAuditRequest
    ) -> audit_pb2.SealAuditResponse:
        """Put the next rows under a seal."""
        del request
        sealed = await seal_next(tx, ctx)
        return audit_pb2.SealAuditResponse(
            seal=_seal_message(sealed.seal), rows=sealed.rows, more=sealed.more
        )


def _last_id(token: str) -> int | None:
    key = decode_token(token, 1)
    if key is None:
        return None
    if not (key[0].isascii() and key[0].isdigit() and int(key[0]) <= _LARGEST_ID):
        raise InvalidArgumentError(
            "The page token is not valid; start again without one.", what="page_token"
        )
    return int(key[0])


def _record_message(row: AuditRecord) -> audit_pb2.AuditRecord:
    return audit_pb2.AuditRecord(
        id=row.id,
        at=timestamp(row.at),
        actor_type=row.actor_type,
        actor_id=row.actor_id,
        operation=row.operation,
        resource_type=row.resource_type or "",
        resource_id=row.resource_id or "",
        outcome=row.outcome,
        reason=row.reason or "",
        request_id=row.request_id or "",
        details=struct(row.details),
    )


def _seal_message(seal: AuditSeal | None) -> audit_pb2.AuditSeal | None:
    if seal is None:
        return None
    return audit_pb2.AuditSeal(
        id=seal.id,
        first_id=seal.first_id,
        last_id=seal.last_id,
        rows_hash=seal.rows_hash,
        prev_hash=seal.prev_hash,
        hash=seal.hash,
        sealed_at=timestamp(seal.sealed_at),
    )
