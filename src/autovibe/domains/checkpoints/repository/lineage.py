"""Who comes from whom: ancestors, descendants, and where two checkpoints part (decision E10).

Single far steps follow jump pointers, logarithmic in the depth; whole lines and subtrees are
recursive queries over ids, pointers and dates, never over the manifests, which are 10 times the
rest of a row.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Select, case, literal, select
from sqlalchemy.orm import aliased

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints.models import Checkpoint
from autovibe.domains.checkpoints.repository.rows import TREE_COLUMNS, TreeRow

_LIMIT: Final = 10_000


async def ancestors(
    tx: ReadTx | WriteTx, checkpoint_id: uuid.UUID, *, limit: int = _LIMIT
) -> Sequence[TreeRow]:
    """Return a checkpoint and those it comes from, the nearest first, at most `limit`."""
    line = (
        select(*TREE_COLUMNS, literal(1).label("step"))
        .where(Checkpoint.id == checkpoint_id)
        .cte("line", recursive=True)
    )
    line = line.union_all(
        select(*TREE_COLUMNS, line.c.step + 1).where(
            Checkpoint.id == line.c.parent_checkpoint_id, line.c.step < limit
        )
    )
    return await _rows(tx, select(*_columns(line)).order_by(line.c.depth.desc()))


async def descendants(
    tx: ReadTx | WriteTx, checkpoint_id: uuid.UUID, *, limit: int = _LIMIT
) -> Sequence[TreeRow]:
    """Return a checkpoint and those that come from it, parents before children, at most `limit`."""
    tree = select(*TREE_COLUMNS).where(Checkpoint.id == checkpoint_id).cte("tree", recursive=True)
    tree = tree.union_all(select(*TREE_COLUMNS).where(Checkpoint.parent_checkpoint_id == tree.c.id))
    query = select(*_columns(tree)).order_by(tree.c.depth, tree.c.created_at, tree.c.id)
    return await _rows(tx, query.limit(limit))


async def evolution(
    tx: ReadTx | WriteTx, project_id: uuid.UUID, *, limit: int = _LIMIT
) -> Sequence[TreeRow]:
    """Return the forest of a project from its roots, by depth and time, at most `limit`.

    Source: 000-autovibe-orm-and-data-architecture, "checkpoint evolution tree".
    """
    tree = (
        select(*TREE_COLUMNS)
        .where(Checkpoint.project_id == project_id, Checkpoint.parent_checkpoint_id.is_(None))
        .cte("tree", recursive=True)
    )
    tree = tree.union_all(select(*TREE_COLUMNS).where(Checkpoint.parent_checkpoint_id == tree.c.id))
    query = select(*_columns(tree)).order_by(tree.c.depth, tree.c.created_at, tree.c.id)
    return await _rows(tx, query.limit(limit))


async def ancestor_at(
    tx: ReadTx | WriteTx, checkpoint_id: uuid.UUID, depth: int
) -> uuid.UUID | None:
    """Return the ancestor of a checkpoint, or itself, at a depth; `None` if it is above that.

    One query: each step goes to the far ancestor unless that is above the depth.
    """
    climb = select(*_pointers()).where(Checkpoint.id == checkpoint_id).cte("climb", recursive=True)
    near_or_far = case(
        (climb.c.jump_depth >= depth, climb.c.jump_checkpoint_id),
        else_=climb.c.parent_checkpoint_id,
    )
    climb = climb.union_all(
        select(*_pointers()).where(Checkpoint.id == near_or_far, climb.c.depth > depth)
    )
    return await tx.session.scalar(select(climb.c.id).where(climb.c.depth == depth))


async def common_ancestor(
    tx: ReadTx | WriteTx, one_id: uuid.UUID, other_id: uuid.UUID
) -> uuid.UUID | None:
    """Return the deepest checkpoint that both come from; `None` when they share none.

    First the deeper one is brought to the other's depth; from there both jump as long as they
    land on different checkpoints, which have the same depth and so the same jump depth.
    """
    query = select(Checkpoint.id, Checkpoint.depth).where(Checkpoint.id.in_((one_id, other_id)))
    depths = {row.id: row.depth for row in await tx.session.execute(query)}
    if len(depths) < len({one_id, other_id}):
        return None
    depth = min(depths.values())
    left = one_id if depths[one_id] == depth else await ancestor_at(tx, one_id, depth)
    right = other_id if depths[other_id] == depth else await ancestor_at(tx, other_id, depth)
    if left == right:
        return left
    return await tx.session.scalar(_meeting(left, right))


async def path_between(
    tx: ReadTx | WriteTx, one_id: uuid.UUID, other_id: uuid.UUID, meeting: uuid.UUID
) -> Sequence[TreeRow]:
    """Return the way from one checkpoint up to the common ancestor `meeting`, then down to another.

    Both ends are in it.
    """
    up, down = [await _up_to(tx, end, meeting) for end in (one_id, other_id)]
    return [*up, *reversed(down[:-1])]


async def _up_to(
    tx: ReadTx | WriteTx, checkpoint_id: uuid.UUID, ancestor_id: uuid.UUID
) -> Sequence[TreeRow]:
    """Return a checkpoint and those above it up to an ancestor, which comes last."""
    line = select(*TREE_COLUMNS).where(Checkpoint.id == checkpoint_id).cte("line", recursive=True)
    line = line.union_all(
        select(*TREE_COLUMNS).where(
            Checkpoint.id == line.c.parent_checkpoint_id, line.c.id != ancestor_id
        )
    )
    return await _rows(tx, select(*_columns(line)).order_by(line.c.depth.desc()))


def _meeting(left: uuid.UUID | None, right: uuid.UUID | None) -> Select[uuid.UUID]:
    """Return the query for where two checkpoints of one depth, and different, come together."""
    one, other = aliased(Checkpoint), aliased(Checkpoint)
    pair = (
        select(
            one.id.label("left_id"),
            other.id.label("right_id"),
            one.parent_checkpoint_id.label("left_parent"),
            other.parent_checkpoint_id.label("right_parent"),
            one.jump_checkpoint_id.label("left_jump"),
            other.jump_checkpoint_id.label("right_jump"),
        )
        .where(one.id == left, other.id == right, one.project_id == other.project_id)
        .cte("pair", recursive=True)
    )
    apart = pair.c.left_jump != pair.c.right_jump
    pair = pair.union_all(
        select(
            one.id,
            other.id,
            one.parent_checkpoint_id,
            other.parent_checkpoint_id,
            one.jump_checkpoint_id,
            other.jump_checkpoint_id,
        ).where(
            pair.c.left_id != pair.c.right_id,
            # Two roots of one project jump to themselves for ever.
            pair.c.left_parent.is_not(None),
            one.id == case((apart, pair.c.left_jump), else_=pair.c.left_parent),
            other.id == case((apart, pair.c.right_jump), else_=pair.c.right_parent),
        )
    )
    return select(pair.c.left_id).where(pair.c.left_id == pair.c.right_id)


def _pointers() -> tuple[Any, ...]:
    return (
        Checkpoint.id,
        Checkpoint.parent_checkpoint_id,
        Checkpoint.depth,
        Checkpoint.jump_checkpoint_id,
        Checkpoint.jump_depth,
    )


def _columns(found: Any) -> list[Any]:
    return [found.c[column.key] for column in TREE_COLUMNS]


async def _rows(tx: ReadTx | WriteTx, query: Select[*tuple[Any, ...]]) -> Sequence[TreeRow]:
    return [TreeRow(*row) for row in await tx.session.execute(query)]
