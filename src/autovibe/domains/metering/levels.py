"""How full budgets are, and the events that tell when one is nearly used up."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.metering import repository
from autovibe.domains.metering.messages import budget_message
from autovibe.domains.metering.periods import period_bounds, resets_at, utc_day
from autovibe.domains.metering.state import BudgetState
from autovibe.domains.projects import get_project
from autovibe.kernel.context import CallContext
from autovibe.kernel.money import ZERO, to_text
from autovibe.v1 import metering_pb2

SAMPLED: Final = ("time", "cpu", "memory", "storage", "network")
"""What is measured while it is used, and recorded afterwards."""
_HELD: Final = ("money", "api_calls")
WARNING_TOPIC: Final = "budgets.warning"
_LOW: Final = Decimal("0.8")


async def get_budget_levels(
    tx: ReadTx, ctx: CallContext, execution_id: uuid.UUID
) -> list[metering_pb2.BudgetLevel]:
    """Return the levels of the budgets that cover an execution, the fullest first."""
    tasks = await repository.tasks_of_executions(tx, [execution_id])
    task_id = tasks.get(execution_id)
    project_id = None if task_id is None else await repository.project_of_task(tx, task_id)
    if task_id is None or project_id is None:
        return []
    line = (await repository.task_lines(tx, [task_id]))[task_id]
    day = utc_day(ctx.clock.now())
    kinds = (*SAMPLED, *_HELD)
    budgets = await repository.budgets_of_day(tx, [project_id], line, kinds, day)
    budgets += [
        _fresh(last, day)
        for last in await repository.ended_budgets(
            tx, day, project_ids=[project_id], task_ids=line, resource_types=kinds
        )
    ]
    if not budgets:
        return []
    name = (await get_project(tx, str(project_id))).name
    budgets.sort(key=lambda budget: (budget.free_of_holds, str(budget.id)))
    return [_level(budget, name) for budget in budgets]


async def warn_of_low_budgets(
    tx: WriteTx,
    rows: Sequence[Mapping[str, Any]],
    lines: Mapping[uuid.UUID, frozenset[uuid.UUID]],
) -> None:
    """Emit an event for each budget that these rows have brought to 80 percent.

    The rows are in the database, and counted there: a budget that was below before is above now in
    this transaction and in no other, so that it is told of once.

    Args:
        tx: the transaction that inserted the rows.
        rows: what was inserted.
        lines: the task of each execution with all above it.
    """
    used: dict[tuple[Any, ...], Decimal] = {}
    for row in rows:
        key = (
            row["project_id"],
            row["resource_type"],
            row["unit"],
            row["execution_id"],
            utc_day(row["recorded_at"]),
        )
        used[key] = used.get(key, ZERO) + row["amount"]
    projects = {key[0] for key in used}
    in_lines = {task_id for line in lines.values() for task_id in line}
    kinds = {key[1] for key in used}
    for day in sorted({key[4] for key in used}):
        for budget in await repository.budgets_of_day(tx, projects, in_lines, kinds, day):
            added = _added(budget, used, lines, day)
            if added and _is_low(budget) and not _is_low(budget, before=added):
                tx.emit(WARNING_TOPIC, _payload(budget))


async def warn_of_settled_budgets(
    tx: WriteTx,
    budgets: Iterable[BudgetState],
    used_before: Mapping[uuid.UUID, Decimal],
    now: datetime,
) -> None:
    """Emit an event for each budget that settled calls have brought to 80 percent.

    Args:
        tx: the transaction that settles; it holds the locks of these budgets.
        budgets: as they are now.
        used_before: what was used of them when they were locked.
        now: the time.
    """
    for budget in budgets:
        added = budget.used_amount - used_before[budget.id]
        if added > 0 and _is_low(budget) and not _is_low(budget, before=added):
            await tx.emit_at_once(WARNING_TOPIC, _payload(budget), now)


def _added(
    budget: BudgetState,
    used: Mapping[tuple[Any, ...], Decimal],
    lines: Mapping[uuid.UUID, frozenset[uuid.UUID]],
    day: date,
) -> Decimal:
    return sum(
        (
            amount
            for (project_id, kind, unit, execution_id, of_day), amount in used.items()
            if (project_id, kind, unit) == (budget.project_id, budget.resource_type, budget.unit)
            and of_day == day
            and (budget.task_id is None or budget.task_id in lines.get(execution_id, ()))
        ),
        ZERO,
    )


def _is_low(budget: BudgetState, before: Decimal = ZERO) -> bool:
    return budget.used_amount - before >= budget.allocated_amount * _LOW


def _fresh(last: BudgetState, day: date) -> BudgetState:
    """Return a budget whose period has begun and in which nothing was recorded yet."""
    start, end = period_bounds(last.budget_period, day)
    return replace(last, period_start=start, period_end=end, used_amount=ZERO, reserved_amount=ZERO)


def _level(budget: BudgetState, project_name: str) -> metering_pb2.BudgetLevel:
    exhausted = budget.free_of_holds <= 0
    low = _is_low(budget)
    return metering_pb2.BudgetLevel(
        budget=budget_message(budget),
        low=low,
        exhausted=exhausted,
        message=_text(budget, project_name, exhausted=exhausted) if low or exhausted else "",
    )


def _text(budget: BudgetState, project_name: str, *, exhausted: bool) -> str:
    """Say which budget is used up, or nearly, and what to do about it."""
    whose = f"task {budget.task_id}" if budget.task_id else f"project {project_name}"
    state = "is used up" if exhausted else "is nearly used up"
    text = (
        f"The {budget.budget_period} {budget.resource_type} budget of {whose} {state} "
        f"(allocated {to_text(budget.allocated_amount)} {budget.unit}, "
        f"used {to_text(budget.used_amount)} {budget.unit})."
    )
    reset = resets_at(budget.period_end)
    if reset is not None:
        text += f" It starts anew on {reset:%Y-%m-%d %H:%M} UTC."
    option = "" if budget.budget_period == "total" else f" --period {budget.budget_period}"
    if budget.task_id:
        option = f" --task {budget.task_id}"
    command = f"autovibe budget raise {project_name} {budget.resource_type} AMOUNT{option}"
    return f"{text} Raise it with `{command}`."


def _payload(budget: BudgetState) -> dict[str, Any]:
    return {
        "budget_id": str(budget.id),
        "project_id": str(budget.project_id),
        "task_id": str(budget.task_id or ""),
        "resource_type": budget.resource_type,
        "budget_period": budget.budget_period,
        "period_start": budget.period_start.isoformat(),
        "allocated_amount": to_text(budget.allocated_amount),
        "used_amount": to_text(budget.used_amount),
        "unit": budget.unit,
    }
