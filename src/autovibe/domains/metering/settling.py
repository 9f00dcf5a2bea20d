"""Ending calls: what was held becomes used, exactly in the budgets that were held from.

A settlement is never refused: the cost has been incurred. More than was held is recorded all the
same, counted as an overrun, and blocks what follows.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from autovibe.db import WriteTx
from autovibe.domains.metering import repository
from autovibe.domains.metering.call_rows import call_row, settled_metadata
from autovibe.domains.metering.levels import warn_of_settled_budgets
from autovibe.domains.metering.state import (
    BudgetState,
    BudgetUpdate,
    HoldState,
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
    holds: dict[uuid.UUID, list[HoldState]]
    budgets: dict[uuid.UUID, BudgetState]
    used_before: dict[uuid.UUID, Decimal]
    ended: dict[uuid.UUID, str] = field(default_factory=dict)
    changed: list[HoldState] = field(default_factory=list)
    usage: list[dict[str, object]] = field(default_factory=list)


async def settle_many(
    tx: WriteTx, ctx: CallContext, settlements: Sequence[metering_pb2.Settlement]
) -> list[metering_pb2.SettleVerdict]:
    """End calls; the verdicts hold once the transaction has committed."""
    await repository.lock_quickly(tx)
    ids = {uuid.UUID(settlement.id) for settlement in settlements}
    batch = await _lock(tx, await repository.lock_reservations(tx, ids))
    verdicts = [_settle(batch, settlement) for settlement in settlements]
    await _write(tx, batch, ctx.clock.now())
    return verdicts


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
    batch = await _lock(tx, {call.id: call for call in left_over})
    response = metering_pb2.RecoverReservationsResponse()
    for call in left_over:
        if call.state == "reserved":
            _release(batch, call, "released" if call.instance_id in dead else "expired")
            response.released += 1
        else:
            _settle_open(batch, call, metering_pb2.Settlement(id=str(call.id), outcome="uncertain"))
            response.uncertain += 1
    await _write(tx, batch, now)
    return response


async def _lock(tx: WriteTx, calls: dict[uuid.UUID, ReservationState]) -> _Batch:
    holds: dict[uuid.UUID, list[HoldState]] = {call_id: [] for call_id in calls}
    for hold in await repository.holds_of(tx, list(calls)):
        holds[hold.reservation_id].append(hold)
    still_open = {
        hold.budget_id
        for call in calls.values()
        if call.state in repository.OPEN_STATES
        for hold in holds[call.id]
    }
    budgets = await repository.lock_budgets_by_id(tx, still_open) if still_open else {}
    used = {budget.id: budget.used_amount for budget in budgets.values()}
    return _Batch(calls, holds, budgets, used)


async def _write(tx: WriteTx, batch: _Batch, now: datetime) -> None:
    await repository.insert_usage(tx, batch.usage)
    await repository.finish_calls(tx, batch.ended, batch.changed, now)
    touched = {hold.budget_id for hold in batch.changed}
    updates = [
        BudgetUpdate(budget.id, budget.used_amount, budget.reserved_amount)
        for budget in batch.budgets.values()
        if budget.id in touched
    ]
    await repository.save_budgets(tx, updates, now)
    await warn_of_settled_budgets(tx, batch.budgets.values(), batch.used_before, now)


def _settle(batch: _Batch, settlement: metering_pb2.Settlement) -> metering_pb2.SettleVerdict:
    call = batch.calls.get(uuid.UUID(settlement.id))
    verdict = metering_pb2.SettleVerdict(id=settlement.id)
    if call is None:
        verdict.reason = "RESERVATION_NOT_FOUND"
        return verdict
    if call.state not in repository.OPEN_STATES:
        verdict.duplicate = True
    elif settlement.outcome == "released":
        _release(batch, call, "released")
    else:
        _settle_open(batch, call, settlement)
    verdict.overrun = any(_is_overrun(hold) for hold in batch.holds[call.id])
    return verdict


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
    metadata = _metadata(batch, call, settlement)
    for kind, amount in amounts.items():
        if amount > 0:
            batch.usage.append(call_row(call, kind, amount, metadata))
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


def _move(batch: _Batch, hold: HoldState, used: Decimal) -> None:
    budget = batch.budgets[hold.budget_id]
    budget.reserved_amount -= hold.amount
    budget.used_amount += used
    hold.settled_amount = used
    batch.changed.append(hold)


def _end(batch: _Batch, call: ReservationState, state: str) -> None:
    # A later settlement of the same batch sees the call as ended.
    call.state = state
    batch.ended[call.id] = state


def _metadata(
    batch: _Batch, call: ReservationState, settlement: metering_pb2.Settlement
) -> metering_pb2.UsageMetadata:
    over = any(
        batch.budgets[hold.budget_id].free_of_holds < 0 or _is_overrun(hold)
        for hold in batch.holds[call.id]
    )
    return settled_metadata(settlement, over_budget=over)
