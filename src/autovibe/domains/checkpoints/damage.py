"""What the store lost of checkpoints: noted beside their rows, which never change (decision E1)."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from autovibe.db import WriteTx
from autovibe.domains.checkpoints.repository.damage import (
    damages,
    existing,
    insert_damages,
    settle_damages,
    update_damage,
)
from autovibe.kernel.context import CallContext
from autovibe.kernel.text import utf8

DAMAGED_TOPIC: Final = "checkpoints.damaged"
_SHOWN_PATHS: Final = 5
_LONGEST: Final = 900


def describe_damage(number: int, paths: Sequence[str]) -> str:
    """Say in one line which paths of a checkpoint are lost; a path "" is all of it."""
    if "" in paths:
        return "nothing of it can be read"
    shown = ", ".join(utf8(path) for path in paths[:_SHOWN_PATHS])
    more = number - len(paths[:_SHOWN_PATHS])
    return f"{shown} and {more} more cannot be read" if more > 0 else f"{shown} cannot be read"


async def note_damages(
    tx: WriteTx, ctx: CallContext, found: Mapping[uuid.UUID, str]
) -> Sequence[uuid.UUID]:
    """Note what is lost of checkpoints, and tell of each that was not known to be damaged.

    Returns:
        Those of `found` that are checkpoints.
    """
    now = ctx.clock.now()
    known = await damages(tx)
    there = await existing(tx, found.keys())
    new = {one: found[one][:_LONGEST] for one in there if one not in known}
    await insert_damages(tx, new, now)
    for one in there:
        if one in known and known[one].text != found[one][:_LONGEST]:
            await update_damage(tx, one, found[one][:_LONGEST])
        tx.stale("checkpoints", one)
    for one, text in new.items():
        tx.emit(DAMAGED_TOPIC, {"checkpoint_id": str(one), "damage": text})
    return there


async def note_whole(tx: WriteTx, ctx: CallContext, ids: Collection[uuid.UUID]) -> int:
    """Note that checkpoints are whole; return how many of them had been damaged."""
    if not ids:
        return 0
    repaired = [one for one in await damages(tx) if one in ids]
    await settle_damages(tx, repaired, ctx.clock.now())
    for one in repaired:
        tx.stale("checkpoints", one)
    return len(repaired)
