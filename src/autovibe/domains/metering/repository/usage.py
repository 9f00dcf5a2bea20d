"""Queries on usage rows and exchange rates."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, cast

from sqlalchemy import (
    ColumnElement,
    Row,
    Table,
    case,
    func,
    or_,
    select,
)

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.metering.models import (
    BudgetReservation,
    ExchangeRate,
    ResourceUsage,
    ResourceUsageDaily,
)
from autovibe.domains.metering.periods import resets_at, start_of
from autovibe.domains.metering.repository.references import EXECUTIONS, subtree
from autovibe.domains.metering.state import (
    BudgetKey,
)

_USAGE: Final = cast("Table", ResourceUsage.__table__)


async def insert_usage_bulk(tx: WriteTx, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert usage rows by one statement, whose triggers count them in budgets."""
    await tx.dialect.insert_bulk(tx.session, _USAGE, rows)


async def recorded_ids(tx: ReadTx, rows: Sequence[Mapping[str, Any]]) -> set[uuid.UUID]:
    """Return the ids of these rows that are there already.

    Their times are asked for, too: those name the partitions to look into.
    """
    if not rows:
        return set()
    times = [row["recorded_at"] for row in rows]
    query = select(ResourceUsage.id).where(
        ResourceUsage.id.in_([row["id"] for row in rows]),
        ResourceUsage.recorded_at.between(min(times), max(times)),
    )
    return set(await tx.session.scalars(query))


async def used_so_far(
    tx: ReadTx,
    key: BudgetKey,
    unit: str,
    days: tuple[date, date],
) -> Decimal:
    """Return what was used of a resource from a day to a day, by a project or by a task.

    Of a project the sums of days tell it, which outlive the rows; of a task its rows.
    """
    first, last = days
    if key.task_id is None:
        query = select(func.sum(ResourceUsageDaily.amount)).where(
            ResourceUsageDaily.project_id == key.project_id,
            ResourceUsageDaily.resource_type == key.resource_type,
            ResourceUsageDaily.unit == unit,
            ResourceUsageDaily.usage_date.between(first, last),
        )
    else:
        query = select(func.sum(ResourceUsage.amount)).where(
            ResourceUsage.project_id == key.project_id,
            ResourceUsage.resource_type == key.resource_type,
            ResourceUsage.unit == unit,
            ResourceUsage.recorded_at >= start_of(first),
            _of_task(key.task_id),
        )
        end = resets_at(last)
        if end is not None:
            query = query.where(ResourceUsage.recorded_at < end)
    return (await tx.session.execute(query)).scalar_one() or Decimal(0)


async def usage_lines(
    tx: ReadTx,
    *,
    project_id: uuid.UUID | None = None,
    task_id: uuid.UUID | None = None,
    execution_id: uuid.UUID | None = None,
    since: datetime | None = None,
) -> Sequence[Row[Any]]:
    """Return sums of usage by project, kind, unit and model."""
    model = func.coalesce(
        ResourceUsage.metadata_["served_model"].as_string(),
        ResourceUsage.metadata_["terms"]["model"].as_string(),
        "",
    ).label("model")
    keys = (
        ResourceUsage.project_id,
        ResourceUsage.resource_type,
        ResourceUsage.resource_subtype,
        ResourceUsage.unit,
        model,
    )
    uncertain = tx.dialect.json_contains(ResourceUsage.metadata_, {"uncertain": True})
    inner = (
        select(
            *keys,
            ResourceUsage.amount,
            ResourceUsage.cost_cad,
            case((uncertain, 1), else_=0).label("uncertain"),
        )
        .where(*_conditions(project_id, task_id, execution_id, since))
        .subquery()
    )
    # Grouped outside: PostgreSQL takes two parameters of equal value for two expressions.
    groups = [inner.c[key.key or ""] for key in keys]
    query = (
        select(
            *groups,
            func.sum(inner.c.amount).label("amount"),
            func.sum(inner.c.cost_cad).label("cost_cad"),
            func.count().label("rows"),
            func.sum(inner.c.uncertain).label("uncertain"),
        )
        .group_by(*groups)
        .order_by(*groups)
    )
    return (await tx.session.execute(query)).all()


async def spent_on_task(
    tx: ReadTx, task_id: uuid.UUID, execution_ids: Collection[uuid.UUID]
) -> tuple[Decimal, int]:
    """Return the cost in CAD and the number of model calls of a task and its executions."""
    query = (
        select(
            ResourceUsage.resource_type,
            func.sum(ResourceUsage.amount).label("amount"),
            func.sum(ResourceUsage.cost_cad).label("cost_cad"),
        )
        .where(or_(_of_task(task_id), ResourceUsage.execution_id.in_(execution_ids)))
        .group_by(ResourceUsage.resource_type)
    )
    cost, calls = Decimal(0), 0
    for row in await tx.session.execute(query):
        cost += row.cost_cad or Decimal(0)
        if row.resource_type == "api_calls":
            calls = int(row.amount)
    return cost, calls


def _conditions(
    project_id: uuid.UUID | None,
    task_id: uuid.UUID | None,
    execution_id: uuid.UUID | None,
    since: datetime | None,
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if project_id is not None:
        conditions.append(ResourceUsage.project_id == project_id)
    if task_id is not None:
        conditions.append(_of_task(task_id))
    if execution_id is not None:
        conditions.append(ResourceUsage.execution_id == execution_id)
    if since is not None:
        conditions.append(ResourceUsage.recorded_at >= since)
    return conditions


def _of_task(task_id: uuid.UUID) -> ColumnElement[bool]:
    """Return the condition that a usage row belongs to a task or to one below it."""
    calls = select(BudgetReservation.id).where(BudgetReservation.task_id.in_(subtree(task_id)))
    executions = select(EXECUTIONS.c.id).where(EXECUTIONS.c.task_id.in_(subtree(task_id)))
    return or_(ResourceUsage.reservation_id.in_(calls), ResourceUsage.execution_id.in_(executions))


async def newest_rate(tx: ReadTx, currency: str, now: datetime) -> ExchangeRate | None:
    """Return the rate in force: the newest one that is valid already."""
    found = await tx.session.scalars(
        select(ExchangeRate)
        .where(ExchangeRate.currency == currency, ExchangeRate.valid_from <= now)
        .order_by(ExchangeRate.valid_from.desc())
        .limit(1)
    )
    return found.one_or_none()
