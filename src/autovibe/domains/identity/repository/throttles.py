"""Queries on failed logins."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, func, select

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.identity.models import LoginThrottle


async def blocked_until(tx: ReadTx, keys: Collection[str], now: datetime) -> datetime | None:
    """Return until when one of some keys is blocked; None when none is."""
    query = select(func.max(LoginThrottle.blocked_until)).where(
        LoginThrottle.throttle_key.in_(keys), LoginThrottle.blocked_until > now
    )
    return await tx.session.scalar(query)


async def lock_throttle(tx: WriteTx, key: str, now: datetime) -> LoginThrottle:
    """Return the row of a key, made if it was not there, locked: failures are counted in turn."""
    row = {"throttle_key": key, "failures": 0, "last_failed_at": now}
    await tx.dialect.insert_or_ignore(tx.session, LoginThrottle, [row])
    query = select(LoginThrottle).where(LoginThrottle.throttle_key == key)
    locked = tx.dialect.for_update(query, LoginThrottle).execution_options(populate_existing=True)
    return (await tx.session.scalars(locked)).one()


async def forget_failures(tx: WriteTx, key: str) -> None:
    """Forget the failures of a key."""
    await tx.session.execute(delete(LoginThrottle).where(LoginThrottle.throttle_key == key))


async def forget_old_failures(tx: WriteTx, before: datetime) -> None:
    """Forget keys whose last failure was before a time."""
    await tx.session.execute(delete(LoginThrottle).where(LoginThrottle.last_failed_at < before))
