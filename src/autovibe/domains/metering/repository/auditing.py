"""Queries that compare what is kept about usage with its rows.

Each comparison is one statement, so that it sees one state of the database while others write.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import (
    CTE,
    ColumnElement,
    Date,
    Subquery,
    Table,
    Uuid,
    and_,
    case,
    column,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    table,
    text,
    tuple_,
    union_all,
)

from autovibe.db import ReadTx
from autovibe.db.types import ExactDecimal
from autovibe.db.visibility import UNLIMITED
from autovibe.domains.metering.models import (
    BudgetHold,
    BudgetReservation,
    ReservationState,
    ResourceBudget,
    ResourceUsage,
    ResourceUsageDaily,
)
from autovibe.domains.metering.repository.calls import OPEN_STATES
from autovibe.domains.metering.repository.references import EXECUTIONS

_ROWS: Final = cast("Table", ResourceUsage.__table__)
_DAYS: Final = cast("Table", ResourceUsageDaily.__table__)
_BUDGETS: Final = cast("Table", ResourceBudget.__table__)
_CALLS: Final = cast("Table", BudgetReservation.__table__)
_HOLDS: Final = cast("Table", BudgetHold.__table__)
_TASKS: Final = table("tasks", column("id", Uuid()), column("parent_task_id", Uuid()))
_PROJECTS: Final = table("projects", column("id", Uuid()), column("name"))
_SUM: Final = ExactDecimal(20, 6)
_NOTHING: Final = literal(Decimal(0), _SUM)
_API_CALLS: Final = "api_calls"
_MONEY: Final = "money"


class BudgetDifference(NamedTuple):
    """A budget that counts something else than it should."""

    budget_id: uuid.UUID
    task_id: uuid.UUID | None
    resource_type: str
    budget_period: str
    period_start: date
    unit: str
    recorded: Decimal
    expected: Decimal


class DayDifference(NamedTuple):
    """A daily sum that is not the sum of its rows. Amounts, costs and numbers of rows."""

    usage_date: date
    resource_type: str
    unit: str
    recorded: Decimal
    expected: Decimal
    recorded_cost: Decimal
    expected_cost: Decimal
    recorded_rows: int
    expected_rows: int


class CallDifference(NamedTuple):
    """A call whose rows are not what was settled."""

    reservation_id: uuid.UUID
    resource_type: str
    recorded: Decimal
    expected: Decimal


class PricedRow(NamedTuple):
    """The row of money of a call."""

    recorded_at: datetime
    reservation_id: uuid.UUID
    amount: Decimal
    metadata: dict[str, Any]


class Scope(NamedTuple):
    """Rows of a project since the start of a day.

    Older ones may have been deleted for their age: of those days the sums are taken instead.
    """

    project_id: uuid.UUID
    since: datetime
    since_day: date


async def take_time(tx: ReadTx) -> None:
    """Let a statement of this transaction take a quarter of an hour: it reads a whole project."""
    if tx.dialect.name == "postgresql":
        await tx.session.execute(
            text("SET LOCAL statement_timeout = '15min'"),
            execution_options={UNLIMITED: "it reads nothing"},
        )


async def projects_from(
    tx: ReadTx, first_id: uuid.UUID | None, limit: int
) -> Sequence[tuple[uuid.UUID, str]]:
    """Return ids and names of projects, in the order of their ids, from one on."""
    query = select(_PROJECTS.c.id, _PROJECTS.c.name).order_by(_PROJECTS.c.id).limit(limit)
    if first_id is not None:
        query = query.where(_PROJECTS.c.id >= first_id)
    return [(row.id, row.name) for row in await tx.session.execute(query)]


async def count_audited(tx: ReadTx, scope: Scope) -> tuple[int, int, int]:
    """Return how many budgets, daily sums and settled calls of a project there are to compare."""
    budgets = select(func.count()).where(_BUDGETS.c.project_id == scope.project_id)
    days = select(func.count()).where(
        _DAYS.c.project_id == scope.project_id, _DAYS.c.usage_date >= scope.since_day
    )
    calls = select(func.count()).where(*_settled(scope))
    query = select(budgets.scalar_subquery(), days.scalar_subquery(), calls.scalar_subquery())
    found = (await tx.session.execute(query)).one()
    return found[0], found[1], found[2]


async def used_differences(
    tx: ReadTx, scope: Scope, after: uuid.UUID | None, limit: int
) -> list[BudgetDifference]:
    """Return the budgets whose used amount is not the sum of their rows, by id."""
    used = _used_by_task_and_day(tx, scope)
    by_budget = _sums_of_budgets(used, scope).cte("by_budget")
    # What nobody can assign to a task any more may have been the budget's, or not.
    unassigned = (
        select(used.c.resource_type, used.c.unit, func.sum(used.c.amount).label("amount"))
        .where(used.c.unassigned == 1)
        .group_by(used.c.resource_type, used.c.unit)
        .cte("unassigned")
    )
    expected = func.coalesce(by_budget.c.amount, _NOTHING)
    most = expected + func.coalesce(unassigned.c.amount, _NOTHING)
    in_doubt = and_(_BUDGETS.c.task_id.is_not(None), _BUDGETS.c.used_amount.between(expected, most))
    query = (
        _budgets(_BUDGETS.c.used_amount, expected)
        .outerjoin(by_budget, by_budget.c.budget_id == _BUDGETS.c.id)
        .outerjoin(
            unassigned,
            and_(
                unassigned.c.resource_type == _BUDGETS.c.resource_type,
                unassigned.c.unit == _BUDGETS.c.unit,
            ),
        )
        .where(
            _BUDGETS.c.project_id == scope.project_id,
            _BUDGETS.c.used_amount != expected,
            ~in_doubt,
        )
    )
    return await _page_of_budgets(tx, query, after, limit)


async def reserved_differences(
    tx: ReadTx, scope: Scope, after: uuid.UUID | None, limit: int
) -> list[BudgetDifference]:
    """Return the budgets whose reserved amount is not the sum of their open holds, by id."""
    held = (
        select(_HOLDS.c.budget_id, func.sum(_HOLDS.c.amount).label("amount"))
        .join(_CALLS, _CALLS.c.id == _HOLDS.c.reservation_id)
        .where(_CALLS.c.project_id == scope.project_id, _CALLS.c.state.in_(OPEN_STATES))
        .group_by(_HOLDS.c.budget_id)
        .cte("held")
    )
    expected = func.coalesce(held.c.amount, _NOTHING)
    query = (
        _budgets(_BUDGETS.c.reserved_amount, expected)
        .outerjoin(held, held.c.budget_id == _BUDGETS.c.id)
        .where(_BUDGETS.c.project_id == scope.project_id, _BUDGETS.c.reserved_amount != expected)
    )
    return await _page_of_budgets(tx, query, after, limit)


async def day_differences(
    tx: ReadTx, scope: Scope, after: tuple[date, str, str] | None, limit: int
) -> list[DayDifference]:
    """Return the daily sums that are not those of the rows, by day, resource and unit."""
    rows = _rows_of_days(tx, scope)
    kept = select(
        _DAYS.c.usage_date,
        _DAYS.c.resource_type,
        _DAYS.c.unit,
        _DAYS.c.amount,
        _DAYS.c.cost_cad,
        _DAYS.c.transaction_count,
        _NOTHING.label("row_amount"),
        _NOTHING.label("row_cost"),
        literal(0).label("row_count"),
    ).where(_DAYS.c.project_id == scope.project_id, _DAYS.c.usage_date >= scope.since_day)
    both = union_all(kept, rows).subquery()
    keys = [both.c.usage_date, both.c.resource_type, both.c.unit]
    sums = [func.sum(one) for one in list(both.c)[3:]]
    amount, cost, number, row_amount, row_cost, row_number = sums
    query = (
        select(*keys, amount, row_amount, cost, row_cost, number, row_number)
        .group_by(*keys)
        .having(or_(amount != row_amount, cost != row_cost, number != row_number))
        .order_by(*keys)
        .limit(limit)
    )
    if after is not None:
        types = [key.type for key in keys]
        query = query.where(tuple_(*keys) > tuple_(*after, types=types))
    found: Any = await tx.session.execute(query)
    return [DayDifference(*row) for row in found]


async def call_differences(
    tx: ReadTx, scope: Scope, after: tuple[uuid.UUID, str] | None, limit: int
) -> list[CallDifference]:
    """Return the calls whose rows are not what was settled, by id and resource."""
    found = (
        select(
            _ROWS.c.reservation_id,
            _ROWS.c.resource_type,
            func.sum(_ROWS.c.amount).label("amount"),
        )
        .where(*_since(scope), _ROWS.c.reservation_id.is_not(None))
        .group_by(_ROWS.c.reservation_id, _ROWS.c.resource_type)
        .cte("found")
    )
    settled = _settled_amounts(scope).cte("settled")
    there = func.coalesce(found.c.amount, _NOTHING)
    missing = (
        select(
            settled.c.reservation_id,
            settled.c.resource_type,
            there.label("recorded"),
            # A call that held no calls from any budget is counted all the same.
            func.coalesce(settled.c.amount, literal(Decimal(1), _SUM)).label("expected"),
        )
        .outerjoin(
            found,
            and_(
                found.c.reservation_id == settled.c.reservation_id,
                found.c.resource_type == settled.c.resource_type,
            ),
        )
        .where(
            or_(
                settled.c.amount != there,
                and_(settled.c.amount.is_(None), found.c.reservation_id.is_(None)),
            )
        )
    )
    unfounded = (
        select(found.c.reservation_id, found.c.resource_type, found.c.amount, _NOTHING)
        .outerjoin(_CALLS, _CALLS.c.id == found.c.reservation_id)
        .where(or_(_CALLS.c.id.is_(None), _CALLS.c.state != ReservationState.SETTLED))
    )
    both = union_all(missing, unfounded).subquery()
    keys = [both.c.reservation_id, both.c.resource_type]
    query = select(both).order_by(*keys).limit(limit)
    if after is not None:
        query = query.where(tuple_(*keys) > tuple_(*after, types=[key.type for key in keys]))
    return [CallDifference(*row) for row in await tx.session.execute(query)]


async def priced_rows(
    tx: ReadTx, scope: Scope, after: tuple[datetime, uuid.UUID] | None, limit: int
) -> list[PricedRow]:
    """Return the rows of money of calls, by time and call."""
    keys = [_ROWS.c.recorded_at, _ROWS.c.reservation_id]
    query = (
        select(*keys, _ROWS.c.amount, _ROWS.c.metadata)
        .where(*_since(scope), _ROWS.c.reservation_id.is_not(None), _ROWS.c.resource_type == _MONEY)
        .order_by(*keys)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(*keys) > tuple_(*after, types=[key.type for key in keys]))
    return [PricedRow(*row) for row in await tx.session.execute(query)]


def _since(scope: Scope) -> tuple[ColumnElement[bool], ...]:
    return _ROWS.c.project_id == scope.project_id, _ROWS.c.recorded_at >= scope.since


def _settled(scope: Scope) -> tuple[ColumnElement[bool], ...]:
    return (
        _CALLS.c.project_id == scope.project_id,
        _CALLS.c.state == ReservationState.SETTLED,
        _CALLS.c.reserved_at >= scope.since,
    )


def _settled_amounts(scope: Scope) -> Any:
    """Return what was settled by call and resource; every call counts as one, held or not."""
    holds = (
        select(
            _HOLDS.c.reservation_id,
            _HOLDS.c.resource_type,
            func.max(_HOLDS.c.settled_amount).label("amount"),
        )
        .join(_CALLS, _CALLS.c.id == _HOLDS.c.reservation_id)
        .where(*_settled(scope))
        .group_by(_HOLDS.c.reservation_id, _HOLDS.c.resource_type)
    )
    of_calls = exists().where(
        _HOLDS.c.reservation_id == _CALLS.c.id, _HOLDS.c.resource_type == _API_CALLS
    )
    counted = select(_CALLS.c.id, literal(_API_CALLS, _HOLDS.c.resource_type.type), null()).where(
        *_settled(scope), ~of_calls
    )
    return union_all(holds, counted)


def _utc_day(tx: ReadTx, moment: ColumnElement[datetime]) -> ColumnElement[date]:
    local = moment if tx.dialect.name == "sqlite" else func.timezone("UTC", moment)
    return func.date(local, type_=Date())


def _rows_of_days(tx: ReadTx, scope: Scope) -> Any:
    """Return the sums of rows by day, resource and unit, behind columns of nothing."""
    rows = (
        select(
            _utc_day(tx, _ROWS.c.recorded_at).label("usage_date"),
            _ROWS.c.resource_type,
            _ROWS.c.unit,
            _ROWS.c.amount,
            _ROWS.c.cost_cad,
        )
        .where(*_since(scope))
        .subquery()
    )
    keys = [rows.c.usage_date, rows.c.resource_type, rows.c.unit]
    return select(
        *keys,
        _NOTHING.label("amount"),
        _NOTHING.label("cost_cad"),
        literal(0).label("transaction_count"),
        func.sum(rows.c.amount),
        func.coalesce(func.sum(rows.c.cost_cad), _NOTHING),
        func.count(),
    ).group_by(*keys)


def _used_by_task_and_day(tx: ReadTx, scope: Scope) -> CTE:
    """Return what was used by task, day, resource and unit; of old days by project only."""
    task = func.coalesce(_CALLS.c.task_id, EXECUTIONS.c.task_id)
    unassigned = and_(task.is_(None), _ROWS.c.execution_id.is_not(None))
    rows = (
        select(
            task.label("task_id"),
            case((unassigned, 1), else_=0).label("unassigned"),
            _utc_day(tx, _ROWS.c.recorded_at).label("usage_date"),
            _ROWS.c.resource_type,
            _ROWS.c.unit,
            _ROWS.c.amount,
        )
        .outerjoin(_CALLS, _CALLS.c.id == _ROWS.c.reservation_id)
        .outerjoin(EXECUTIONS, EXECUTIONS.c.id == _ROWS.c.execution_id)
        .where(*_since(scope))
        .subquery()
    )
    keys = list(rows.c)[:-1]
    present = select(*keys, func.sum(rows.c.amount).label("amount")).group_by(*keys)
    past = select(
        null(),
        literal(1),
        _DAYS.c.usage_date,
        _DAYS.c.resource_type,
        _DAYS.c.unit,
        _DAYS.c.amount,
    ).where(_DAYS.c.project_id == scope.project_id, _DAYS.c.usage_date < scope.since_day)
    return union_all(present, past).cte("used")


def _sums_of_budgets(used: CTE, scope: Scope) -> Any:
    """Return what the rows say of each budget: those of a task count what tasks below it used."""
    line = select(used.c.task_id.label("leaf_id"), used.c.task_id.label("task_id")).where(
        used.c.task_id.is_not(None)
    )
    line = line.distinct().cte("line", recursive=True)
    above = select(line.c.leaf_id, _TASKS.c.parent_task_id).join(
        _TASKS, _TASKS.c.id == line.c.task_id
    )
    line = line.union(above.where(_TASKS.c.parent_task_id.is_not(None)))
    return union_all(
        _per_budget(_of_days(used), scope, _BUDGETS.c.task_id.is_(None)),
        _per_budget(_of_days(used, line), scope, _BUDGETS.c.task_id.is_not(None)),
    )


def _of_days(used: CTE, line: CTE | None = None) -> Subquery:
    """Return what was used by day, resource and unit; with lines by task, those below in it."""
    keys = [used.c.usage_date, used.c.resource_type, used.c.unit]
    if line is not None:
        keys.append(line.c.task_id)
    query = select(*keys, func.sum(used.c.amount).label("amount")).group_by(*keys)
    if line is not None:
        query = query.join(line, line.c.leaf_id == used.c.task_id)
    return query.subquery()


def _per_budget(sums: Subquery, scope: Scope, which: ColumnElement[bool]) -> Any:
    conditions = [
        _BUDGETS.c.resource_type == sums.c.resource_type,
        _BUDGETS.c.unit == sums.c.unit,
        sums.c.usage_date.between(_BUDGETS.c.period_start, _BUDGETS.c.period_end),
    ]
    if "task_id" in sums.c:
        conditions.append(_BUDGETS.c.task_id == sums.c.task_id)
    return (
        select(_BUDGETS.c.id.label("budget_id"), func.sum(sums.c.amount).label("amount"))
        .join(sums, and_(*conditions))
        .where(_BUDGETS.c.project_id == scope.project_id, which)
        .group_by(_BUDGETS.c.id)
    )


def _budgets(recorded: ColumnElement[Decimal], expected: ColumnElement[Decimal]) -> Any:
    return select(
        _BUDGETS.c.id,
        _BUDGETS.c.task_id,
        _BUDGETS.c.resource_type,
        _BUDGETS.c.budget_period,
        _BUDGETS.c.period_start,
        _BUDGETS.c.unit,
        recorded.label("recorded"),
        expected.label("expected"),
    )


async def _page_of_budgets(
    tx: ReadTx, query: Any, after: uuid.UUID | None, limit: int
) -> list[BudgetDifference]:
    query = query.order_by(_BUDGETS.c.id).limit(limit)
    if after is not None:
        query = query.where(_BUDGETS.c.id > after)
    return [BudgetDifference(*row) for row in await tx.session.execute(query)]
