"""The long operations on the whole store: giving space back, and reading everything again."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints.damage import describe_damage, note_damages, note_whole
from autovibe.domains.checkpoints.references import LISTED, PREFIX
from autovibe.domains.checkpoints.repository.damage import damages
from autovibe.kernel.context import CallContext
from autovibe.store import AuditResult, CheckpointStore, ObjectCorruptError
from autovibe.v1 import maintenance_pb2


@dataclass(frozen=True)
class Pruned:
    """What a prune removed, or would; bytes are of packs on the disk."""

    objects_removed: int
    packs_removed: int
    stored_before: int
    stored_after: int
    held_bytes: int
    packs_kept: int


class Storekeeper(Protocol):
    """Works on the whole store in a process of its own, on one core at most (decisions A9, B7)."""

    async def prune(self, grace: timedelta, *, dry_run: bool) -> Pruned:
        """Give back the space of what no reference has needed for the grace time.

        Raises:
            AutovibeError: the store is damaged, full, in use or cannot be written.
        """
        ...

    async def audit(self) -> AuditResult:
        """Read everything that references need and hash it again."""
        ...


class PruneStore:
    """The long operation PruneStore."""

    def __init__(self, keeper: Storekeeper, grace: timedelta) -> None:
        """Prune by means of a storekeeper; the grace time is that of decision E2."""
        self._keeper = keeper
        self._grace = grace

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: maintenance_pb2.PruneStoreRequest
    ) -> bool:
        """Return whether to count only."""
        return request.dry_run

    async def act(self, ctx: CallContext, plan: bool) -> maintenance_pb2.PruneStoreResponse:  # noqa: FBT001 - the plan is this one fact
        """Prune; the store itself knows what is needed, and waits for nobody who writes."""
        done = await self._keeper.prune(self._grace, dry_run=plan)
        return maintenance_pb2.PruneStoreResponse(
            objects_removed=done.objects_removed,
            packs_removed=done.packs_removed,
            stored_bytes_before=done.stored_before,
            stored_bytes_after=done.stored_after,
            held_bytes=done.held_bytes,
            packs_kept=done.packs_kept,
        )


@dataclass(frozen=True)
class Audited:
    """What was found in the store, and the checkpoints known as damaged that are whole now."""

    found: AuditResult
    whole: Collection[uuid.UUID]


class AuditStore:
    """The long operation AuditStore."""

    def __init__(self, store: CheckpointStore, keeper: Storekeeper) -> None:
        """Read a store by means of a storekeeper."""
        self._store = store
        self._keeper = keeper

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: maintenance_pb2.AuditStoreRequest
    ) -> Collection[uuid.UUID]:
        """Return the checkpoints that are known to be damaged."""
        return list(await damages(tx))

    async def act(self, ctx: CallContext, plan: Collection[uuid.UUID]) -> Audited:
        """Read everything."""
        found = await self._keeper.audit()
        harmed = {*(ref.name for ref in found.damaged), *found.unreadable}

        def whole() -> list[uuid.UUID]:
            names = {one: f"{PREFIX}{one}" for one in plan}
            return [one for one, name in names.items() if name not in harmed and self._has(name)]

        return Audited(found, await asyncio.to_thread(whole))

    async def record(
        self, tx: WriteTx, ctx: CallContext, plan: Collection[uuid.UUID], outcome: Audited
    ) -> maintenance_pb2.AuditStoreResponse:
        """Mark the checkpoints that are damaged, and those that are whole again."""
        found = outcome.found
        of_checkpoints, others = _sorted_out(found)
        marked = await note_damages(tx, ctx, of_checkpoints)
        repaired = await note_whole(tx, ctx, outcome.whole)
        return maintenance_pb2.AuditStoreResponse(
            references=found.refs,
            objects=found.objects,
            bytes=found.bytes,
            damaged_objects=found.damaged_objects,
            damaged=len(marked),
            damaged_checkpoint_ids=[str(one) for one in marked[:LISTED]],
            repaired=repaired,
            damaged_references=others[:LISTED],
        )

    def _has(self, name: str) -> bool:
        try:
            return self._store.read_ref(name) is not None
        except ObjectCorruptError:
            return False


def _sorted_out(found: AuditResult) -> tuple[Mapping[uuid.UUID, str], list[str]]:
    """Return what is lost of checkpoints, and the names of other references with damage."""
    told = {ref.name: describe_damage(ref.count, ref.paths) for ref in found.damaged}
    told |= dict.fromkeys(found.unreadable, "its reference in the store cannot be read")
    of_checkpoints: dict[uuid.UUID, str] = {}
    others: list[str] = []
    for name, text in told.items():
        try:
            of_checkpoints[uuid.UUID(name.removeprefix(PREFIX))] = text
        except ValueError:
            others.append(name)
    return of_checkpoints, others
