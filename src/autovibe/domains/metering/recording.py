"""Recording usage that was measured: rows that the database itself counts in budgets.

What goes through the gateway is held and settled by the ledger instead, and counted by it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from autovibe.db import WriteTx
from autovibe.db.errors import RuleViolationError
from autovibe.domains.machines import add_machine_usage
from autovibe.domains.metering import repository
from autovibe.domains.metering.errors import BudgetExceededError, BudgetUnitMismatchError
from autovibe.domains.metering.levels import warn_of_low_budgets
from autovibe.domains.metering.messages import UNITS, column_value
from autovibe.domains.metering.periods import month_bounds, utc_day
from autovibe.domains.metering.reserving import open_periods
from autovibe.domains.metering.state import BudgetState
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.ids import new_id
from autovibe.kernel.money import ZERO, parse_decimal, to_text
from autovibe.kernel.protoconv import from_timestamp, id_or_none
from autovibe.v1 import metering_pb2


async def record_usage_many(
    tx: WriteTx, ctx: CallContext, samples: Sequence[metering_pb2.UsageSample]
) -> int:
    """Insert usage rows by one statement, all or none; return how many are new.

    Samples with an id that were recorded before are left out: a caller that does not know whether
    its samples have arrived sends them again.

    Raises:
        InvalidArgumentError: an amount is malformed or 0, or a sample with an id has no time.
        BudgetExceededError: rows that are to be authorised do not fit a budget.
        BudgetUnitMismatchError: they are in another unit than the budget.
    """
    now = ctx.clock.now()
    rows = [_row(sample, now) for sample in samples]
    await repository.lock_quickly(tx)
    projects = {uuid.UUID(sample.project_id) for sample in samples}
    await repository.keep_budgets_of(tx, projects)
    known = await repository.recorded_ids(
        tx, [row for row, sample in zip(rows, samples, strict=True) if sample.id]
    )
    # Two that record the same at once: the slower one breaks on the key and is run again.
    rows = list({row["id"]: row for row in rows if row["id"] not in known}.values())
    if not rows:
        return 0
    kinds = {sample.resource_type for sample in samples}
    executions = {uuid.UUID(item.execution_id) for item in samples if item.execution_id}
    tasks = await repository.tasks_of_executions(tx, executions)
    lines = await repository.task_lines(tx, set(tasks.values()))
    in_lines = {task_id for line in lines.values() for task_id in line}
    await open_periods(tx, projects, in_lines, kinds, now)
    try:
        await repository.insert_usage_bulk(tx, rows)
    except RuleViolationError as error:
        if error.reason == BudgetUnitMismatchError.reason:
            units = ", ".join(sorted({UNITS[kind] for kind in kinds}))
            raise BudgetUnitMismatchError(
                f"A budget counts this usage in another unit; record it in {units}."
            ) from error
        if error.reason != BudgetExceededError.reason:
            raise
        facts = {name: str(value) for name, value in error.params.items() if name != "rule"}
        if not facts:
            # SQLite's triggers raise fixed texts, but leave the transaction open.
            day = max(utc_day(row["recorded_at"]) for row in rows)
            budgets = await repository.lock_budgets(tx, projects, in_lines, kinds, day)
            facts = _shortage(budgets, rows)
        raise BudgetExceededError(
            "A budget has no room for this usage "
            f"({', '.join(f'{name} {value}' for name, value in facts.items())}); raise it with "
            "`autovibe budget raise`, or wait for its next period.",
            **facts,
        ) from error
    await warn_of_low_budgets(
        tx, rows, {execution: lines.get(task, frozenset()) for execution, task in tasks.items()}
    )
    await _add_to_machines(tx, rows)
    return len(rows)


async def _add_to_machines(tx: WriteTx, rows: Sequence[dict[str, Any]]) -> None:
    """Keep the running totals of machines, in the transaction that records."""
    totals: dict[uuid.UUID, dict[str, Decimal]] = {}
    for row in rows:
        kind = row["resource_type"]
        if row["machine_id"] is None or row["unit"] != UNITS[kind]:
            continue
        own = totals.setdefault(row["machine_id"], {})
        own[kind] = own.get(kind, ZERO) + row["amount"]
    if totals:
        await add_machine_usage(tx, totals)


def _shortage(budgets: Sequence[BudgetState], rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return of the first budget without room what it has, what was to be added, and its limit."""
    for budget in budgets:
        added = sum(
            (
                row["amount"]
                for row in rows
                if (row["project_id"], row["resource_type"], row["unit"])
                == (budget.project_id, budget.resource_type, budget.unit)
            ),
            ZERO,
        )
        if added > budget.available:
            return {
                "current": to_text(budget.used_amount + budget.reserved_amount),
                "attempted": to_text(added),
                "limit": to_text(budget.allocated_amount),
            }
    return {}


def _row(sample: metering_pb2.UsageSample, now: datetime) -> dict[str, Any]:
    if sample.id and not sample.HasField("recorded_at"):
        raise InvalidArgumentError(
            "A sample with an id needs its time, too: say recorded_at.", field="samples.recorded_at"
        )
    recorded_at = from_timestamp(sample.recorded_at) if sample.HasField("recorded_at") else now
    amount = parse_decimal(sample.amount, "amount")
    if amount <= 0:
        raise InvalidArgumentError(
            f"The amount of {sample.resource_type} must be above 0.", field="samples.amount"
        )
    month = month_bounds(utc_day(recorded_at))
    return {
        "id": id_or_none(sample.id) or new_id(),
        "recorded_at": recorded_at,
        "project_id": uuid.UUID(sample.project_id),
        "machine_id": id_or_none(sample.machine_id),
        "execution_id": id_or_none(sample.execution_id),
        "reservation_id": None,
        "resource_type": sample.resource_type,
        "resource_subtype": sample.resource_subtype or None,
        "amount": amount,
        "unit": sample.unit or UNITS[sample.resource_type],
        "cost_cad": parse_decimal(sample.cost_cad, "cost_cad") if sample.cost_cad else None,
        "enforcement": sample.enforcement or "record",
        "billing_period_start": month[0],
        "billing_period_end": month[1],
        "metadata": column_value(sample.metadata),
    }
