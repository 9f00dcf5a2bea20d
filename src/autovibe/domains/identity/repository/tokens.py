"""Queries on tokens."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import or_, select, update

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.identity.models import ApiToken, TokenKind, User


async def find_token(tx: ReadTx, token_id: uuid.UUID) -> ApiToken | None:
    """Return the token with this id."""
    return await tx.session.get(ApiToken, token_id)


async def find_token_by_hash(tx: ReadTx, token_hash: str) -> tuple[ApiToken, User | None] | None:
    """Return the token with this hash, and its user."""
    query = (
        select(ApiToken, User)
        .join(User, User.id == ApiToken.user_id, isouter=True)
        .where(ApiToken.token_hash == token_hash)
    )
    row = (await tx.session.execute(query)).one_or_none()
    return None if row is None else (row[0], row[1])


async def note_use(tx: WriteTx, token_id: uuid.UUID, now: datetime) -> None:
    """Set when a token was last used, in one statement."""
    await tx.session.execute(
        update(ApiToken).where(ApiToken.id == token_id).values(last_used_at=now)
    )


async def use_up(tx: WriteTx, token_id: uuid.UUID, now: datetime) -> bool:
    """Revoke a token that works once; return whether it was this call that did."""
    query = (
        update(ApiToken)
        .where(ApiToken.id == token_id, ApiToken.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(ApiToken.id)
        .execution_options(synchronize_session=False)
    )
    return (await tx.session.execute(query)).one_or_none() is not None


async def revoke_tokens_of(
    tx: WriteTx, user_id: uuid.UUID, kinds: Collection[TokenKind], now: datetime
) -> None:
    """Revoke a user's tokens of some kinds."""
    await tx.session.execute(
        update(ApiToken)
        .where(ApiToken.user_id == user_id, ApiToken.kind.in_(kinds), ApiToken.revoked_at.is_(None))
        .values(revoked_at=now)
    )


async def list_tokens(
    tx: ReadTx,
    *,
    user_id: uuid.UUID | None,
    valid_at: datetime | None,
    after: tuple[datetime, uuid.UUID] | None,
    limit: int,
) -> Sequence[ApiToken]:
    """Return tokens for calls, the newest first, those after the given place.

    Args:
        tx: any.
        user_id: only of this user.
        valid_at: only those that are neither revoked nor expired at this time.
        after: creation time and id of the last one seen.
        limit: how many at most.
    """
    query = (
        select(ApiToken)
        .where(ApiToken.kind.in_((TokenKind.API, TokenKind.SESSION)))
        .order_by(ApiToken.created_at.desc(), ApiToken.id)
        .limit(limit)
    )
    if user_id is not None:
        query = query.where(ApiToken.user_id == user_id)
    if valid_at is not None:
        unexpired = or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > valid_at)
        query = query.where(ApiToken.revoked_at.is_(None), unexpired)
    if after is not None:
        time, last_id = after
        query = query.where(
            or_(
                ApiToken.created_at < time,
                (ApiToken.created_at == time) & (ApiToken.id > last_id),
            )
        )
    return (await tx.session.scalars(query)).all()
