"""Who descends from whom, by jump pointers: logarithmic in the depth (decision E10)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import select

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints.models import Checkpoint


@dataclass(frozen=True)
class _Node:
    """The few columns that a climb needs; the manifest stays where it is."""

    id: uuid.UUID
    project_id: uuid.UUID
    parent_checkpoint_id: uuid.UUID | None
    depth: int
    jump_checkpoint_id: uuid.UUID | None
    jump_depth: int | None


async def descends_from(
    tx: ReadTx | WriteTx, checkpoint_id: uuid.UUID, ancestor_id: uuid.UUID
) -> bool:
    """Return whether a checkpoint is `ancestor_id` or comes after it."""
    target = await _node(tx, ancestor_id)
    node = await _node(tx, checkpoint_id)
    if target is None or node is None or node.project_id != target.project_id:
        return False
    while node is not None and node.depth > target.depth:
        far = node.jump_checkpoint_id if (node.jump_depth or 0) >= target.depth else None
        node = await _node(tx, far or node.parent_checkpoint_id)
    return node is not None and node.id == target.id


async def _node(tx: ReadTx | WriteTx, checkpoint_id: uuid.UUID | None) -> _Node | None:
    if checkpoint_id is None:
        return None
    columns = (
        Checkpoint.id,
        Checkpoint.project_id,
        Checkpoint.parent_checkpoint_id,
        Checkpoint.depth,
        Checkpoint.jump_checkpoint_id,
        Checkpoint.jump_depth,
    )
    row = (await tx.session.execute(select(*columns).where(columns[0] == checkpoint_id))).first()
    return None if row is None else _Node(*row)
