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
from autovibe.domains.metering.prices import ModelPrices, PriceBook, UnitPrices
from autovibe.domains.metering.repricing import other_prices_key, with_other_prices
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
from autovibe.domains.metering.token_costs import (
    gemini_cost,
    gemini_input_tokens,
    openai_cost,
    openai_input_tokens,
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
    "UnitPrices",
    "UnpriceableUsageError",
    "affordable_output",
    "anthropic_cost",
    "anthropic_input_tokens",
    "call_terms",
    "clean_usage",
    "create_partitions",
    "ensure_task_budget",
    "gemini_cost",
    "gemini_input_tokens",
    "in_cad",
    "openai_cost",
    "openai_input_tokens",
    "other_prices_key",
    "parse_budget_amount",
    "pinned_prices",
    "refresh_nothing",
    "reset_budgets",
    "sample_storage",
    "set_task_budget",
    "spend_of_task",
    "with_other_prices",
    "worst_case",
]
