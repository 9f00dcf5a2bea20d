"""Queries on usage per day, and on what machines cost between two moments."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final, NamedTuple

from sqlalchemy import Uuid, column, or_, select, table, tuple_

from autovibe.db import ReadTx
from autovibe.domains.metering.models import ResourceUsage, ResourceUsageDaily

_PROJECTS: Final = table("projects", column("id", Uuid()), column("name"))
_MACHINES: Final = table("intelligent_machines", column("id", Uuid()), column("machine_type"))
DayPlace = tuple[str, date, str, str]
"""Project, day, resource and unit: what a page of days is sorted by, the newest day first."""


class DayRow(NamedTuple):
    """What a project used of one resource on one day."""

    project_id: uuid.UUID
    project_name: str
    usage_date: date
    resource_type: str
    unit: str
    amount: Decimal
    cost_cad: Decimal
    transaction_count: int


async def daily_usage(
    tx: ReadTx,
    *,
    project_id: uuid.UUID | None,
    since: date,
    until: date,
    after: DayPlace | None,
    limit: int,
) -> Sequence[DayRow]:
    """Return usage per project and day, by name of the project, the newest day first.

    Args:
        tx: any transaction.
        project_id: only of this project.
        since: first day.
        until: last day.
        after: place of the last one of the page before.
        limit: how many at most.

    Source: 000-autovibe-orm-and-data-architecture, "project resource aggregation".
    """
    day = ResourceUsageDaily
    name = _PROJECTS.c.name
    query = (
        select(
            day.project_id,
            name,
            day.usage_date,
            day.resource_type,
            day.unit,
            day.amount,
            day.cost_cad,
            day.transaction_count,
        )
        .join(_PROJECTS, _PROJECTS.c.id == day.project_id)
        .where(day.usage_date >= since, day.usage_date <= until)
        .order_by(name, day.usage_date.desc(), day.resource_type, day.unit)
        .limit(limit)
    )
    if project_id is not None:
        query = query.where(day.project_id == project_id)
    if after is not None:
        last_name, last_date, kind, unit = after
        types = [name.type, day.resource_type.type, day.unit.type]
        query = query.where(
            or_(
                name > last_name,
                (name == last_name) & (day.usage_date < last_date),
                (name == last_name)
                & (day.usage_date == last_date)
                & (tuple_(day.resource_type, day.unit) > tuple_(kind, unit, types=types[1:])),
            )
        )
    return [DayRow(*row) for row in await tx.session.execute(query)]


async def machine_types(tx: ReadTx, machine_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Return what kind of agent each machine runs."""
    query = select(_MACHINES.c.id, _MACHINES.c.machine_type).where(_MACHINES.c.id.in_(machine_ids))
    return {row.id: row.machine_type for row in await tx.session.execute(query)}


async def costs_of_machines(
    tx: ReadTx, machine_ids: Collection[uuid.UUID], before: datetime
) -> dict[uuid.UUID, list[tuple[datetime, Decimal]]]:
    """Return the time and cost in CAD of everything that machines paid for, the oldest first."""
    query = (
        select(ResourceUsage.machine_id, ResourceUsage.recorded_at, ResourceUsage.cost_cad)
        .where(
            ResourceUsage.machine_id.in_(machine_ids),
            ResourceUsage.cost_cad.is_not(None),
            ResourceUsage.recorded_at <= before,
        )
        .order_by(ResourceUsage.recorded_at)
    )
    costs: dict[uuid.UUID, list[tuple[datetime, Decimal]]] = {}
    for row in await tx.session.execute(query):
        costs.setdefault(row.machine_id, []).append((row.recorded_at, row.cost_cad))
    return costs
