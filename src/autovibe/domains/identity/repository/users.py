"""Queries on users."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select

from autovibe.db import ReadTx, WriteTx
from autovibe.db.ordering import in_order
from autovibe.domains.identity.models import User, UserRole


async def find_user(tx: ReadTx, user_id: uuid.UUID) -> User | None:
    """Return the user with this id; a deleted one is none."""
    return (await tx.session.scalars(_users().where(User.id == user_id))).one_or_none()


async def find_user_by_name(tx: ReadTx, username: str) -> User | None:
    """Return the user with this name, a deleted one too: its name stays taken."""
    return (await tx.session.scalars(select(User).where(User.username == username))).one_or_none()


async def find_user_by_email(tx: ReadTx, email: str) -> User | None:
    """Return the user with this e-mail address, a deleted one too."""
    return (await tx.session.scalars(select(User).where(User.email == email))).one_or_none()


async def lock_user(tx: WriteTx, user: User) -> None:
    """Lock a user that was read before, and read it again as it is now."""
    await tx.session.refresh(user, with_for_update=True)


async def list_users(
    tx: ReadTx,
    *,
    role: str,
    is_active: bool | None,
    order_by: str,
    after: tuple[Any, uuid.UUID] | None,
    limit: int,
) -> Sequence[User]:
    """Return users in an order, those after the given place.

    Args:
        tx: any.
        role: only with this one; "" with any.
        is_active: only these; None gives both.
        order_by: a column, with a dash in front to turn the order round.
        after: value of the column and id of the last one seen.
        limit: how many at most.
    """
    descending = order_by.startswith("-")
    column = getattr(User, order_by.removeprefix("-"))
    query = in_order(_users(), column, User.id, descending=descending, after=after).limit(limit)
    if role:
        query = query.where(User.role == role)
    if is_active is not None:
        query = query.where(User.is_active.is_(is_active))
    return (await tx.session.scalars(query)).all()


async def lock_active_admins(tx: WriteTx) -> Sequence[uuid.UUID]:
    """Return the ids of those who may give roles, locked: two may not go at the same time."""
    query = _users().where(User.role == UserRole.ADMIN, User.is_active.is_(True)).order_by(User.id)
    locked = tx.dialect.for_update(query, User)
    return [user.id for user in await tx.session.scalars(locked)]


async def count_active_admins(tx: ReadTx) -> int:
    """Return how many people there are who may give roles."""
    query = (
        select(func.count())
        .select_from(User)
        .where(
            User.role == UserRole.ADMIN,
            User.is_active.is_(True),
            User.is_service_account.is_(False),
            User.deleted_at.is_(None),
        )
    )
    return (await tx.session.scalar(query)) or 0


def _users() -> Select[User]:
    return select(User).where(User.deleted_at.is_(None))
