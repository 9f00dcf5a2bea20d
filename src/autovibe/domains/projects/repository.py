"""Queries on projects."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, update

from autovibe.db import ReadTx, WriteTx
from autovibe.db.ordering import in_order
from autovibe.db.visibility import UNLIMITED
from autovibe.domains.projects.models import Project


async def find_by_id(
    tx: ReadTx | WriteTx, project_id: uuid.UUID, *, lock: bool = False
) -> Project | None:
    """Return the project with this id, locked and as it is now if wanted."""
    return await tx.session.get(
        Project, project_id, with_for_update=True if lock else None, populate_existing=lock
    )


async def find_by_name(tx: ReadTx | WriteTx, name: str) -> Project | None:
    """Return the project with this name."""
    found = await tx.session.scalars(select(Project).where(Project.name == name))
    return found.one_or_none()


async def find_by_repo_path(tx: ReadTx | WriteTx, repo_path: str) -> Project | None:
    """Return the oldest active project of this directory."""
    found = await tx.session.scalars(
        select(Project)
        .where(Project.metadata_["repo_path"].as_string() == repo_path)
        .where(Project.status == "active")
        .order_by(Project.created_at, Project.id)
        .limit(1)
    )
    return found.one_or_none()


async def names_like(tx: ReadTx | WriteTx, stem: str) -> set[str]:
    """Return the names in use that begin with `stem`, of whomever: no two have the same."""
    found = await tx.session.scalars(
        select(Project.name).where(Project.name.startswith(stem, autoescape=True)),
        execution_options={UNLIMITED: "names are taken by everybody's projects"},
    )
    return set(found)


async def list_page(
    tx: ReadTx | WriteTx,
    *,
    status: str,
    order_by: str,
    after: tuple[Any, uuid.UUID] | None,
    limit: int,
) -> Sequence[Project]:
    """Return projects in an order, those after the given place.

    Args:
        tx: any.
        status: only those in it; "" in any.
        order_by: a column, with a dash in front to turn the order round.
        after: value in this order and id of the last one seen.
        limit: how many at most.
    """
    query = in_order(
        select(Project).limit(limit),
        getattr(Project, order_by.removeprefix("-")),
        Project.id,
        descending=order_by.startswith("-"),
        after=after,
    )
    if status:
        query = query.where(Project.status == status)
    return (await tx.session.scalars(query)).all()


async def set_current_checkpoint(
    tx: WriteTx, project_id: uuid.UUID, expected: uuid.UUID | None, checkpoint_id: uuid.UUID
) -> bool:
    """Move the current checkpoint if it is still `expected`; return whether it was moved."""
    current = Project.current_checkpoint_id
    unchanged = current.is_(None) if expected is None else current == expected
    result = await tx.session.execute(
        update(Project)
        .where(Project.id == project_id, unchanged)
        .values(current_checkpoint_id=checkpoint_id)
        .returning(Project.id)
        .execution_options(synchronize_session="fetch")
    )
    return result.one_or_none() is not None
