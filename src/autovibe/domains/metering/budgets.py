"""Setting and listing budgets."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.metering import repository
from autovibe.domains.metering.errors import BudgetBelowUseError, NoBudgetError
from autovibe.domains.metering.messages import UNITS, budget_message
from autovibe.domains.metering.periods import (
    LAST_DAY,
    period_bounds,
    start_of,
    utc_day,
)
from autovibe.domains.metering.rates import find_rate
from autovibe.domains.metering.reserving import MONEY
from autovibe.domains.metering.settling import API_CALLS
from autovibe.domains.metering.state import (
    BudgetKey,
    BudgetState,
    BudgetUpdate,
    HoldState,
)
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.money import ZERO, parse_amount, parse_decimal, to_text
from autovibe.v1 import metering_pb2

UNLIMITED: Final = Decimal("999999999.999999")
"""The largest amount that a column holds; a cap of this size never refuses."""
PLACE: Final = ("task_id", "project_id", "resource_type", "budget_period", "period_start")
_SIX_PLACES: Final = Decimal("0.000001")
_END_OF_TIME: Final = start_of(LAST_DAY)


@dataclass(frozen=True)
class TaskSpend:
    """What a task has cost. `cap_cad` is `None` when it has no money budget of its own."""

    cost_cad: Decimal
    api_calls: int
    cap_cad: Decimal | None


async def set_budget(
    tx: WriteTx, ctx: CallContext, key: BudgetKey, allocated: Decimal, *, force: bool
) -> BudgetState:
    """Set what may be used in the current and the following periods of a budget.

    A new budget starts with what rows say was used in its period, and holds what calls under way
    hold, so that it is exact from its first moment.

    Raises:
        BudgetBelowUseError: the amount is below what is used and held.
    """
    now = ctx.clock.now()
    day = utc_day(now)
    budget = await repository.lock_budget(tx, key, day)
    if budget is None:
        budget = await _open(tx, key, allocated, now)
    if not force and allocated < budget.used_amount + budget.reserved_amount:
        raise BudgetBelowUseError(
            f"{to_text(budget.used_amount)} {budget.unit} is used and "
            f"{to_text(budget.reserved_amount)} held of this budget already; give at least as "
            "much, or add --force, which blocks further use.",
            used=to_text(budget.used_amount),
            reserved=to_text(budget.reserved_amount),
        )
    await repository.set_allocated(tx, budget.id, allocated, now)
    return replace(budget, allocated_amount=allocated, auto_reset=True, updated_at=now)


async def raise_budget(tx: WriteTx, ctx: CallContext, key: BudgetKey, more: Decimal) -> BudgetState:
    """Add to what may be used in the current and the following periods of a budget.

    The row is locked before it is read: of two that raise at once neither is lost.

    Raises:
        NoBudgetError: there is no such budget.
        InvalidArgumentError: nothing is added, or more than a budget can hold.
    """
    now = ctx.clock.now()
    if more <= 0:
        raise InvalidArgumentError("Give an amount above 0 to add.", field="amount")
    budget = await repository.lock_budget(tx, key, utc_day(now))
    if budget is None:
        budget = await _open_next_of(tx, key, now)
    allocated = budget.allocated_amount + more
    if allocated > UNLIMITED:
        raise InvalidArgumentError(
            f"The budget would exceed {to_text(UNLIMITED)} {budget.unit}, the most that one can "
            "hold; add less.",
            field="amount",
        )
    await repository.set_allocated(tx, budget.id, allocated, now)
    return replace(budget, allocated_amount=allocated, auto_reset=True, updated_at=now)


async def _open_next_of(tx: WriteTx, key: BudgetKey, now: datetime) -> BudgetState:
    """Open the present period of a budget that had earlier ones.

    Raises:
        NoBudgetError: there is no such budget.
    """
    ended = await repository.ended_budgets(tx, utc_day(now), project_ids=[key.project_id])
    last = next((one for one in ended if _key_of(one) == key), None)
    if last is None:
        raise NoBudgetError(
            f"There is no {key.budget_period} {key.resource_type} budget to raise; set one with "
            "`autovibe budget set`.",
            resource_type=key.resource_type,
            budget_period=key.budget_period,
        )
    return await _open(tx, key, last.allocated_amount, now)


def _key_of(budget: BudgetState) -> BudgetKey:
    return BudgetKey(budget.project_id, budget.task_id, budget.resource_type, budget.budget_period)


async def share_of_parent(
    tx: ReadTx, now: datetime, key: BudgetKey, greediness: Decimal
) -> Decimal:
    """Return what a new budget gets when nobody says: greediness times what is allocated above it.

    Above a task's budget is that of the nearest task above it that has one, else the project's
    total, else its longest period. Above a project's daily, weekly or monthly budget is the next
    longer one.

    Args:
        tx: any transaction.
        now: the time.
        key: of the new budget.
        greediness: of the project, 0 to 1.

    Raises:
        InvalidArgumentError: there is nothing above it, or greediness is 0.
    """
    if not greediness:
        raise InvalidArgumentError(
            "The project's greediness is 0, so a new budget has no share; give an amount.",
            field="amount",
        )
    parent = await _parent_of(tx, now, key)
    if parent is None or parent.allocated_amount >= UNLIMITED:
        raise InvalidArgumentError(
            f"Nothing is allocated above this {key.resource_type} budget, so it has no share; give "
            "an amount.",
            field="amount",
        )
    share = parent.allocated_amount * greediness
    return share.quantize(_SIX_PLACES, rounding=ROUND_FLOOR)


async def _parent_of(tx: ReadTx, now: datetime, key: BudgetKey) -> BudgetState | None:
    periods = ("total", "monthly", "weekly", "daily")
    if key.task_id is None:
        periods = periods[: periods.index(key.budget_period)][::-1]
    else:
        for ancestor in await repository.tasks_above(tx, key.task_id):
            above = await repository.current_budgets(tx, utc_day(now), None, ancestor)
            found = next((one for one in above if one.resource_type == key.resource_type), None)
            if found is not None:
                return found
    budgets = await repository.current_budgets(tx, utc_day(now), key.project_id, None)
    budgets += await repository.ended_budgets(tx, utc_day(now), project_ids=[key.project_id])
    own = {
        one.budget_period: one
        for one in budgets
        if one.task_id is None and one.resource_type == key.resource_type
    }
    return next((own[period] for period in periods if period in own), None)


async def _open(tx: WriteTx, key: BudgetKey, allocated: Decimal, now: datetime) -> BudgetState:
    """Open the row of the current period and make it exact.

    No call may begin or end in the meantime: one that sees no budget yet moves nothing in it. Calls
    are locked before budgets, as a settlement does.
    """
    bounds = period_bounds(key.budget_period, utc_day(now))
    await repository.wait_for_calls_of(tx, key.project_id)
    calls = await repository.lock_open_calls(tx, key.project_id, key.task_id, start_of(bounds[0]))
    budget = await repository.lock_budget(tx, key, utc_day(now))
    if budget is not None:  # somebody else has opened it in the meantime
        return budget
    values = {
        "allocated_amount": allocated,
        "unit": UNITS[key.resource_type],
        "auto_reset": True,
    }
    await repository.open_budget(tx, key, bounds, values, now)
    budget = await repository.lock_budget(tx, key, utc_day(now))
    if budget is None:  # pragma: no cover - it was opened in this transaction
        raise AssertionError("the budget that was just opened is not there")
    used = await repository.used_so_far(tx, key, budget.unit, bounds)
    holds = await _holds_of_open_calls(tx, budget, calls)
    reserved = sum((hold.amount for hold in holds), ZERO)
    await repository.insert_holds(tx, holds)
    added = BudgetUpdate(budget.id, used - budget.used_amount, reserved - budget.reserved_amount)
    await repository.move_budgets(tx, [added], now)
    return replace(budget, used_amount=used, reserved_amount=reserved)


async def _holds_of_open_calls(
    tx: WriteTx, budget: BudgetState, calls: Sequence[uuid.UUID]
) -> list[HoldState]:
    """Return what the calls under way would hold of a budget, had it been there before them."""
    amounts = dict.fromkeys(calls, Decimal(1)) if budget.resource_type == API_CALLS else {}
    for hold in await repository.holds_of(tx, calls):
        if hold.resource_type == budget.resource_type:
            amounts[hold.reservation_id] = hold.amount
    return [
        HoldState(call_id, budget.id, budget.resource_type, amount, None)
        for call_id, amount in amounts.items()
    ]


async def list_budgets(
    tx: ReadTx, now: datetime, project_id: uuid.UUID | None, task_id: uuid.UUID | None
) -> list[metering_pb2.Budget]:
    """Return the budgets of the current periods by `place_of`: whole projects first.

    A period that has begun and in which nothing was called yet has no row; it is shown unused.
    """
    day = utc_day(now)
    current = await repository.current_budgets(tx, day, project_id, task_id)
    found = [(budget, True) for budget in current]
    for last in await repository.ended_budgets(tx, day, project_ids=_only(project_id)):
        if task_id is not None and last.task_id != task_id:
            continue
        start, end = period_bounds(last.budget_period, day)
        fresh = replace(
            last, period_start=start, period_end=end, used_amount=ZERO, reserved_amount=ZERO
        )
        found.append((fresh, False))
    messages = [budget_message(budget, opened=opened) for budget, opened in found]
    return sorted(messages, key=place_of)


def place_of(budget: metering_pb2.Budget) -> tuple[str, ...]:
    """Return where a budget comes in a list: by the fields of `PLACE`, which no two share.

    A budget of a whole project has no task, and the empty text comes first.
    """
    return tuple(str(getattr(budget, name)) for name in PLACE)


def _only(value: uuid.UUID | None) -> Collection[uuid.UUID] | None:
    return None if value is None else [value]


async def parse_budget_amount(
    tx: ReadTx, now: datetime, resource_type: str, text: str, max_age_days: int | None
) -> Decimal:
    """Return the amount of a budget; money may be in USD and is kept in CAD.

    Raises:
        InvalidArgumentError: the text is no amount.
        NoExchangeRateError: it is in USD and there is no rate.
    """
    if resource_type != MONEY:
        return parse_decimal(text, "amount")
    amount, currency = parse_amount(text)
    if currency == "CAD":
        return amount
    rate = await find_rate(tx, currency, now, max_age_days)
    return (amount * Decimal(rate.rate_to_cad)).quantize(_SIX_PLACES, rounding=ROUND_HALF_EVEN)


async def ensure_task_budget(
    tx: WriteTx,
    ctx: CallContext,
    project_id: uuid.UUID,
    task_id: uuid.UUID,
    amount: Decimal | None,
) -> None:
    """Give a task its cap: the money that it may cost in all (decision B3).

    Args:
        tx: the transaction that creates or resumes the task.
        ctx: who sets the cap.
        project_id: project of the task.
        task_id: a task whose row has been flushed.
        amount: the new total in CAD; `None` for no limit, which is a budget too: without any, no
            call may go out.

    Raises:
        BudgetBelowUseError: the task has cost more already.
    """
    key = BudgetKey(project_id, task_id, MONEY, "total")
    await set_budget(tx, ctx, key, UNLIMITED if amount is None else amount, force=False)


async def set_task_budget(
    tx: WriteTx, ctx: CallContext, project_id: uuid.UUID, task_id: uuid.UUID, amount: str
) -> None:
    """Give a task its cap, as `ensure_task_budget` does, from text such as `2.00CAD` or `2USD`.

    An empty text means no limit.

    Raises:
        InvalidArgumentError: the text is no amount of money.
        NoExchangeRateError: it is in USD and there is no rate.
        BudgetBelowUseError: the task has cost more already.
    """
    cap = await parse_budget_amount(tx, ctx.clock.now(), MONEY, amount, None) if amount else None
    await ensure_task_budget(tx, ctx, project_id, task_id, cap)


async def spend_of_task(tx: ReadTx, task_id: uuid.UUID) -> TaskSpend:
    """Return what a task and those below it have cost, and its cap."""
    cost, calls = await repository.spent_on_task(tx, task_id)
    # The task's cap is a total: its row is the same on every day.
    budgets = await repository.current_budgets(tx, utc_day(_END_OF_TIME), None, task_id)
    caps = [budget.allocated_amount for budget in budgets if budget.resource_type == MONEY]
    cap = caps[0] if caps and caps[0] < UNLIMITED else None
    return TaskSpend(cost, calls, cap)
