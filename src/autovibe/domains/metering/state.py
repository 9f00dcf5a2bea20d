"""Rows of the ledger as plain values, as they are locked, decided on and written back."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from autovibe.db.types import JsonText


@dataclass
class BudgetState:
    """A budget of one period. A ledger operation changes `used_amount` and `reserved_amount`."""

    id: uuid.UUID
    project_id: uuid.UUID
    task_id: uuid.UUID | None
    resource_type: str
    budget_period: str
    period_start: date
    period_end: date
    allocated_amount: Decimal
    used_amount: Decimal
    reserved_amount: Decimal
    unit: str
    auto_reset: bool
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def available(self) -> Decimal:
        """What may still be held; negative after a lowering or an overrun."""
        return self.allocated_amount - self.used_amount - self.reserved_amount

    @property
    def free_of_holds(self) -> Decimal:
        """What could be held if every open hold were given back."""
        return self.allocated_amount - self.used_amount


@dataclass(slots=True)
class HoldState:
    """What one call holds of one budget."""

    reservation_id: uuid.UUID
    budget_id: uuid.UUID
    resource_type: str
    amount: Decimal
    settled_amount: Decimal | None


@dataclass(slots=True)
class OpenHold(HoldState):
    """A hold that is about to be settled.

    `free_of_holds` is what its budget had, before this batch, if every open hold were given back.
    """

    free_of_holds: Decimal


@dataclass(slots=True)
class ReservationState:
    """One call. `terms` is the ProtoJSON of its CallTerms."""

    id: uuid.UUID
    project_id: uuid.UUID
    task_id: uuid.UUID | None
    machine_id: uuid.UUID | None
    execution_id: uuid.UUID | None
    lease_generation: int
    instance_id: uuid.UUID
    state: str
    idempotency_key: str
    reserved_at: datetime
    expires_at: datetime
    terms: JsonText


class BudgetKey(NamedTuple):
    """What makes a budget the same from period to period."""

    project_id: uuid.UUID
    task_id: uuid.UUID | None
    resource_type: str
    budget_period: str


class BudgetUpdate(NamedTuple):
    """What is added to the amounts of a budget; may be negative."""

    id: uuid.UUID
    used: Decimal
    reserved: Decimal
