"""Who comes from whom: ancestors, descendants, and where two checkpoints part (decision E10).

Single far steps follow jump pointers, logarithmic in the depth; whole lines and subtrees are
recursive queries over ids, pointers and dates, never over the manifests, which are 10 times the
rest of a row.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final, cast

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Select,
    Table,
    Uuid,
    bindparam,
    case,
    literal,
    or_,
    select,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints.models import Checkpoint
from autovibe.domains.checkpoints.repository.rows import TREE_COLUMNS, TreeRow

_LIMIT: Final = 10_000
# Making these statements takes several times as long as running them, so they are made once.
_START: Final = bindparam("start", type_=Uuid())
_END: Final = bindparam("end", type_=Uuid())
_NUMBER: Final = bindparam("number", type_=Integer())


async def ancestors(
    tx: ReadTx | WriteTx, checkpoint_id: uuid.UUID, *, limit: int = _LIMIT
) -> Sequence[TreeRow]:
    """Return a checkpoint and those it comes from, the nearest first, at most `limit`."""
    return await _rows(tx, _ANCESTORS, start=checkpoint_id, number=limit)


async def descendants(
    tx: ReadTx | WriteTx, checkpoint_id: uuid.UUID, *, limit: int = _LIMIT
) -> Sequence[TreeRow]:
    """Return a checkpoint and those that come from it, parents before children, at most `limit`."""
    return await _rows(tx, _DESCENDANTS, start=checkpoint_id, number=limit)


async def evolution(
    tx: ReadTx | WriteTx, project_id: uuid.UUID, *, limit: int = _LIMIT
) -> Sequence[TreeRow]:
    """Return the forest of a project from its roots, by depth and time, at most `limit`.

    Source: 000-autovibe-orm-and-data-architecture, "checkpoint evolution tree".
    """
    return await _rows(tx, _EVOLUTION, start=project_id, number=limit)


async def ancestor_at(
    tx: ReadTx | WriteTx, checkpoint_id: uuid.UUID, depth: int
) -> uuid.UUID | None:
    """Return the ancestor of a checkpoint, or itself, at a depth; `None` if it is above that.

    One query: each step goes to the far ancestor unless that is above the depth.
    """
    return await tx.session.scalar(_ANCESTOR_AT, {"start": checkpoint_id, "number": depth})


async def common_ancestor(
    tx: ReadTx | WriteTx, one_id: uuid.UUID, other_id: uuid.UUID
) -> uuid.UUID | None:
    """Return the deepest checkpoint that both come from; `None` when they share none.

    One query. The deeper of the two climbs to the depth of the other; from there both jump as long
    as they land on different checkpoints, which have the same depth and so the same jump depth.
    """
    return await tx.session.scalar(_MEETING, {"start": one_id, "end": other_id})


async def path_between(
    tx: ReadTx | WriteTx, one_id: uuid.UUID, other_id: uuid.UUID, meeting: uuid.UUID
) -> Sequence[TreeRow]:
    """Return the way from one checkpoint up to the common ancestor `meeting`, then down to another.

    Both ends are in it.
    """
    up, down = [await _rows(tx, _UP_TO, start=end, end=meeting) for end in (one_id, other_id)]
    return [*up, *reversed(down[:-1])]


async def _rows(
    tx: ReadTx | WriteTx, query: Select[*tuple[Any, ...]], **values: object
) -> Sequence[TreeRow]:
    return [TreeRow(*row) for row in await tx.session.execute(query, values)]


def _ancestors() -> Select[*tuple[Any, ...]]:
    line = (
        select(*TREE_COLUMNS, literal(1).label("step"))
        .where(Checkpoint.id == _START)
        .cte("line", recursive=True)
    )
    line = line.union_all(
        select(*TREE_COLUMNS, line.c.step + 1).where(
            Checkpoint.id == line.c.parent_checkpoint_id, line.c.step < _NUMBER
        )
    )
    return select(*_columns(line)).order_by(line.c.depth.desc())


def _up_to() -> Select[*tuple[Any, ...]]:
    line = select(*TREE_COLUMNS).where(Checkpoint.id == _START).cte("line", recursive=True)
    line = line.union_all(
        select(*TREE_COLUMNS).where(Checkpoint.id == line.c.parent_checkpoint_id, line.c.id != _END)
    )
    return select(*_columns(line)).order_by(line.c.depth.desc())


def _below(*roots: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    tree = select(*TREE_COLUMNS).where(*roots).cte("tree", recursive=True)
    tree = tree.union_all(select(*TREE_COLUMNS).where(Checkpoint.parent_checkpoint_id == tree.c.id))
    ordered = select(*_columns(tree)).order_by(tree.c.depth, tree.c.created_at, tree.c.id)
    return ordered.limit(_NUMBER)


def _ancestor_at() -> Select[uuid.UUID]:
    pointers = (
        Checkpoint.id,
        Checkpoint.parent_checkpoint_id,
        Checkpoint.depth,
        Checkpoint.jump_checkpoint_id,
        Checkpoint.jump_depth,
    )
    climb = select(*pointers).where(Checkpoint.id == _START).cte("climb", recursive=True)
    near_or_far = case(
        (climb.c.jump_depth >= _NUMBER, climb.c.jump_checkpoint_id),
        else_=climb.c.parent_checkpoint_id,
    )
    climb = climb.union_all(
        select(*pointers).where(Checkpoint.id == near_or_far, climb.c.depth > _NUMBER)
    )
    return select(climb.c.id).where(climb.c.depth == _NUMBER)


def _meeting() -> Select[uuid.UUID]:
    # Of the table: an alias of the model would need every model to be loaded at import.
    table = cast("Table", Checkpoint.__table__)
    one, other = table.alias(), table.alias()
    columns = (*_side("left", one.c), *_side("right", other.c))
    pair = (
        select(*columns)
        .where(one.c.id == _START, other.c.id == _END, one.c.project_id == other.c.project_id)
        .cte("pair", recursive=True)
    )
    step = pair.union_all(
        select(*columns).where(
            pair.c.left_id != pair.c.right_id,
            # Two roots of one project jump to themselves for ever.
            or_(pair.c.left_depth > 0, pair.c.right_depth > 0),
            one.c.id == _next(pair, "left", "right"),
            other.c.id == _next(pair, "right", "left"),
        )
    )
    return select(step.c.left_id).where(step.c.left_id == step.c.right_id)


def _side(side: str, checkpoint: ReadOnlyColumnCollection[str, Any]) -> tuple[Any, ...]:
    return (
        checkpoint.id.label(f"{side}_id"),
        checkpoint.parent_checkpoint_id.label(f"{side}_parent"),
        checkpoint.depth.label(f"{side}_depth"),
        checkpoint.jump_checkpoint_id.label(f"{side}_jump"),
        checkpoint.jump_depth.label(f"{side}_jump_depth"),
    )


def _next(pair: CTE, side: str, other: str) -> ColumnElement[Any]:
    """Return where one of a pair goes next."""
    own = {name: pair.c[f"{side}_{name}"] for name in ("id", "parent", "depth", "jump")}
    depth, jump = pair.c[f"{other}_depth"], pair.c[f"{other}_jump"]
    far = case(
        (own["depth"] == depth, own["jump"] != jump),
        else_=pair.c[f"{side}_jump_depth"] >= depth,
    )
    return case((own["depth"] < depth, own["id"]), (far, own["jump"]), else_=own["parent"])


def _columns(found: CTE) -> list[ColumnElement[Any]]:
    return [found.c[column.key] for column in TREE_COLUMNS]


_ANCESTORS: Final = _ancestors()
_UP_TO: Final = _up_to()
_DESCENDANTS: Final = _below(Checkpoint.id == _START)
_EVOLUTION: Final = _below(
    Checkpoint.project_id == _START, Checkpoint.parent_checkpoint_id.is_(None)
)
_ANCESTOR_AT: Final = _ancestor_at()
_MEETING: Final = _meeting()
