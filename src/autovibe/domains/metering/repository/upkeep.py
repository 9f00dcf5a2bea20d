"""Queries of scheduled jobs on usage."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import date, datetime
from typing import Final, NamedTuple, cast

from sqlalchemy import ColumnElement, Table, Uuid, column, delete, func, insert, select, table, text

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.metering.models import ResourceType, ResourceUsage

_USAGE: Final = cast("Table", ResourceUsage.__table__)
_PROJECTS: Final = table("projects", column("id", Uuid()))
# The log of jobs is the audit domain's, which is above this one.
_LOG: Final = table(
    "maintenance_log", column("id", Uuid()), column("operation"), column("affected_rows")
)


class NewestSample(NamedTuple):
    """When a project was sampled last, and what was left for the next sample."""

    recorded_at: datetime
    carried: str


async def newest_samples(
    tx: ReadTx, project_ids: Collection[uuid.UUID], subtype: str
) -> dict[uuid.UUID, NewestSample]:
    """Return the newest sample of storage of each project that has one.

    Each is looked for from the project's newest row on, over no more than one period of sampling.
    """
    newest = {
        name: (
            select(value)
            .where(
                ResourceUsage.project_id == _PROJECTS.c.id,
                ResourceUsage.resource_type == "storage",
                ResourceUsage.resource_subtype == subtype,
            )
            .order_by(ResourceUsage.recorded_at.desc())
            .limit(1)
            .scalar_subquery()
            .label(name)
        )
        for name, value in (
            ("recorded_at", ResourceUsage.recorded_at),
            ("carried", ResourceUsage.metadata_["carried"].as_string()),
        )
    }
    query = select(_PROJECTS.c.id, *newest.values()).where(_PROJECTS.c.id.in_(project_ids))
    return {
        row.id: NewestSample(row.recorded_at, row.carried or "")
        for row in await tx.session.execute(query)
        if row.recorded_at is not None
    }


async def count_usage(tx: ReadTx, before: datetime) -> int:
    """Return how many rows are older than a time."""
    return (await tx.session.scalar(select(func.count()).where(*_older(before)))) or 0


def _older(before: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of a row that is older; naming every resource, an index finds it."""
    return _USAGE.c.resource_type.in_(list(ResourceType)), _USAGE.c.recorded_at < before


async def delete_usage(tx: WriteTx, before: datetime, limit: int) -> int:
    """Delete some rows that are older than a time; return how many.

    A row of the log tells of each time, as the function of PostgreSQL that does this writes it.
    """
    query = select(_USAGE.c.id).where(*_older(before)).limit(limit)
    ids = list(await tx.session.scalars(query))
    if ids:
        await tx.session.execute(
            delete(_USAGE).where(_USAGE.c.id.in_(ids), _USAGE.c.recorded_at < before)
        )
    await tx.session.execute(
        insert(_LOG).values(
            id=uuid.uuid4(), operation="cleanup_resource_usage", affected_rows=len(ids)
        )
    )
    return len(ids)


async def count_partitions(tx: ReadTx, months: Collection[date]) -> int:
    """Return how many of these months have a partition of usage."""
    names = [f"resource_usage_{month:%Y_%m}" for month in months]
    query = text("SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname = ANY (:names)")
    return int(await tx.session.scalar(query, {"names": names}) or 0)
