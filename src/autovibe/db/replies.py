"""Answers that are kept for repeats of a call with an idempotency key."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select

from autovibe.db.records import IdempotentReply
from autovibe.db.session import ReadTx, WriteTx

KEPT: Final = timedelta(days=1)
"""A repeat after this is a new call."""


async def find_reply(
    tx: ReadTx, actor_id: str, idempotency_key: str, now: datetime
) -> IdempotentReply | None:
    """Return what an actor was answered under a key."""
    query = select(IdempotentReply).where(
        IdempotentReply.actor_id == actor_id,
        IdempotentReply.idempotency_key == idempotency_key,
        IdempotentReply.created_at > now - KEPT,
    )
    return (await tx.session.scalars(query)).one_or_none()


async def keep_reply(tx: WriteTx, reply: IdempotentReply, now: datetime) -> None:
    """Keep an answer in the transaction of what it tells of; old ones go."""
    await tx.session.execute(
        delete(IdempotentReply).where(IdempotentReply.created_at <= now - KEPT)
    )
    tx.session.add(reply)
    await tx.session.flush()  # of two calls at once with one key, the second must fail and look
