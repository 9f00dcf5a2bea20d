"""What maintenance needs of other domains; joined in `app`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from autovibe.db import WriteTx
from autovibe.domains.contract import LongOperation, LongRead
from autovibe.kernel.context import CallContext
from autovibe.v1 import maintenance_pb2


class Verifications(Protocol):
    """The queue of checkpoints that nobody has verified yet."""

    async def claim(
        self, tx: WriteTx, ctx: CallContext, request: maintenance_pb2.ClaimVerificationRequest
    ) -> maintenance_pb2.ClaimVerificationResponse:
        """Claim the next entry."""
        ...

    async def finish(
        self, tx: WriteTx, ctx: CallContext, request: maintenance_pb2.FinishVerificationRequest
    ) -> maintenance_pb2.FinishVerificationResponse:
        """Close or give back a claimed entry."""
        ...


@dataclass(frozen=True)
class StoreOperations:
    """The long operations on the checkpoint store."""

    reconcile: LongOperation[
        maintenance_pb2.ReconcileReferencesRequest,
        Any,
        Any,
        maintenance_pb2.ReconcileReferencesResponse,
    ]
    prune: LongRead[maintenance_pb2.PruneStoreRequest, Any, maintenance_pb2.PruneStoreResponse]
    audit: LongOperation[
        maintenance_pb2.AuditStoreRequest, Any, Any, maintenance_pb2.AuditStoreResponse
    ]
