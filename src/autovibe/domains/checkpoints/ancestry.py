"""Who descends from whom, by jump pointers: logarithmic in the depth (decision E10)."""

from __future__ import annotations

import uuid

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints.repository import Node, find_node


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
    node = await find_node(tx, checkpoint_id)
    if target is None or node is None or node.project_id != target.project_id:
        return False
    while node is not None and node.depth > target.depth:
        far = node.jump_checkpoint_id if (node.jump_depth or 0) >= target.depth else None
        node = await find_node(tx, far or node.parent_checkpoint_id)
    return node is not None and node.id == target.id
