"""Thinning: old automatic checkpoints that nothing needs lose their files, not their rows (E1)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from autovibe.db import WriteTx
from autovibe.domains.checkpoints.repository.upkeep import (
    KeepCheckpoints,
    count_expendable,
    expendable,
    mark_pruned,
)
from autovibe.domains.contract import Slice
from autovibe.kernel.context import CallContext

__all__ = ["KeepCheckpoints", "ThinCheckpoints"]

_AT_ONCE: Final = 200


class ThinCheckpoints:
    """The job cleanup-checkpoints."""

    def __init__(self, keep_days: int, keep: KeepCheckpoints) -> None:
        """Thin what is older than so many days and kept by no rule; 0 thins nothing."""
        self._keep_days = keep_days
        self._keep = keep

    async def __call__(self, tx: WriteTx, ctx: CallContext, *, dry_run: bool) -> Slice:
        """Mark the next checkpoints as pruned; their references are dropped afterwards.

        In this order, so that a crash leaves a reference too many and never one too few.
        """
        if not self._keep_days:
            return Slice(0)
        now = ctx.clock.now()
        before = now - timedelta(days=self._keep_days)
        if dry_run:
            return Slice(await count_expendable(tx, before, self._keep))
        ids = await expendable(tx, before, self._keep, _AT_ONCE)
        if ids:
            await mark_pruned(tx, ids, now)
            for one in ids:
                tx.stale("checkpoints", one)
        return Slice(len(ids), more=len(ids) == _AT_ONCE)
