"""Queries on calls and what they hold."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import (
    Select,
    Table,
    Uuid,
    and_,
    bindparam,
    insert,
    or_,
    select,
    update,
)

from autovibe.db import ReadTx, WriteTx
from autovibe.db.prepared import Prepared
from autovibe.domains.metering.models import (
    BudgetHold,
    BudgetReservation,
)
from autovibe.domains.metering.repository.references import subtree
from autovibe.domains.metering.state import (
    HoldState,
    ReservationState,
)

OPEN_STATES: Final = ("reserved", "forwarded", "uncertain")
_RESERVATIONS: Final = cast("Table", BudgetReservation.__table__)
_HOLDS: Final = cast("Table", BudgetHold.__table__)
_SAVE_HOLDS: Final = Prepared(
    update(_HOLDS)
    .where(_HOLDS.c.id == bindparam("key"))
    .values(settled_amount=bindparam("settled"))
)
_SAVE_RESERVATIONS: Final = Prepared(
    update(_RESERVATIONS)
    .where(_RESERVATIONS.c.id == bindparam("key"))
    .values(state=bindparam("new_state"), finished_at=bindparam("now"))
)
_INSERT_RESERVATIONS: Final = Prepared(insert(_RESERVATIONS))
_INSERT_HOLDS: Final = Prepared(insert(_HOLDS))
_RESERVATION_COLUMNS: Final = [
    c for c in _RESERVATIONS.columns if c.name not in {"forwarded_at", "finished_at"}
]
_NAMED: Final = (
    select(*_RESERVATION_COLUMNS)
    .where(_RESERVATIONS.c.id.in_(bindparam("ids", type_=Uuid(), expanding=True)))
    .order_by(_RESERVATIONS.c.id)
)
_BY_ID: Final = Prepared(_NAMED)
_LOCK_BY_ID: Final = Prepared(_NAMED, locks=BudgetReservation)
_HOLDS_OF: Final = Prepared(
    select(*_HOLDS.columns)
    .where(_HOLDS.c.reservation_id.in_(bindparam("ids", type_=Uuid(), expanding=True)))
    .order_by(_HOLDS.c.budget_id)
)


async def find_reservations(
    tx: ReadTx, ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, ReservationState]:
    """Return calls by id."""
    rows = await _BY_ID.rows(tx, {"ids": list(ids)})
    return {row["id"]: _reservation(row) for row in rows}


async def lock_reservations(
    tx: WriteTx, ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, ReservationState]:
    """Lock calls, in the order of their ids."""
    rows = await _LOCK_BY_ID.rows(tx, {"ids": list(ids)})
    return {row["id"]: _reservation(row) for row in rows}


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
    rows = await tx.session.execute(select(*_RESERVATION_COLUMNS).where(or_(*used)))
    return {row["id"]: _reservation(dict(row)) for row in rows.mappings()}


async def lock_left_over(
    tx: WriteTx, instance_ids: Collection[uuid.UUID], now: datetime
) -> list[ReservationState]:
    """Lock the open calls of instances, and those of anybody whose hold has expired."""
    query = (
        select(BudgetReservation)
        .where(
            BudgetReservation.state.in_(OPEN_STATES),
            or_(
                BudgetReservation.instance_id.in_(instance_ids),
                BudgetReservation.expires_at <= now,
            ),
        )
        .order_by(BudgetReservation.id)
    )
    return await _reservations(tx, tx.dialect.for_update(query, BudgetReservation))


async def open_calls(
    tx: ReadTx, project_id: uuid.UUID, task_id: uuid.UUID | None, since: datetime
) -> list[uuid.UUID]:
    """Return the open calls of a project, or of a task and all below it."""
    query = select(BudgetReservation.id).where(
        BudgetReservation.project_id == project_id,
        BudgetReservation.state.in_(OPEN_STATES),
        BudgetReservation.reserved_at >= since,
    )
    if task_id is not None:
        query = query.where(BudgetReservation.task_id.in_(subtree(task_id)))
    return list(await tx.session.scalars(query))


async def holds_of(tx: ReadTx, reservation_ids: Collection[uuid.UUID]) -> list[HoldState]:
    """Return the holds of calls."""
    if not reservation_ids:
        return []
    rows = await _HOLDS_OF.rows(tx, {"ids": list(reservation_ids)})
    return [HoldState(**row) for row in rows]


async def insert_calls(
    tx: WriteTx, reservations: Sequence[ReservationState], holds: Sequence[HoldState]
) -> None:
    """Insert admitted calls, on their way from this commit on, and what they hold."""
    if reservations:
        rows = [
            {
                **_without_terms(call),
                "metadata": call.terms,
                "forwarded_at": call.reserved_at if call.state == "forwarded" else None,
            }
            for call in reservations
        ]
        await _INSERT_RESERVATIONS.many(tx, rows)
    if holds:
        await _INSERT_HOLDS.many(tx, [vars(hold) for hold in holds])


async def finish_calls(
    tx: WriteTx, states: Mapping[uuid.UUID, str], holds: Sequence[HoldState], now: datetime
) -> None:
    """Write how calls ended and what of each hold was used."""
    if states:
        rows = [{"key": key, "new_state": state, "now": now} for key, state in states.items()]
        await _SAVE_RESERVATIONS.many(tx, rows)
    if holds:
        settled = [{"key": hold.id, "settled": hold.settled_amount} for hold in holds]
        await _SAVE_HOLDS.many(tx, settled)


def _without_terms(call: ReservationState) -> dict[str, object]:
    values = dict(vars(call))
    del values["terms"]
    return values


async def _reservations(tx: ReadTx, query: Select[BudgetReservation]) -> list[ReservationState]:
    rows = await tx.session.execute(query.with_only_columns(*_RESERVATION_COLUMNS))
    return [_reservation(dict(row)) for row in rows.mappings()]


def _reservation(row: Mapping[Any, Any]) -> ReservationState:
    values = dict(row)
    return ReservationState(terms=values.pop("metadata"), **values)
