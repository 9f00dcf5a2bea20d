"""The queue of checkpoints that nobody has verified yet; triggers fill it."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Final

from autovibe.db import WriteTx
from autovibe.domains.checkpoints.models import VerificationJobStatus
from autovibe.domains.checkpoints.repository.upkeep import lock_verification, next_verification
from autovibe.kernel.context import CallContext
from autovibe.v1 import maintenance_pb2

TAKEN_OVER_AFTER: Final = timedelta(minutes=30)
"""A claim that is older belongs to a verifier that was killed."""
MOST_ATTEMPTS: Final = 5


class VerificationQueue:
    """Implements `audit.ports.Verifications`."""

    async def claim(
        self, tx: WriteTx, ctx: CallContext, request: maintenance_pb2.ClaimVerificationRequest
    ) -> maintenance_pb2.ClaimVerificationResponse:
        """Claim the oldest entry that waits, or whose verifier was killed.

        One that was tried five times is given up: its checkpoint stays unverified, and the error
        stands in the queue.
        """
        now = ctx.clock.now()
        row = await next_verification(tx, now - TAKEN_OVER_AFTER)
        if row is None:
            return maintenance_pb2.ClaimVerificationResponse()
        row.attempts += 1
        if row.attempts > MOST_ATTEMPTS:
            row.status = VerificationJobStatus.FAILED
            row.finished_at = now
            row.locked_by = None
            return await self.claim(tx, ctx, request)
        row.status = VerificationJobStatus.PROCESSING
        row.locked_by = request.locked_by
        row.locked_at = now
        return maintenance_pb2.ClaimVerificationResponse(
            entry_id=str(row.id), checkpoint_id=str(row.checkpoint_id), attempt=row.attempts
        )

    async def finish(
        self, tx: WriteTx, ctx: CallContext, request: maintenance_pb2.FinishVerificationRequest
    ) -> maintenance_pb2.FinishVerificationResponse:
        """Close an entry, or give it back with what went wrong; a late report changes nothing."""
        row = await lock_verification(tx, uuid.UUID(request.entry_id))
        if (
            row is None
            or row.status != VerificationJobStatus.PROCESSING
            or (row.locked_by, row.attempts) != (request.locked_by, request.attempt)
        ):
            # A trigger has closed it with the checkpoint, or another verifier has it.
            return maintenance_pb2.FinishVerificationResponse(
                stale=row is None or row.status == VerificationJobStatus.PROCESSING
            )
        row.locked_by = None
        row.last_error = request.error or None
        if not request.error:
            row.status = VerificationJobStatus.DONE
            row.finished_at = ctx.clock.now()
        else:
            row.status = VerificationJobStatus.QUEUED
        return maintenance_pb2.FinishVerificationResponse()
