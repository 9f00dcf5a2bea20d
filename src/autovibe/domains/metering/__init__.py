"""Metering: budgets, holds, usage, prices and exchange rates."""

from autovibe.domains.metering.budgets import (
    UNLIMITED,
    TaskSpend,
    ensure_task_budget,
    parse_budget_amount,
    set_task_budget,
    spend_of_task,
)
from autovibe.domains.metering.errors import (
    BudgetBelowUseError,
    BudgetExhaustedError,
    BudgetHeldError,
    DuplicateCallError,
    LeaseLostError,
    NoBudgetError,
    NoExchangeRateError,
    NoPriceError,
    ReservationNotFoundError,
)
from autovibe.domains.metering.observer import ArrivedCall, CallObserver, ToolError
from autovibe.domains.metering.prices import ModelPrices, PriceBook
from autovibe.domains.metering.service import MeteringService
from autovibe.domains.metering.storage import sample_storage
from autovibe.domains.metering.terms import (
    Bounds,
    UnpriceableUsageError,
    affordable_output,
    anthropic_cost,
    anthropic_input_tokens,
    call_terms,
    in_cad,
    pinned_prices,
    worst_case,
)
from autovibe.domains.metering.upkeep import (
    clean_usage,
    create_partitions,
    refresh_nothing,
    reset_budgets,
)

__all__ = [
    "UNLIMITED",
    "ArrivedCall",
    "Bounds",
    "BudgetBelowUseError",
    "BudgetExhaustedError",
    "BudgetHeldError",
    "CallObserver",
    "DuplicateCallError",
    "LeaseLostError",
    "MeteringService",
    "ModelPrices",
    "NoBudgetError",
    "NoExchangeRateError",
    "NoPriceError",
    "PriceBook",
    "ReservationNotFoundError",
    "TaskSpend",
    "ToolError",
    "UnpriceableUsageError",
    "affordable_output",
    "anthropic_cost",
    "anthropic_input_tokens",
    "call_terms",
    "clean_usage",
    "create_partitions",
    "ensure_task_budget",
    "in_cad",
    "parse_budget_amount",
    "pinned_prices",
    "refresh_nothing",
    "reset_budgets",
    "sample_storage",
    "set_task_budget",
    "spend_of_task",
    "worst_case",
]
