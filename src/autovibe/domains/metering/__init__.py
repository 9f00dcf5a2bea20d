"""Metering: budgets, holds, usage, prices and exchange rates."""

from autovibe.domains.metering.budgets import (
    UNLIMITED,
    TaskSpend,
    ensure_task_budget,
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
from autovibe.domains.metering.observer import ArrivedCall, CallObserver
from autovibe.domains.metering.prices import ModelPrices, PriceBook
from autovibe.domains.metering.service import MeteringService
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
    "UnpriceableUsageError",
    "affordable_output",
    "anthropic_cost",
    "anthropic_input_tokens",
    "call_terms",
    "ensure_task_budget",
    "in_cad",
    "pinned_prices",
    "set_task_budget",
    "spend_of_task",
    "worst_case",
]
