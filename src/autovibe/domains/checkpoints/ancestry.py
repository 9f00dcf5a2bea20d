"""Who descends from whom, by jump pointers: logarithmic in the depth (decision E10)."""

from __future__ import annotations

import uuid

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints.repository import Node, ancestor_at, find_node


async def far_ancestor(tx: ReadTx | WriteTx, parent: Node) -> Node:
    """Choose the ancestor that a child of `parent` points to (skew-binary jump pointers)."""
    first = await find_node(tx, parent.jump_checkpoint_id) or parent
    second = await find_node(tx, first.jump_checkpoint_id) or first
    return second if parent.depth - first.depth == first.depth - second.depth else parent


async def descends_from(
    tx: ReadTx | WriteTx, checkpoint_id: uuid.UUID, ancestor_id: uuid.UUID
) -> bool:
    """Return whether a checkpoint is `ancestor_id` or comes after it."""
    target = await find_node(tx, ancestor_id)
    if target is None:
        return False
    return await ancestor_at(tx, checkpoint_id, target.depth) == ancestor_id
