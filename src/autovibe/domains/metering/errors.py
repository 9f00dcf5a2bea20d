"""Errors of the metering domain."""

from __future__ import annotations

from autovibe.kernel.errors import AutovibeError, Code


class BudgetExhaustedError(AutovibeError):
    """What is asked for cannot fit a budget, even when every open hold is given back."""

    code = Code.FAILED_PRECONDITION
    reason = "BUDGET_EXHAUSTED"


class BudgetHeldError(AutovibeError):
    """What is asked for fits once calls under way have settled."""

    code = Code.FAILED_PRECONDITION
    reason = "BUDGET_HELD"


class BudgetExceededError(AutovibeError):
    """The database refused a usage row that a budget has no room for."""

    code = Code.FAILED_PRECONDITION
    reason = "BUDGET_EXCEEDED"


class BudgetUnitMismatchError(AutovibeError):
    """Usage was to be authorised in another unit than its budget counts in."""

    code = Code.FAILED_PRECONDITION
    reason = "BUDGET_UNIT_MISMATCH"


class NoBudgetError(AutovibeError):
    """No money budget covers the call; without one nothing may be spent."""

    code = Code.FAILED_PRECONDITION
    reason = "NO_BUDGET"


class BudgetBelowUseError(AutovibeError):
    """The wanted amount is below what is used and held already."""

    code = Code.FAILED_PRECONDITION
    reason = "BUDGET_BELOW_USE"


class NoPriceError(AutovibeError):
    """The price of a model, or of a way to run it, is not known."""

    code = Code.FAILED_PRECONDITION
    reason = "NO_PRICE"


class NoExchangeRateError(AutovibeError):
    """There is no rate for a currency, or the newest is older than allowed."""

    code = Code.FAILED_PRECONDITION
    reason = "NO_EXCHANGE_RATE"


class ExchangeRateDiffersError(AutovibeError):
    """Another rate of the same currency and day is there already."""

    code = Code.FAILED_PRECONDITION
    reason = "EXCHANGE_RATE_DIFFERS"


class LeaseLostError(AutovibeError):
    """The machine's work order was given to another worker since its key was made."""

    code = Code.ABORTED
    reason = "LEASE_LOST"


class DuplicateCallError(AutovibeError):
    """The id or key of a call was used before, by another call or by one that has ended."""

    code = Code.ALREADY_EXISTS
    reason = "DUPLICATE_CALL"


class ReservationNotFoundError(AutovibeError):
    """No call with this id was ever admitted."""

    code = Code.NOT_FOUND
    reason = "RESERVATION_NOT_FOUND"
