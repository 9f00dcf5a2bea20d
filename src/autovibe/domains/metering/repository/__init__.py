"""Queries of the ledger."""

from autovibe.domains.metering.repository.budgets import (
    current_budgets,
    ended_budgets,
    lock_budget,
    lock_budgets,
    lock_budgets_by_id,
    open_budget,
    save_budgets,
    set_allocated,
)
from autovibe.domains.metering.repository.calls import (
    OPEN_STATES,
    find_by_keys,
    find_reservations,
    finish_calls,
    holds_of,
    insert_calls,
    lock_left_over,
    lock_reservations,
    open_calls,
)
from autovibe.domains.metering.repository.days import (
    DayPlace,
    costs_of_machines,
    daily_usage,
    machine_types,
)
from autovibe.domains.metering.repository.references import (
    lease_generations,
    lock_quickly,
    project_of_task,
    task_lines,
    tasks_of_executions,
)
from autovibe.domains.metering.repository.usage import (
    insert_usage,
    insert_usage_bulk,
    newest_rate,
    spent_on_task,
    usage_lines,
    used_so_far,
)

__all__ = [
    "OPEN_STATES",
    "DayPlace",
    "costs_of_machines",
    "current_budgets",
    "daily_usage",
    "ended_budgets",
    "find_by_keys",
    "find_reservations",
    "finish_calls",
    "holds_of",
    "insert_calls",
    "insert_usage",
    "insert_usage_bulk",
    "lease_generations",
    "lock_budget",
    "lock_budgets",
    "lock_budgets_by_id",
    "lock_left_over",
    "lock_quickly",
    "lock_reservations",
    "machine_types",
    "newest_rate",
    "open_budget",
    "open_calls",
    "project_of_task",
    "save_budgets",
    "set_allocated",
    "spent_on_task",
    "task_lines",
    "tasks_of_executions",
    "usage_lines",
    "used_so_far",
]
