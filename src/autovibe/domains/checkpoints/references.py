"""Making the store's references and the rows of checkpoints agree (decision E2).

A reference is durable before its row is inserted. So one without a row is what a crash left, once
it is older than the grace time; a row without one is an alarm.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints.damage import note_damages
from autovibe.domains.checkpoints.repository.upkeep import roots_of_all
from autovibe.kernel.context import CallContext
from autovibe.store import CheckpointStore, ObjectCorruptError, ObjectMissingError, Ref
from autovibe.v1 import maintenance_pb2

PREFIX: Final = "checkpoints/"
LISTED: Final = 100
_LOST: Final = "its reference is missing, and the store does not have its files any more"


@dataclass(frozen=True)
class ReferencePlan:
    """What the rows say: the root of each checkpoint, `None` of one that was thinned."""

    roots: dict[uuid.UUID, str | None]
    garbage_before_ns: int
    dry_run: bool


@dataclass
class Reconciled:
    """What was done to references, and the checkpoints that have none and get none."""

    dropped: int = 0
    garbage: int = 0
    put_back: int = 0
    lost: list[uuid.UUID] = field(default_factory=list[uuid.UUID])


class ReconcileReferences:
    """The long operation ReconcileReferences."""

    def __init__(self, store: CheckpointStore, grace: timedelta) -> None:
        """Look after the references of a store.

        Args:
            store: the checkpoint store.
            grace: how long a reference stays that no checkpoint has; at least as long as the
                database can be taken back, since a row of then may name it.
        """
        self._store = store
        self._grace = grace

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: maintenance_pb2.ReconcileReferencesRequest
    ) -> ReferencePlan:
        """Read what the rows say; references are listed after that, and so are never too few."""
        before = ctx.clock.now() - self._grace
        return ReferencePlan(
            await roots_of_all(tx), int(before.timestamp() * 1_000_000_000), request.dry_run
        )

    async def act(self, ctx: CallContext, plan: ReferencePlan) -> Reconciled:
        """Drop what is too much, put back what is missing."""
        return await asyncio.to_thread(self._reconcile, plan)

    async def record(
        self, tx: WriteTx, ctx: CallContext, plan: ReferencePlan, outcome: Reconciled
    ) -> maintenance_pb2.ReconcileReferencesResponse:
        """Mark checkpoints that are lost, unless they have gone or were thinned meanwhile."""
        lost = outcome.lost
        if lost and not plan.dry_run:
            lost = list(await note_damages(tx, ctx, dict.fromkeys(lost, _LOST)))
        return maintenance_pb2.ReconcileReferencesResponse(
            dropped=outcome.dropped,
            garbage=outcome.garbage,
            put_back=outcome.put_back,
            lost=len(lost),
            lost_checkpoint_ids=[str(one) for one in lost[:LISTED]],
        )

    def _reconcile(self, plan: ReferencePlan) -> Reconciled:
        done = Reconciled()
        missing = {one: root for one, root in plan.roots.items() if root is not None}
        for name in self._store.ref_names(PREFIX):
            checkpoint_id = _id_of(name)
            if checkpoint_id is None:
                continue
            ref = self._find(name)
            if checkpoint_id not in plan.roots:
                # One that cannot be read has no time: it is left for the audit to tell of.
                if ref is not None and ref.at_ns < plan.garbage_before_ns:
                    done.garbage += self._drop(name, plan)
            elif plan.roots[checkpoint_id] is None:
                done.dropped += self._drop(name, plan)
            elif ref is not None and ref.root == plan.roots[checkpoint_id]:
                del missing[checkpoint_id]
        for checkpoint_id, root in missing.items():
            if self._put_back(checkpoint_id, root, plan):
                done.put_back += 1
            else:
                done.lost.append(checkpoint_id)
        return done

    def _find(self, name: str) -> Ref | None:
        try:
            return self._store.find_ref(name)
        except ObjectCorruptError:
            return None

    def _drop(self, name: str, plan: ReferencePlan) -> int:
        if not plan.dry_run:
            self._store.delete_ref(name)
        return 1

    def _put_back(self, checkpoint_id: uuid.UUID, root: str, plan: ReferencePlan) -> bool:
        if plan.dry_run:
            return False
        try:
            self._store.write_ref(f"{PREFIX}{checkpoint_id}", root)
        except ObjectMissingError:
            return False
        return True


def _id_of(name: str) -> uuid.UUID | None:
    """Return the checkpoint that a reference is of; others may be named there by hand."""
    text = name.removeprefix(PREFIX)
    try:
        found = uuid.UUID(text)
    except ValueError:
        return None
    return found if str(found) == text else None
