"""Thinning: old automatic checkpoints that nothing needs lose their files, not their rows (E1)."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints.repository.upkeep import (
    count_expendable,
    expendable,
    mark_pruned,
    pruned_since,
)
from autovibe.domains.contract import Slice
from autovibe.kernel.context import CallContext
from autovibe.store import CheckpointStore
from autovibe.v1 import maintenance_pb2

FORGET_WITHIN: Final = timedelta(days=30)
"""How long after thinning a reference that a crash has left is looked for."""
_AT_ONCE: Final = 200


class ThinCheckpoints:
    """The job cleanup-checkpoints."""

    def __init__(self, keep_days: int) -> None:
        """Thin what is older than so many days; 0 thins nothing."""
        self._keep_days = keep_days

    async def __call__(self, tx: WriteTx, ctx: CallContext, *, dry_run: bool) -> Slice:
        """Mark the next checkpoints as pruned; their references are dropped afterwards.

        In this order, so that a crash leaves a reference too many and never one too few.
        """
        if not self._keep_days:
            return Slice(0)
        now = ctx.clock.now()
        before = now - timedelta(days=self._keep_days)
        if dry_run:
            return Slice(await count_expendable(tx, before))
        ids = await expendable(tx, before, _AT_ONCE)
        if ids:
            await mark_pruned(tx, ids, now)
            for one in ids:
                tx.stale("checkpoints", one)
        return Slice(len(ids), more=len(ids) == _AT_ONCE)


class DropPrunedReferences:
    """The long operation DropPrunedReferences."""

    def __init__(self, store: CheckpointStore) -> None:
        """Drop references of a store."""
        self._store = store

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: maintenance_pb2.DropPrunedReferencesRequest
    ) -> list[str]:
        """Return the checkpoints that were thinned in the last thirty days."""
        since = ctx.clock.now() - FORGET_WITHIN
        return [str(one) for one in await pruned_since(tx, since)]

    async def act(
        self, ctx: CallContext, plan: list[str]
    ) -> maintenance_pb2.DropPrunedReferencesResponse:
        """Drop those references that are there still; their objects go with the next prune."""

        def drop() -> int:
            dropped = 0
            for checkpoint_id in plan:
                name = f"checkpoints/{uuid.UUID(checkpoint_id)}"
                if self._store.read_ref(name) is not None:
                    self._store.delete_ref(name)
                    dropped += 1
            return dropped

        return maintenance_pb2.DropPrunedReferencesResponse(dropped=await asyncio.to_thread(drop))
