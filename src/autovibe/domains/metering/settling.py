"""Ending calls: what was held becomes used, exactly in the budgets that were held from.

A settlement is never refused: the cost has been incurred. More than was held is recorded all the
same, counted as an overrun, and blocks what follows.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from autovibe.db import WriteTx
from autovibe.db.row_writes import Rows
from autovibe.domains.metering import repository
from autovibe.domains.metering.call_rows import UNCERTAIN, UsageRow, usage_rows
from autovibe.domains.metering.levels import warn_of_settled_budgets
from autovibe.domains.metering.state import (
    BudgetUpdate,
    HoldState,
    OpenHold,
    ReservationState,
)
from autovibe.kernel.context import CallContext
from autovibe.kernel.money import ZERO, parse_decimal
from autovibe.v1 import metering_pb2

API_CALLS: Final = "api_calls"
_ONE_CALL: Final = Decimal(1)


@dataclass
class _Batch:
    """What a batch has locked, and what it is going to write."""

    calls: dict[uuid.UUID, ReservationState]
    holds: dict[uuid.UUID, list[OpenHold]]
    ended: dict[uuid.UUID, str] = field(default_factory=dict)
    settled: dict[tuple[uuid.UUID, str], Decimal] = field(
        default_factory=dict[tuple[uuid.UUID, str], Decimal]
    )
    used: dict[uuid.UUID, Decimal] = field(default_factory=dict)
    freed: dict[uuid.UUID, Decimal] = field(default_factory=dict)
    usage: list[UsageRow] = field(default_factory=list)


async def settle_many(
    tx: WriteTx, ctx: CallContext, settlements: Sequence[metering_pb2.Settlement]
) -> list[metering_pb2.SettleVerdict]:
    """End calls; the verdicts hold once the transaction has committed."""
    await repository.lock_quickly(tx)
    ids = {uuid.UUID(settlement.id) for settlement in settlements}
    calls = await repository.lock_open(tx, ids)
    batch = _Batch(calls, await _holds(tx, calls))
    before = await _ended_before(tx, ids - calls.keys())
    verdicts = [_settle(batch, before, settlement) for settlement in settlements]
    now = ctx.clock.now()
    await _write(tx, batch, now)
    await _pause_keys(tx, settlements, now)
    return verdicts


async def _pause_keys(
    tx: WriteTx, settlements: Sequence[metering_pb2.Settlement], now: datetime
) -> None:
    """Let all processes wait for the keys of providers whose quota calls have found used up."""
    opens_at: dict[uuid.UUID, datetime] = {}
    for one in settlements:
        if one.provider_key and one.parked_ms:
            key, time = uuid.UUID(one.provider_key), now + timedelta(milliseconds=one.parked_ms)
            opens_at[key] = max(time, opens_at.get(key, time))
    if opens_at:
        await repository.pause_keys(tx, opens_at)


async def recover(
    tx: WriteTx, ctx: CallContext, instance_ids: Sequence[str]
) -> metering_pb2.RecoverReservationsResponse:
    """End the open calls of dead instances, and those whose hold has expired, by the crash rules.

    What was never forwarded is released. What was forwarded may have been billed: it is settled at
    its full hold and marked uncertain, never freed in silence.
    """
    now = ctx.clock.now()
    dead = {uuid.UUID(instance_id) for instance_id in instance_ids}
    left_over = await repository.lock_left_over(tx, dead, now)
    calls = {call.id: call for call in left_over}
    batch = _Batch(calls, await _holds(tx, calls))
    response = metering_pb2.RecoverReservationsResponse()
    for call in left_over:
        if call.state == "reserved":
            _release(batch, call, "released" if call.instance_id in dead else "expired")
            response.released += 1
        else:
            _settle_open(batch, call, metering_pb2.Settlement(id=str(call.id), outcome=UNCERTAIN))
            response.uncertain += 1
    await _write(tx, batch, now)
    return response


async def _holds(
    tx: WriteTx, calls: Mapping[uuid.UUID, ReservationState]
) -> dict[uuid.UUID, list[OpenHold]]:
    holds: dict[uuid.UUID, list[OpenHold]] = {call_id: [] for call_id in calls}
    for hold in await repository.open_holds_of(tx, list(calls)):
        holds[hold.reservation_id].append(hold)
    return holds


async def _ended_before(tx: WriteTx, ids: set[uuid.UUID]) -> dict[uuid.UUID, bool]:
    """Return for those of some calls that exist whether they cost more than was held."""
    if not ids:
        return {}
    calls = await repository.find_reservations(tx, ids)
    overrun = dict.fromkeys(calls, False)
    for hold in await repository.holds_of(tx, list(calls)):
        overrun[hold.reservation_id] |= _is_overrun(hold)
    return overrun


async def _write(tx: WriteTx, batch: _Batch, now: datetime) -> None:
    """Write rows first and the budgets, which every call waits for, last."""
    columns = zip(*batch.usage, strict=True) if batch.usage else ()
    usage = Rows(dict(zip(UsageRow._fields, columns, strict=False)), {"enforcement": "authorise"})
    await repository.end_calls(tx, batch.ended, batch.settled, usage, now)
    updates = [
        BudgetUpdate(budget_id, batch.used[budget_id], -freed)
        for budget_id, freed in batch.freed.items()
    ]
    before = await repository.move_budgets(tx, updates, now)
    after = [
        replace(budget, used_amount=budget.used_amount + batch.used[budget.id]) for budget in before
    ]
    used_before = {budget.id: budget.used_amount for budget in before}
    await warn_of_settled_budgets(tx, after, used_before, now)


def _settle(
    batch: _Batch, before: Mapping[uuid.UUID, bool], settlement: metering_pb2.Settlement
) -> metering_pb2.SettleVerdict:
    call_id = uuid.UUID(settlement.id)
    call = batch.calls.get(call_id)
    if call is None:
        if call_id not in before:
            return metering_pb2.SettleVerdict(id=settlement.id, reason="RESERVATION_NOT_FOUND")
        return metering_pb2.SettleVerdict(id=settlement.id, duplicate=True, overrun=before[call_id])
    duplicate = call_id in batch.ended
    if not duplicate:
        if settlement.outcome == "released":
            _release(batch, call, "released")
        else:
            _settle_open(batch, call, settlement)
    overrun = any(_is_overrun(hold) for hold in batch.holds[call_id])
    return metering_pb2.SettleVerdict(id=settlement.id, duplicate=duplicate, overrun=overrun)


def _is_overrun(hold: HoldState) -> bool:
    return hold.settled_amount is not None and hold.settled_amount > hold.amount


def _release(batch: _Batch, call: ReservationState, state: str) -> None:
    for hold in batch.holds[call.id]:
        _move(batch, hold, ZERO)
    _end(batch, call, state)


def _settle_open(
    batch: _Batch, call: ReservationState, settlement: metering_pb2.Settlement
) -> None:
    holds = batch.holds[call.id]
    amounts = _settled_amounts(holds, settlement)
    for hold in holds:
        _move(batch, hold, amounts[hold.resource_type])
    batch.usage += usage_rows(call, amounts, settlement, over_budget=_is_over(batch, call))
    _end(batch, call, "settled")


def _settled_amounts(
    holds: Sequence[HoldState], settlement: metering_pb2.Settlement
) -> dict[str, Decimal]:
    """Return what was used of each resource.

    What is not told counts as all that was held. Every call counts as one, whether or not a
    budget of calls was held from.
    """
    amounts = {API_CALLS: _ONE_CALL}
    for hold in holds:
        amounts[hold.resource_type] = hold.amount
    if settlement.outcome == "settled":
        amounts |= {
            item.resource_type: parse_decimal(item.amount, f"{item.resource_type} amount")
            for item in settlement.amounts
        }
    return amounts


def _move(batch: _Batch, hold: OpenHold, used: Decimal) -> None:
    budget_id = hold.budget_id
    batch.freed[budget_id] = batch.freed.get(budget_id, ZERO) + hold.amount
    batch.used[budget_id] = batch.used.get(budget_id, ZERO) + used
    hold.settled_amount = used
    batch.settled[hold.reservation_id, hold.resource_type] = used


def _end(batch: _Batch, call: ReservationState, state: str) -> None:
    batch.ended[call.id] = state


def _is_over(batch: _Batch, call: ReservationState) -> bool:
    """Return whether a budget is overdrawn now.

    One that another process overdraws at this moment is seen by the next call only.
    """
    return any(
        hold.free_of_holds < batch.used[hold.budget_id] or _is_overrun(hold)
        for hold in batch.holds[call.id]
    )
