"""What maintenance needs of other domains; joined in `app`."""

from __future__ import annotations

from typing import Protocol

from autovibe.db import ReadTx, WriteTx
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


class DropReferences(Protocol):
    """The long operation DropPrunedReferences."""

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: maintenance_pb2.DropPrunedReferencesRequest
    ) -> list[str]:
        """Return the checkpoints that were thinned."""
        ...

    async def act(
        self, ctx: CallContext, plan: list[str]
    ) -> maintenance_pb2.DropPrunedReferencesResponse:
        """Drop their references that are there still."""
        ...
