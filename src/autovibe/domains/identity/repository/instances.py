"""Queries on instances."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, or_, select, update

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.identity.models import Instance


async def find_instance(tx: ReadTx | WriteTx, instance_id: uuid.UUID) -> Instance | None:
    """Return the instance with this id."""
    return await tx.session.get(Instance, instance_id)


async def beat(tx: WriteTx, instance_id: uuid.UUID, now: datetime) -> Instance | None:
    """Set the time of an instance's last heartbeat in one statement, and return the instance."""
    found = await tx.session.scalars(
        update(Instance)
        .where(Instance.id == instance_id)
        .values(heartbeat_at=now)
        .returning(Instance)
    )
    return found.one_or_none()


async def remove_instance(tx: WriteTx, instance_id: uuid.UUID) -> None:
    """Delete an instance; nothing happens when there is none."""
    await tx.session.execute(delete(Instance).where(Instance.id == instance_id))


async def list_instances(
    tx: ReadTx | WriteTx, after: tuple[datetime, uuid.UUID] | None, limit: int
) -> Sequence[Instance]:
    """Return instances, the oldest first, those after the given place."""
    query = select(Instance).order_by(Instance.started_at, Instance.id).limit(limit)
    if after is not None:
        time, last_id = after
        query = query.where(
            or_(Instance.started_at > time, (Instance.started_at == time) & (Instance.id > last_id))
        )
    return (await tx.session.scalars(query)).all()
