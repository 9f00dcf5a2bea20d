"""Queries on who belongs to which project."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import delete, select

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.identity.models import ProjectMember, User


async def find_member(
    tx: ReadTx, project_id: uuid.UUID, user_id: uuid.UUID
) -> ProjectMember | None:
    """Return the membership of a user in a project."""
    query = select(ProjectMember).where(
        ProjectMember.project_id == project_id, ProjectMember.user_id == user_id
    )
    return (await tx.session.scalars(query)).one_or_none()


async def list_members(
    tx: ReadTx, project_id: uuid.UUID, after_name: str | None, limit: int | None
) -> Sequence[tuple[ProjectMember, str]]:
    """Return the members of a project with their names, by name; no limit gives all."""
    query = (
        select(ProjectMember, User.username)
        .join(User, User.id == ProjectMember.user_id)
        .where(ProjectMember.project_id == project_id)
        .order_by(User.username)
        .limit(limit)
    )
    if after_name is not None:
        query = query.where(User.username > after_name)
    return [(member, name) for member, name in await tx.session.execute(query)]


async def remove_member(tx: WriteTx, member: ProjectMember) -> None:
    """Take a user out of a project."""
    await tx.session.delete(member)


async def remove_memberships(tx: WriteTx, user_id: uuid.UUID) -> None:
    """Take a user out of every project."""
    await tx.session.execute(delete(ProjectMember).where(ProjectMember.user_id == user_id))
