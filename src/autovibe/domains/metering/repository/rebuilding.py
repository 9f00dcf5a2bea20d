"""Queries that find the calls whose rows are missing, and what the logs say of them."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, cast

from sqlalchemy import Table, Uuid, and_, column, exists, func, literal, or_, select, table, update

from autovibe.db import ReadTx, WriteTx
from autovibe.db.types import Json
from autovibe.db.visibility import UNLIMITED
from autovibe.domains.metering.models import (
    BudgetHold,
    BudgetReservation,
    ReservationState,
    ResourceUsage,
    ResourceUsageDaily,
)
from autovibe.domains.metering.periods import start_of, utc_day
from autovibe.domains.metering.repository.auditing import Scope

_ROWS: Final = cast("Table", ResourceUsage.__table__)
_DAYS: Final = cast("Table", ResourceUsageDaily.__table__)
_CALLS: Final = cast("Table", BudgetReservation.__table__)
_HOLDS: Final = cast("Table", BudgetHold.__table__)
_LOGS: Final = table("execution_logs", column("execution_id", Uuid()), column("metadata", Json))
_API_CALLS: Final = "api_calls"


async def calls_without_rows(
    tx: ReadTx, scope: Scope, after: uuid.UUID | None, limit: int
) -> Sequence[uuid.UUID]:
    """Return the settled calls of which a row is missing, by id."""
    held = exists().where(
        _HOLDS.c.reservation_id == _CALLS.c.id,
        _HOLDS.c.settled_amount > 0,
        ~_row_of(_HOLDS.c.resource_type),
    )
    calls_are_held = exists().where(
        _HOLDS.c.reservation_id == _CALLS.c.id, _HOLDS.c.resource_type == _API_CALLS
    )
    query = (
        select(_CALLS.c.id)
        .where(
            _CALLS.c.project_id == scope.project_id,
            _CALLS.c.state == ReservationState.SETTLED,
            _CALLS.c.reserved_at >= scope.since,
            or_(held, and_(~calls_are_held, ~_row_of(_API_CALLS))),
        )
        .order_by(_CALLS.c.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(_CALLS.c.id > after)
    return list((await tx.session.execute(query)).scalars())


def _row_of(resource_type: Any) -> Any:
    """Return the condition that a call has a row of a resource; its time finds it by an index."""
    row = select(_ROWS.c.id).where(
        _ROWS.c.project_id == _CALLS.c.project_id,
        _ROWS.c.recorded_at == _CALLS.c.reserved_at,
        _ROWS.c.reservation_id == _CALLS.c.id,
        _ROWS.c.resource_type == resource_type,
    )
    # Named, because it is used inside of another condition: SQLAlchemy looks one level up only.
    return row.correlate(_CALLS, _HOLDS).exists()


async def resources_with_rows(
    tx: ReadTx, scope: Scope, call_ids: Collection[uuid.UUID]
) -> set[tuple[uuid.UUID, str]]:
    """Return which resources of which calls have rows."""
    query = (
        select(_ROWS.c.reservation_id, _ROWS.c.resource_type)
        .join(
            _CALLS,
            and_(
                _CALLS.c.id == _ROWS.c.reservation_id, _CALLS.c.reserved_at == _ROWS.c.recorded_at
            ),
        )
        .where(_ROWS.c.project_id == scope.project_id, _CALLS.c.id.in_(list(call_ids)))
    )
    found = await tx.session.execute(query)
    return {(row.reservation_id, row.resource_type) for row in found}


async def logged_settlements(
    tx: ReadTx, execution_ids: Collection[uuid.UUID], call_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, dict[str, Any]]:
    """Return what the logs of executions say of how calls were settled."""
    details = _LOGS.c.metadata["details"]
    query = select(
        details["request_id"].as_string().label("call_id"), details["settlement"].label("said")
    ).where(
        _LOGS.c.execution_id.in_(list(execution_ids)),
        _LOGS.c.metadata["kind"].as_string() == "call",
        details["request_id"].as_string().in_([str(one) for one in call_ids]),
    )
    found: Any = await tx.session.execute(query)
    return {uuid.UUID(row.call_id): row.said for row in found if row.said is not None}


async def sum_up_days(tx: WriteTx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Make the sums of the days that rows lie in those of their rows.

    The trigger has just added these rows to them, and holds their locks: until this transaction
    ends nobody else changes the sums, and whoever did before has committed.
    """
    keys = {
        (row["project_id"], utc_day(row["recorded_at"]), row["resource_type"], row["unit"])
        for row in rows
    }
    for project_id, day, resource_type, unit in sorted(keys):
        query = select(
            func.sum(_ROWS.c.amount),
            func.coalesce(func.sum(_ROWS.c.cost_cad), literal(Decimal(0), _ROWS.c.cost_cad.type)),
            func.count(),
        ).where(
            _ROWS.c.project_id == project_id,
            _ROWS.c.resource_type == resource_type,
            _ROWS.c.unit == unit,
            _ROWS.c.recorded_at >= start_of(day),
            _ROWS.c.recorded_at < start_of(day + timedelta(days=1)),
        )
        amount, cost, number = (await tx.session.execute(query)).one()
        await tx.session.execute(
            update(_DAYS)
            .where(
                _DAYS.c.project_id == project_id,
                _DAYS.c.usage_date == day,
                _DAYS.c.resource_type == resource_type,
                _DAYS.c.unit == unit,
            )
            .values(amount=amount, cost_cad=cost, transaction_count=number),
            execution_options={UNLIMITED: "these are days of rows that were just put back"},
        )
