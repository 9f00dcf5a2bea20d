"""Queries on usage rows and exchange rates."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, cast

from sqlalchemy import (
    Row,
    Select,
    Subquery,
    Table,
    and_,
    case,
    func,
    or_,
    select,
    union_all,
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
_MOST_NAMED: Final = 2_000
_CALLS: Final = cast("Table", BudgetReservation.__table__)


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
        rows = await _rows_of_task(tx, key.task_id)
        # Conditions would go down to the rows, and lead SQLite to all usage of this resource.
        counts = and_(
            rows.c.project_id == key.project_id,
            rows.c.resource_type == key.resource_type,
            rows.c.unit == unit,
            rows.c.recorded_at >= start_of(first),
        )
        end = resets_at(last)
        if end is not None:
            counts = and_(counts, rows.c.recorded_at < end)
        query = select(func.sum(case((counts, rows.c.amount))))
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
    rows = _USAGE if task_id is None else await _rows_of_task(tx, task_id)
    told = rows.c.metadata
    model = func.coalesce(
        told["served_model"].as_string(), told["terms"]["model"].as_string(), ""
    ).label("model")
    keys = (
        rows.c.project_id,
        rows.c.resource_type,
        rows.c.resource_subtype,
        rows.c.unit,
        model,
    )
    uncertain = tx.dialect.json_contains(told, {"uncertain": True})
    inner = select(
        *keys, rows.c.amount, rows.c.cost_cad, case((uncertain, 1), else_=0).label("uncertain")
    )
    if project_id is not None:
        inner = inner.where(rows.c.project_id == project_id)
    if execution_id is not None:
        inner = inner.where(rows.c.execution_id == execution_id)
    if since is not None:
        inner = inner.where(rows.c.recorded_at >= since)
    inner = inner.subquery()
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


async def spent_on_task(tx: ReadTx, task_id: uuid.UUID) -> tuple[Decimal, int]:
    """Return the cost in CAD and the number of model calls of a task and those below it."""
    rows = await _rows_of_task(tx, task_id)
    query = select(
        rows.c.resource_type,
        func.sum(rows.c.amount).label("amount"),
        func.sum(rows.c.cost_cad).label("cost_cad"),
    ).group_by(rows.c.resource_type)
    cost, calls = Decimal(0), 0
    for row in await tx.session.execute(query):
        cost += row.cost_cad or Decimal(0)
        if row.resource_type == "api_calls":
            calls = int(row.amount)
    return cost, calls


async def _rows_of_task(tx: ReadTx, task_id: uuid.UUID) -> Subquery:
    """Return the usage rows of a task and of those below it: of its executions, and of its calls.

    In two parts, each of which an index answers: with one condition for both the whole table is
    read. The tasks and executions are asked for first, so that the database knows how few they are.
    Executions may be archived, and a call need not belong to one.
    """
    tasks = await _few(tx, subtree(task_id))
    executions = await _few(tx, select(EXECUTIONS.c.id).where(EXECUTIONS.c.task_id.in_(tasks)))
    of_executions = select(_USAGE).where(_USAGE.c.execution_id.in_(executions))
    of_calls = (
        select(_USAGE)
        .join(
            _CALLS,
            and_(
                _CALLS.c.project_id == _USAGE.c.project_id,
                _CALLS.c.reserved_at == _USAGE.c.recorded_at,
                _CALLS.c.id == _USAGE.c.reservation_id,
            ),
        )
        .where(
            _CALLS.c.task_id.in_(tasks),
            or_(_USAGE.c.execution_id.is_(None), _USAGE.c.execution_id.not_in(executions)),
        )
    )
    return union_all(of_executions, of_calls).subquery()


async def _few(tx: ReadTx, ids: Select[uuid.UUID]) -> Sequence[uuid.UUID] | Select[uuid.UUID]:
    """Return ids, or their query again when they are too many to be named in a statement."""
    found = list(await tx.session.scalars(ids.limit(_MOST_NAMED + 1)))
    return found if len(found) <= _MOST_NAMED else ids


async def newest_rate(tx: ReadTx, currency: str, now: datetime) -> ExchangeRate | None:
    """Return the rate in force: the newest one that is valid already."""
    found = await tx.session.scalars(
        select(ExchangeRate)
        .where(ExchangeRate.currency == currency, ExchangeRate.valid_from <= now)
        .order_by(ExchangeRate.valid_from.desc())
        .limit(1)
    )
    return found.one_or_none()
