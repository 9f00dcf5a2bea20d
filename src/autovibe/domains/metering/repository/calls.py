"""Queries on calls and what they hold."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, cast

from sqlalchemy import (
    Select,
    String,
    Table,
    Text,
    Uuid,
    and_,
    bindparam,
    or_,
    select,
)
from sqlalchemy import cast as sql_cast

from autovibe.db import ReadTx, WriteTx
from autovibe.db.prepared import Prepared
from autovibe.db.row_writes import InsertRows, Rows, Statement, UpdateRows, write_rows
from autovibe.domains.metering.models import (
    BudgetHold,
    BudgetReservation,
    ResourceBudget,
    ResourceUsage,
)
from autovibe.domains.metering.repository.budgets import lock_budgets_by_id
from autovibe.domains.metering.repository.references import subtree
from autovibe.domains.metering.state import (
    BudgetState,
    BudgetUpdate,
    HoldState,
    OpenHold,
    ReservationState,
)

OPEN_STATES: Final = ("reserved", "forwarded", "uncertain")
_RESERVATIONS: Final = cast("Table", BudgetReservation.__table__)
_HOLDS: Final = cast("Table", BudgetHold.__table__)
_BUDGETS: Final = cast("Table", ResourceBudget.__table__)
_INSERT_RESERVATIONS: Final = InsertRows(_RESERVATIONS)
_INSERT_HOLDS: Final = InsertRows(_HOLDS)
_INSERT_USAGE: Final = InsertRows(cast("Table", ResourceUsage.__table__))
_SAVE_RESERVATIONS: Final = UpdateRows(_RESERVATIONS)
_SAVE_HOLDS: Final = UpdateRows(_HOLDS, key=("reservation_id", "resource_type"))
_MOVE_BUDGETS: Final = UpdateRows(_BUDGETS, added=("used_amount", "reserved_amount"))

# In the order of the fields of `ReservationState`.
_NAMES: Final = (
    "id",
    "project_id",
    "task_id",
    "machine_id",
    "execution_id",
    "lease_generation",
    "instance_id",
    "state",
    "idempotency_key",
    "reserved_at",
    "expires_at",
)
_STATE: Final = (
    *(_RESERVATIONS.c[name] for name in _NAMES),
    sql_cast(_RESERVATIONS.c.metadata, Text).label("terms"),
)
_IN_IDS: Final = bindparam("ids", type_=Uuid(), expanding=True)
_NAMED: Final = select(*_STATE).where(_RESERVATIONS.c.id.in_(_IN_IDS)).order_by(_RESERVATIONS.c.id)
_BY_ID: Final = Prepared(_NAMED)
_LOCK_BY_ID: Final = Prepared(_NAMED, locks=BudgetReservation)
_LOCK_OPEN: Final = Prepared(
    select(*_STATE)
    .where(
        _RESERVATIONS.c.id.in_(_IN_IDS),
        _RESERVATIONS.c.state.in_(bindparam("states", type_=String(), expanding=True)),
    )
    .order_by(_RESERVATIONS.c.id),
    locks=BudgetReservation,
)
_HOLDS_OF: Final = Prepared(
    select(*_HOLDS.columns).where(_HOLDS.c.reservation_id.in_(_IN_IDS)).order_by(_HOLDS.c.budget_id)
)
_OPEN_HOLDS_OF: Final = Prepared(
    select(*_HOLDS.columns, _BUDGETS.c.allocated_amount, _BUDGETS.c.used_amount)
    .join(_BUDGETS, _BUDGETS.c.id == _HOLDS.c.budget_id)
    .where(_HOLDS.c.reservation_id.in_(_IN_IDS))
    .order_by(_HOLDS.c.budget_id)
)


async def find_reservations(
    tx: ReadTx, ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, ReservationState]:
    """Return calls by id."""
    rows = await _BY_ID.rows(tx, {"ids": list(ids)})
    return {row[0]: ReservationState(*row) for row in rows}


async def lock_reservations(
    tx: WriteTx, ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, ReservationState]:
    """Lock calls, in the order of their ids."""
    rows = await _LOCK_BY_ID.rows(tx, {"ids": list(ids)})
    return {row[0]: ReservationState(*row) for row in rows}


async def lock_open(tx: WriteTx, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, ReservationState]:
    """Lock those of some calls that are open, in the order of their ids."""
    rows = await _LOCK_OPEN.rows(tx, {"ids": list(ids), "states": OPEN_STATES})
    return {row[0]: ReservationState(*row) for row in rows}


async def find_by_keys(
    tx: ReadTx, keys: Sequence[tuple[uuid.UUID, str]]
) -> dict[uuid.UUID, ReservationState]:
    """Return the calls that used a key in an execution."""
    if not keys:
        return {}
    used = [
        and_(_RESERVATIONS.c.execution_id == execution_id, _RESERVATIONS.c.idempotency_key == key)
        for execution_id, key in keys
    ]
    rows = await tx.session.execute(select(*_STATE).where(or_(*used)))
    return {row[0]: ReservationState(*row) for row in rows}


async def lock_left_over(
    tx: WriteTx, instance_ids: Collection[uuid.UUID], now: datetime
) -> list[ReservationState]:
    """Lock the open calls of instances, and those of anybody whose hold has expired."""
    query: Select[*tuple[Any, ...]] = (
        select(*_STATE)
        .where(
            _RESERVATIONS.c.state.in_(OPEN_STATES),
            or_(
                _RESERVATIONS.c.instance_id.in_(instance_ids),
                _RESERVATIONS.c.expires_at <= now,
            ),
        )
        .order_by(_RESERVATIONS.c.id)
    )
    rows = await tx.session.execute(tx.dialect.for_update(query, BudgetReservation))
    return [ReservationState(*row) for row in rows]


async def lock_open_calls(
    tx: WriteTx, project_id: uuid.UUID, task_id: uuid.UUID | None, since: datetime
) -> list[uuid.UUID]:
    """Lock the open calls of a project, or of a task and all below it, in the order of their ids.

    None of them can end before this transaction does.
    """
    query = (
        select(BudgetReservation.id)
        .where(
            BudgetReservation.project_id == project_id,
            BudgetReservation.state.in_(OPEN_STATES),
            BudgetReservation.reserved_at >= since,
        )
        .order_by(BudgetReservation.id)
    )
    if task_id is not None:
        query = query.where(BudgetReservation.task_id.in_(subtree(task_id)))
    return list(await tx.session.scalars(tx.dialect.for_update(query, BudgetReservation)))


async def holds_of(tx: ReadTx, reservation_ids: Collection[uuid.UUID]) -> list[HoldState]:
    """Return the holds of calls."""
    if not reservation_ids:
        return []
    rows = await _HOLDS_OF.rows(tx, {"ids": list(reservation_ids)})
    return [HoldState(*row) for row in rows]


async def open_holds_of(tx: ReadTx, reservation_ids: Collection[uuid.UUID]) -> list[OpenHold]:
    """Return the holds of calls, each with what its budget had free of holds a moment ago."""
    if not reservation_ids:
        return []
    rows = await _OPEN_HOLDS_OF.rows(tx, {"ids": list(reservation_ids)})
    return [OpenHold(*hold, free_of_holds=allocated - used) for *hold, allocated, used in rows]


async def admit_calls(
    tx: WriteTx,
    calls: Sequence[ReservationState],
    holds: Sequence[HoldState],
    updates: Sequence[BudgetUpdate],
    now: datetime,
) -> None:
    """Insert admitted calls, on their way from this commit on, and move what they hold.

    The budgets must be locked.
    """
    if calls:
        columns = {name: [getattr(call, name) for call in calls] for name in _NAMES}
        columns["metadata"] = [call.terms for call in calls]
        sent = {"forwarded_at": now, "finished_at": None}
        await write_rows(
            tx,
            (_INSERT_RESERVATIONS, Rows(columns, sent)),
            (_INSERT_HOLDS, _hold_rows(holds)),
            _moved(updates, now),
        )


async def insert_holds(tx: WriteTx, holds: Sequence[HoldState]) -> None:
    """Insert what calls that are there already hold of another budget."""
    await write_rows(tx, (_INSERT_HOLDS, _hold_rows(holds)))


async def end_calls(
    tx: WriteTx,
    states: Mapping[uuid.UUID, str],
    settled: Mapping[tuple[uuid.UUID, str], Decimal],
    usage: Rows,
    now: datetime,
) -> None:
    """Write how locked calls ended, what of each resource that they held was used, and the usage.

    A call holds and uses the same of a resource in all its budgets.
    """
    ended = Rows({"id": list(states), "state": list(states.values())}, {"finished_at": now})
    holds = {
        "reservation_id": [call_id for call_id, _ in settled],
        "resource_type": [kind for _, kind in settled],
        "settled_amount": list(settled.values()),
    }
    await write_rows(
        tx, (_SAVE_RESERVATIONS, ended), (_SAVE_HOLDS, Rows(holds)), (_INSERT_USAGE, usage)
    )


async def insert_usage(tx: WriteTx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert usage rows, which all have the same columns."""
    if rows:
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        await write_rows(tx, (_INSERT_USAGE, Rows(columns)))


async def move_budgets(
    tx: WriteTx, updates: Sequence[BudgetUpdate], now: datetime
) -> list[BudgetState]:
    """Add to the amounts of budgets, which are locked here, in the order of their ids.

    Comes last in a transaction: what holds these locks holds up every other call. Returns the
    budgets as they were.
    """
    if not updates:
        return []
    budgets = await lock_budgets_by_id(tx, [one.id for one in updates])
    await write_rows(tx, _moved(updates, now))
    return budgets


def _moved(updates: Sequence[BudgetUpdate], now: datetime) -> tuple[Statement, Rows]:
    columns = {
        "id": [one.id for one in updates],
        "used_amount": [one.used for one in updates],
        "reserved_amount": [one.reserved for one in updates],
    }
    return _MOVE_BUDGETS, Rows(columns, {"updated_at": now})


def _hold_rows(holds: Sequence[HoldState]) -> Rows:
    names = ("reservation_id", "budget_id", "resource_type", "amount", "settled_amount")
    return Rows({name: list(map(attrgetter(name), holds)) for name in names})
