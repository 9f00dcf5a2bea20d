"""Queries on budgets, which are locked in the order of their ids."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, cast

from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    Uuid,
    and_,
    bindparam,
    false,
    or_,
    select,
    update,
)
from sqlalchemy.orm import aliased

from autovibe.db import ReadTx, WriteTx
from autovibe.db.prepared import Prepared
from autovibe.domains.metering.models import (
    ResourceBudget,
)
from autovibe.domains.metering.state import (
    BudgetKey,
    BudgetState,
)

_BUDGETS: Final = cast("Table", ResourceBudget.__table__)
# In the order of the fields of `BudgetState`.
_STATE: Final = tuple(_BUDGETS.c[field.name] for field in fields(BudgetState))
_DAY: Final = (
    select(*_STATE)
    .where(
        _BUDGETS.c.project_id.in_(bindparam("project_ids", type_=Uuid(), expanding=True)),
        or_(
            _BUDGETS.c.task_id.is_(None),
            _BUDGETS.c.task_id.in_(bindparam("task_ids", type_=Uuid(), expanding=True)),
        ),
        _BUDGETS.c.resource_type.in_(bindparam("resource_types", expanding=True)),
        _BUDGETS.c.period_start <= bindparam("day"),
        _BUDGETS.c.period_end >= bindparam("day"),
    )
    .order_by(_BUDGETS.c.id)
)
_OF_A_DAY: Final = Prepared(_DAY)
_BY_ID: Final = Prepared(
    select(*_STATE)
    .where(_BUDGETS.c.id.in_(bindparam("ids", type_=Uuid(), expanding=True)))
    .order_by(_BUDGETS.c.id),
    locks=ResourceBudget,
)
_LOCK_OF_A_DAY: Final = Prepared(_DAY, locks=ResourceBudget)


async def lock_budgets(
    tx: WriteTx,
    project_ids: Collection[uuid.UUID],
    task_ids: Collection[uuid.UUID],
    resource_types: Collection[str],
    day: date,
) -> list[BudgetState]:
    """Lock the budgets of a day that these calls may touch, in the order of their ids."""
    values = _of_day(project_ids, task_ids, resource_types, day)
    return [BudgetState(*row) for row in await _LOCK_OF_A_DAY.rows(tx, values)]


async def lock_budgets_by_id(tx: WriteTx, budget_ids: Collection[uuid.UUID]) -> list[BudgetState]:
    """Lock budgets, in the order of their ids."""
    rows = await _BY_ID.rows(tx, {"ids": list(budget_ids)})
    return [BudgetState(*row) for row in rows]


async def budgets_of_day(
    tx: ReadTx,
    project_ids: Collection[uuid.UUID],
    task_ids: Collection[uuid.UUID],
    resource_types: Collection[str],
    day: date,
) -> list[BudgetState]:
    """Return the budgets of a day of these projects and tasks, in the order of their ids."""
    values = _of_day(project_ids, task_ids, resource_types, day)
    return [BudgetState(*row) for row in await _OF_A_DAY.rows(tx, values)]


def _of_day(
    project_ids: Collection[uuid.UUID],
    task_ids: Collection[uuid.UUID],
    resource_types: Collection[str],
    day: date,
) -> dict[str, Any]:
    return {
        "project_ids": list(project_ids),
        "task_ids": list(task_ids),
        "resource_types": list(resource_types),
        "day": day,
    }


async def ended_budgets(
    tx: ReadTx,
    day: date,
    *,
    project_ids: Collection[uuid.UUID] | None = None,
    task_ids: Collection[uuid.UUID] | None = None,
    resource_types: Collection[str] | None = None,
) -> list[BudgetState]:
    """Return the newest row of each budget that starts anew and has no row for the day yet."""
    later = aliased(ResourceBudget)
    query = select(ResourceBudget).where(
        _in_scope(ResourceBudget, project_ids, task_ids, resource_types),
        ResourceBudget.auto_reset,
        ResourceBudget.period_end < day,
        ~select(later.id)
        .where(
            later.project_id == ResourceBudget.project_id,
            later.task_id.is_not_distinct_from(ResourceBudget.task_id),
            later.resource_type == ResourceBudget.resource_type,
            later.budget_period == ResourceBudget.budget_period,
            later.period_start > ResourceBudget.period_start,
        )
        .exists(),
    )
    return await _states(tx, query)


async def open_budget(
    tx: WriteTx, key: BudgetKey, bounds: tuple[date, date], values: Mapping[str, Any], now: datetime
) -> None:
    """Insert the row of a period unless somebody else has."""
    row = {
        "id": uuid.uuid4(),
        **key._asdict(),
        "period_start": bounds[0],
        "period_end": bounds[1],
        "created_at": now,
        "updated_at": now,
        **values,
    }
    await tx.dialect.insert_or_ignore(tx.session, ResourceBudget, [row])


async def lock_budget(tx: WriteTx, key: BudgetKey, day: date) -> BudgetState | None:
    """Lock the row of a budget that a day lies in."""
    query = select(ResourceBudget).where(
        _is(key), ResourceBudget.period_start <= day, ResourceBudget.period_end >= day
    )
    states = await _states(tx, tx.dialect.for_update(query, ResourceBudget))
    return states[0] if states else None


async def current_budgets(
    tx: ReadTx, day: date, project_id: uuid.UUID | None, task_id: uuid.UUID | None
) -> list[BudgetState]:
    """Return the rows of a day, the oldest first."""
    query = (
        select(ResourceBudget)
        .where(ResourceBudget.period_start <= day, ResourceBudget.period_end >= day)
        .order_by(ResourceBudget.created_at, ResourceBudget.id)
    )
    if project_id is not None:
        query = query.where(ResourceBudget.project_id == project_id)
    if task_id is not None:
        query = query.where(ResourceBudget.task_id == task_id)
    return await _states(tx, query)


async def set_allocated(
    tx: WriteTx, budget_id: uuid.UUID, allocated: Decimal, now: datetime
) -> None:
    """Write what a locked budget may use."""
    await tx.session.execute(
        update(_BUDGETS)
        .where(_BUDGETS.c.id == budget_id)
        .values(allocated_amount=allocated, auto_reset=True, updated_at=now)
    )


def _in_scope(
    model: type[ResourceBudget],
    project_ids: Collection[uuid.UUID] | None,
    task_ids: Collection[uuid.UUID] | None,
    resource_types: Collection[str] | None,
) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = []
    if project_ids is not None:
        conditions.append(model.project_id.in_(project_ids))
    if task_ids is not None:
        of_tasks = model.task_id.in_(task_ids) if task_ids else false()
        conditions.append(or_(model.task_id.is_(None), of_tasks))
    if resource_types is not None:
        conditions.append(model.resource_type.in_(resource_types))
    return and_(*conditions) if conditions else model.id.is_not(None)


def _is(key: BudgetKey) -> ColumnElement[bool]:
    return and_(
        ResourceBudget.project_id == key.project_id,
        ResourceBudget.task_id.is_not_distinct_from(key.task_id),
        ResourceBudget.resource_type == key.resource_type,
        ResourceBudget.budget_period == key.budget_period,
    )


async def _states(tx: ReadTx, query: Select[ResourceBudget]) -> list[BudgetState]:
    rows = await tx.session.execute(query.with_only_columns(*_BUDGETS.columns))
    return [BudgetState(**row) for row in rows.mappings()]
