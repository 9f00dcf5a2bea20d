"""Holding the worst case of calls: all budgets that match a call, or none of them.

A batch reads and locks everything it needs first, then decides item by item in the given order, and
writes once. Budgets are locked in the order of their ids, so that batches cannot deadlock.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final

from autovibe.db import WriteTx
from autovibe.domains.metering import repository
from autovibe.domains.metering.messages import (
    no_budget_text,
    shortage_message,
    shortage_text,
    terms_text,
)
from autovibe.domains.metering.periods import period_bounds, utc_day
from autovibe.domains.metering.state import (
    BudgetKey,
    BudgetState,
    BudgetUpdate,
    HoldState,
    ReservationState,
)
from autovibe.domains.projects import get_project
from autovibe.domains.projects.errors import ProjectNotFoundError
from autovibe.kernel.context import CallContext
from autovibe.kernel.money import ZERO, parse_decimal, to_text
from autovibe.v1 import metering_pb2

MONEY: Final = "money"
_DEFAULT_TTL_S: Final = 3_600
_REMEMBERED_S: Final = 60
_MOST_SCOPES: Final = 1_000


@dataclass(slots=True)
class _Wanted:
    """A reservation as it was asked for, with its ids parsed.

    `own_key` is its idempotency key, `None` when that is just the id.
    """

    call: ReservationState
    order_id: uuid.UUID | None
    amounts: dict[str, Decimal]
    money_floor: Decimal | None
    own_key: str | None
    provider_key: uuid.UUID | None


@dataclass
class _Batch:
    """What a batch has read and locked, and what it is going to write."""

    lines: dict[uuid.UUID, frozenset[uuid.UUID]]
    generations: dict[uuid.UUID, int]
    budgets: list[BudgetState]
    known: dict[uuid.UUID, ReservationState]
    known_holds: list[HoldState]
    paused: dict[uuid.UUID, timedelta]
    admitted: list[ReservationState] = field(default_factory=list)
    holds: list[HoldState] = field(default_factory=list)
    reserved: dict[uuid.UUID, Decimal] = field(default_factory=dict)


class OpenedPeriods:
    """Remembers for a minute that all periods of a day have been opened for a set of budgets.

    Only a minute: another host's clock may still be before midnight, and set a budget there.
    """

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._until: dict[tuple[object, ...], float] = {}

    def known(self, scope: tuple[object, ...], now: float) -> bool:
        """Return whether nothing has to be opened."""
        return self._until.get(scope, now) > now

    def remember(self, scope: tuple[object, ...], now: float) -> None:
        """Take note that nothing had to be opened."""
        if len(self._until) >= _MOST_SCOPES:
            self._until.clear()
        self._until[scope] = now + _REMEMBERED_S


async def reserve_many(
    tx: WriteTx,
    ctx: CallContext,
    reservations: Sequence[metering_pb2.Reservation],
    opened: OpenedPeriods,
) -> list[metering_pb2.ReserveVerdict]:
    """Decide on calls in the given order; the verdicts hold once the transaction has committed."""
    now = ctx.clock.now()
    wanted = [_parse(reservation, now) for reservation in reservations]
    batch = await _read_and_lock(tx, wanted, opened, now, ctx.clock.monotonic())
    verdicts = [await _decide(tx, batch, one) for one in wanted]
    updates = [BudgetUpdate(key, ZERO, reserved) for key, reserved in batch.reserved.items()]
    await repository.admit_calls(tx, batch.admitted, batch.holds, updates, now)
    return verdicts


def _parse(reservation: metering_pb2.Reservation, now: datetime) -> _Wanted:
    amounts: dict[str, Decimal] = {}
    for item in reservation.amounts:
        kind = item.resource_type
        amount = parse_decimal(item.amount, f"{kind} amount")
        amounts[kind] = amounts[kind] + amount if kind in amounts else amount
    floor = reservation.money_floor
    call_id = uuid.UUID(reservation.id)
    call = ReservationState(
        id=call_id,
        project_id=_shared_id(reservation.project_id),
        task_id=_shared_id_or_none(reservation.task_id),
        machine_id=_shared_id_or_none(reservation.machine_id),
        execution_id=_shared_id_or_none(reservation.execution_id),
        lease_generation=reservation.lease_generation,
        instance_id=_shared_id(reservation.instance_id),
        state="forwarded",
        idempotency_key=reservation.idempotency_key or str(call_id),
        reserved_at=now,
        expires_at=now + timedelta(seconds=reservation.ttl_s or _DEFAULT_TTL_S),
        terms=terms_text(reservation.terms),
    )
    return _Wanted(
        call=call,
        order_id=_shared_id_or_none(reservation.work_order_id),
        amounts=amounts,
        money_floor=parse_decimal(floor, "money_floor") if floor else None,
        own_key=reservation.idempotency_key or None,
        provider_key=_shared_id_or_none(reservation.provider_key),
    )


# The calls of a machine name the same project, task, execution and so on again and again.
_shared_id: Final = lru_cache(4096)(uuid.UUID)


def _shared_id_or_none(text: str) -> uuid.UUID | None:
    return _shared_id(text) if text else None


async def _read_and_lock(
    tx: WriteTx, wanted: Sequence[_Wanted], opened: OpenedPeriods, now: datetime, seconds: float
) -> _Batch:
    """Read and lock what these calls touch.

    Args:
        tx: the transaction.
        wanted: the calls.
        opened: remembers which periods have been opened.
        now: the time of the holds; the clock may have passed midnight since.
        seconds: the monotonic clock.
    """
    await repository.lock_quickly(tx)
    projects = {one.call.project_id for one in wanted}
    await repository.keep_budgets_of(tx, projects)
    keys = [
        (one.call.execution_id, one.own_key)
        for one in wanted
        if one.call.execution_id is not None and one.own_key is not None
    ]
    known = await repository.find_reservations(tx, [one.call.id for one in wanted])
    known |= await repository.find_by_keys(tx, keys)
    known_holds = await repository.holds_of(tx, list(known))
    orders = {one.order_id for one in wanted if one.order_id is not None}
    generations = await repository.lease_generations(tx, orders)
    paused = await _paused(tx, wanted, now)
    tasks = {one.call.task_id for one in wanted if one.call.task_id is not None}
    lines = await repository.task_lines(tx, tasks)
    kinds = {MONEY} | {kind for one in wanted for kind in one.amounts}
    in_lines = {task_id for line in lines.values() for task_id in line}
    today = utc_day(now)
    scope = (today, frozenset(projects), frozenset(in_lines), frozenset(kinds))
    if not opened.known(scope, seconds) and not await open_periods(
        tx, projects, in_lines, kinds, now
    ):
        opened.remember(scope, seconds)
    budgets = await repository.lock_budgets(tx, projects, in_lines, kinds, today)
    return _Batch(lines, generations, budgets, known, known_holds, paused)


async def _paused(
    tx: WriteTx, wanted: Sequence[_Wanted], now: datetime
) -> dict[uuid.UUID, timedelta]:
    """Return for how long the keys of providers that calls name are paused still."""
    keys = {one.provider_key for one in wanted if one.provider_key is not None}
    paused = await repository.paused_keys(tx, keys, now)
    return {key: opens_at - now for key, opens_at in paused.items()}


def _parked(one: _Wanted, pause: timedelta) -> metering_pb2.ReserveVerdict:
    verdict = _refusal(
        one,
        "PROVIDER_PARKED",
        "The quota of the provider's key is used up, as another process was told; wait for it.",
    )
    verdict.parked_ms = max(1, pause // timedelta(milliseconds=1))
    return verdict


async def open_periods(
    tx: WriteTx, projects: set[uuid.UUID], tasks: set[uuid.UUID], kinds: set[str], now: datetime
) -> int:
    """Insert the rows of periods that have begun since the last call, and count them (D4)."""
    today = utc_day(now)
    ended = await repository.ended_budgets(
        tx, today, project_ids=projects, task_ids=tasks, resource_types=kinds
    )
    for last in ended:
        await open_next(tx, last, now)
    return len(ended)


async def open_next(tx: WriteTx, last: BudgetState, now: datetime) -> None:
    """Insert the row of the present period of a budget whose newest row has ended."""
    key = BudgetKey(last.project_id, last.task_id, last.resource_type, last.budget_period)
    values = {"allocated_amount": last.allocated_amount, "unit": last.unit, "auto_reset": True}
    bounds = period_bounds(last.budget_period, utc_day(now))
    await repository.open_budget(tx, key, bounds, values, now)


async def _decide(tx: WriteTx, batch: _Batch, one: _Wanted) -> metering_pb2.ReserveVerdict:
    repeated = _repeated(batch, one)
    if repeated is not None:
        return repeated
    if _lease_is_lost(batch, one):
        return _refusal(
            one,
            "LEASE_LOST",
            "The work order of this machine was given to another worker; stop the machine.",
        )
    pause = batch.paused.get(one.provider_key) if one.provider_key else None
    if pause is not None:
        return _parked(one, pause)
    line = _line(batch, one)
    matching = {
        kind: [budget for budget in batch.budgets if _matches(budget, kind, one, line)]
        for kind in one.amounts.keys() | {MONEY}
    }
    if not matching[MONEY]:
        name = await _project_name(tx, one.call.project_id)
        return _refusal(one, "NO_BUDGET", no_budget_text(name, one.call.task_id))
    money = _money_that_fits(one, matching[MONEY])
    for kind, amount in one.amounts.items():
        needed = one.money_floor if kind == MONEY and one.money_floor is not None else amount
        if kind == MONEY and money is not None:
            continue
        short = _shortest(matching[kind], needed)
        if short is not None:
            return await _does_not_fit(tx, one, short, needed)
    return _admit(batch, one, matching, money)


def _repeated(batch: _Batch, one: _Wanted) -> metering_pb2.ReserveVerdict | None:
    """Return the verdict of an id or key that was seen before."""
    call = one.call
    known = batch.known.get(call.id)
    if known is None and call.execution_id is not None and one.own_key is not None:
        known = next(
            (
                other
                for other in batch.known.values()
                if (other.execution_id, other.idempotency_key)
                == (call.execution_id, call.idempotency_key)
            ),
            None,
        )
    if known is None:
        return None
    holds = [hold for hold in batch.known_holds if hold.reservation_id == known.id]
    if known.state in repository.OPEN_STATES and _is_same_call(one, known):
        return metering_pb2.ReserveVerdict(
            id=str(call.id), admitted=True, money_held=to_text(_held(holds, MONEY) or ZERO)
        )
    return _refusal(
        one,
        "DUPLICATE_CALL",
        f"Call {known.id} used this id or key already and is {known.state}; send the request "
        "under a new one.",
    )


def _is_same_call(one: _Wanted, known: ReservationState) -> bool:
    call = one.call
    return (
        known.id == call.id
        and known.project_id == call.project_id
        and known.task_id == call.task_id
        and known.machine_id == call.machine_id
        and known.execution_id == call.execution_id
        and known.instance_id == call.instance_id
        and known.idempotency_key == call.idempotency_key
        and known.lease_generation == call.lease_generation
        and json.loads(known.terms) == json.loads(call.terms)
    )


def _lease_is_lost(batch: _Batch, one: _Wanted) -> bool:
    if one.order_id is None:
        return False
    return batch.generations.get(one.order_id) != one.call.lease_generation


def _line(batch: _Batch, one: _Wanted) -> frozenset[uuid.UUID]:
    task_id = one.call.task_id
    return frozenset() if task_id is None else batch.lines.get(task_id, frozenset((task_id,)))


def _matches(budget: BudgetState, kind: str, one: _Wanted, line: frozenset[uuid.UUID]) -> bool:
    return (
        budget.resource_type == kind
        and budget.project_id == one.call.project_id
        and (budget.task_id is None or budget.task_id in line)
    )


def _money_that_fits(one: _Wanted, budgets: Sequence[BudgetState]) -> Decimal | None:
    """Return the amount to hold: all, or what is left if that is at least the floor; else none."""
    amount = one.amounts.get(MONEY, ZERO)
    left = min(budget.available for budget in budgets)
    if left >= amount:
        return amount
    if one.money_floor is not None and left >= one.money_floor:
        return left
    return None


def _shortest(budgets: Sequence[BudgetState], needed: Decimal) -> BudgetState | None:
    """Return the budget that refuses, one that is short even without holds before others."""
    short = [budget for budget in budgets if budget.available < needed]
    return min(short, key=lambda budget: (budget.free_of_holds, budget.available), default=None)


async def _does_not_fit(
    tx: WriteTx, one: _Wanted, short: BudgetState, needed: Decimal
) -> metering_pb2.ReserveVerdict:
    held = short.free_of_holds >= needed
    name = await _project_name(tx, one.call.project_id)
    verdict = _refusal(
        one,
        "BUDGET_HELD" if held else "BUDGET_EXHAUSTED",
        shortage_text(short, needed, name, held=held),
    )
    verdict.shortage.CopyFrom(shortage_message(short, needed))
    return verdict


def _admit(
    batch: _Batch,
    one: _Wanted,
    matching: dict[str, list[BudgetState]],
    money: Decimal | None,
) -> metering_pb2.ReserveVerdict:
    holds: list[HoldState] = []
    for kind, amount in one.amounts.items():
        granted = money if kind == MONEY and money is not None else amount
        for budget in matching[kind]:
            budget.reserved_amount += granted
            batch.reserved[budget.id] = batch.reserved.get(budget.id, ZERO) + granted
            holds.append(HoldState(one.call.id, budget.id, kind, granted, None))
    batch.holds += holds
    batch.admitted.append(one.call)
    batch.known[one.call.id] = one.call
    batch.known_holds += holds
    return metering_pb2.ReserveVerdict(
        id=str(one.call.id), admitted=True, money_held=to_text(money or ZERO)
    )


def _held(holds: Sequence[HoldState], kind: str) -> Decimal | None:
    return min((hold.amount for hold in holds if hold.resource_type == kind), default=None)


def _refusal(one: _Wanted, reason: str, message: str) -> metering_pb2.ReserveVerdict:
    return metering_pb2.ReserveVerdict(id=str(one.call.id), reason=reason, message=message)


async def _project_name(tx: WriteTx, project_id: uuid.UUID) -> str:
    try:
        return (await get_project(tx, str(project_id))).name
    except ProjectNotFoundError:
        return str(project_id)
