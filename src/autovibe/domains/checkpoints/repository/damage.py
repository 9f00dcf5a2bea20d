"""Queries on damage: closed entries of the verification queue that name what is lost.

A checkpoint has one such entry at most. While it is damaged the entry has failed; once it is whole
the entry is done, and keeps what had been lost.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import exists, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints.models import (
    Checkpoint,
    CheckpointVerification,
    VerificationJobStatus,
)
from autovibe.kernel.ids import new_id

_PREFIX: Final = "STORE_DAMAGED: "
_AT_ONCE: Final = 500
_FAILED: Final = (
    CheckpointVerification.status == VerificationJobStatus.FAILED,
    CheckpointVerification.last_error.startswith(_PREFIX),
)
_QUIETLY: Final = {"synchronize_session": False}


class KnownDamage(NamedTuple):
    """What is lost of a checkpoint, and since when that is known."""

    text: str
    found_at: datetime


def is_damaged() -> ColumnElement[bool]:
    """Return the condition of a checkpoint that was found damaged."""
    return exists().where(CheckpointVerification.checkpoint_id == Checkpoint.id, *_FAILED)


async def damages(
    tx: ReadTx | WriteTx, ids: Collection[uuid.UUID] | None = None
) -> dict[uuid.UUID, KnownDamage]:
    """Return what is known to be lost, of all checkpoints or of a page of them."""
    entry = CheckpointVerification
    query = select(entry.checkpoint_id, entry.last_error, entry.queued_at).where(*_FAILED)
    if ids is not None:
        query = query.where(entry.checkpoint_id.in_(ids))
    found = await tx.session.execute(query)
    return {row[0]: KnownDamage(str(row[1]).removeprefix(_PREFIX), row[2]) for row in found}


async def count_damaged(tx: ReadTx) -> int:
    """Return how many checkpoints that were not thinned are damaged."""
    query = (
        select(func.count())
        .select_from(Checkpoint)
        .where(is_damaged(), Checkpoint.pruned_at.is_(None))
    )
    return (await tx.session.scalar(query)) or 0


async def existing(tx: WriteTx, ids: Collection[uuid.UUID]) -> Sequence[uuid.UUID]:
    """Return those ids that are checkpoints which were not thinned."""
    wanted = list(ids)
    found: list[uuid.UUID] = []
    for at in range(0, len(wanted), _AT_ONCE):
        query = select(Checkpoint.id).where(
            Checkpoint.id.in_(wanted[at : at + _AT_ONCE]), Checkpoint.pruned_at.is_(None)
        )
        found += await tx.session.scalars(query)
    return found


async def insert_damages(tx: WriteTx, found: Mapping[uuid.UUID, str], now: datetime) -> None:
    """Insert what was not known to be lost."""
    rows: list[dict[str, Any]] = [
        {
            "id": new_id(),
            "checkpoint_id": one,
            "queued_at": now,
            "status": VerificationJobStatus.FAILED,
            "attempts": 1,
            "finished_at": now,
            "last_error": f"{_PREFIX}{text}",
        }
        for one, text in found.items()
    ]
    if rows:
        await tx.session.execute(insert(CheckpointVerification), rows)


async def update_damage(tx: WriteTx, checkpoint_id: uuid.UUID, text: str) -> None:
    """Say anew what is lost of a checkpoint that is known to be damaged."""
    await tx.session.execute(
        update(CheckpointVerification)
        .where(CheckpointVerification.checkpoint_id == checkpoint_id, *_FAILED)
        .values(last_error=f"{_PREFIX}{text}"),
        execution_options=_QUIETLY,
    )


async def settle_damages(tx: WriteTx, ids: Sequence[uuid.UUID], now: datetime) -> None:
    """Close what was known to be lost of checkpoints that are whole again."""
    for at in range(0, len(ids), _AT_ONCE):
        await tx.session.execute(
            update(CheckpointVerification)
            .where(CheckpointVerification.checkpoint_id.in_(ids[at : at + _AT_ONCE]), *_FAILED)
            .values(status=VerificationJobStatus.DONE, finished_at=now),
            execution_options=_QUIETLY,
        )
