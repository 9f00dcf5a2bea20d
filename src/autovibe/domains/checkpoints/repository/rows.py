"""Queries on single checkpoints and pages of them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import String, func, or_, select, type_coerce

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints.models import Checkpoint, VerificationStatus
from autovibe.domains.checkpoints.repository.damage import is_damaged


@dataclass(frozen=True)
class Node:
    """The few columns that a climb through the tree needs; the manifest stays where it is."""

    id: uuid.UUID
    project_id: uuid.UUID
    parent_checkpoint_id: uuid.UUID | None
    depth: int
    jump_checkpoint_id: uuid.UUID | None
    jump_depth: int | None
    verification_status: VerificationStatus


async def find_between(
    tx: ReadTx | WriteTx, low: uuid.UUID, high: uuid.UUID
) -> Sequence[Checkpoint]:
    """Return at most two checkpoints whose ids lie in a range."""
    query = select(Checkpoint).where(Checkpoint.id.between(low, high)).limit(2)
    return (await tx.session.scalars(query)).all()


async def find_newest_with_root(
    tx: ReadTx | WriteTx, project_id: uuid.UUID, manifest_root: str
) -> Checkpoint | None:
    """Return the newest verified checkpoint of a project that has this very tree."""
    query = (
        select(Checkpoint)
        .where(
            Checkpoint.project_id == project_id,
            Checkpoint.manifest_root == manifest_root,
            Checkpoint.verification_status == "verified",
            Checkpoint.pruned_at.is_(None),
        )
        .order_by(Checkpoint.created_at.desc(), Checkpoint.id)
        .limit(1)
    )
    return (await tx.session.scalars(query)).one_or_none()


async def latest_verified(tx: ReadTx | WriteTx, project_id: uuid.UUID) -> Checkpoint | None:
    """Return the newest verified checkpoint of a project whose files are still there."""
    query = (
        select(Checkpoint)
        .where(
            Checkpoint.project_id == project_id,
            Checkpoint.verification_status == "verified",
            Checkpoint.pruned_at.is_(None),
            ~is_damaged(),
        )
        .order_by(Checkpoint.created_at.desc(), Checkpoint.id)
        .limit(1)
    )
    return (await tx.session.scalars(query)).one_or_none()


async def list_page(
    tx: ReadTx | WriteTx,
    *,
    project_id: uuid.UUID | None,
    machine_ids: Sequence[uuid.UUID],
    after: tuple[datetime, uuid.UUID] | None,
    limit: int,
) -> Sequence[Checkpoint]:
    """Return checkpoints, the newest first, those after the given place."""
    query = select(Checkpoint).order_by(Checkpoint.created_at.desc(), Checkpoint.id).limit(limit)
    if project_id is not None:
        query = query.where(Checkpoint.project_id == project_id)
    if machine_ids:
        query = query.where(Checkpoint.creating_machine_id.in_(machine_ids))
    if after is not None:
        time, last_id = after
        query = query.where(
            or_(
                Checkpoint.created_at < time,
                (Checkpoint.created_at == time) & (Checkpoint.id > last_id),
            )
        )
    return (await tx.session.scalars(query)).all()


class TreeRow(NamedTuple):
    """What is shown of one checkpoint in a tree."""

    id: uuid.UUID
    parent_checkpoint_id: uuid.UUID | None
    checkpoint_type: str
    depth: int
    creating_machine_id: uuid.UUID | None
    verification_status: str
    created_at: datetime
    pruned_at: datetime | None


TREE_COLUMNS: Final = (
    Checkpoint.id,
    Checkpoint.parent_checkpoint_id,
    # As plain text: making members of it for a thousand rows takes longer than the query.
    type_coerce(Checkpoint.checkpoint_type, String).label("checkpoint_type"),
    Checkpoint.depth,
    Checkpoint.creating_machine_id,
    type_coerce(Checkpoint.verification_status, String).label("verification_status"),
    Checkpoint.created_at,
    Checkpoint.pruned_at,
)
"""The columns of a `TreeRow`, in its order."""


async def tree_of(tx: ReadTx | WriteTx, project_id: uuid.UUID, limit: int) -> Sequence[TreeRow]:
    """Return the checkpoints of a project, parents before children, without their manifests."""
    query = (
        select(*TREE_COLUMNS)
        .where(Checkpoint.project_id == project_id)
        .order_by(Checkpoint.depth, Checkpoint.created_at, Checkpoint.id)
        .limit(limit)
    )
    return [TreeRow(*row) for row in await tx.session.execute(query)]


async def count_of_machines(tx: ReadTx | WriteTx, machine_ids: Sequence[uuid.UUID]) -> int:
    """Return how many checkpoints these machines have made."""
    query = select(func.count()).where(Checkpoint.creating_machine_id.in_(machine_ids))
    return (await tx.session.scalar(query)) or 0


async def find_node(tx: ReadTx | WriteTx, checkpoint_id: uuid.UUID | None) -> Node | None:
    """Return the place of a checkpoint in its tree; a root's jump to itself counts as none."""
    if checkpoint_id is None:
        return None
    query = select(
        Checkpoint.id,
        Checkpoint.project_id,
        Checkpoint.parent_checkpoint_id,
        Checkpoint.depth,
        Checkpoint.jump_checkpoint_id,
        Checkpoint.jump_depth,
        Checkpoint.verification_status,
    ).where(Checkpoint.id == checkpoint_id)
    row = (await tx.session.execute(query)).one_or_none()
    if row is None:
        return None
    jump_id = None if row.jump_checkpoint_id == row.id else row.jump_checkpoint_id
    return Node(
        row.id,
        row.project_id,
        row.parent_checkpoint_id,
        row.depth,
        jump_id,
        row.jump_depth,
        row.verification_status,
    )
