"""The usage rows of a call, as its settlement writes them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from autovibe.db.types import JsonText
from autovibe.domains.metering.messages import (
    UNITS,
    column_value,
    json_text,
    struct_value,
    usage_text,
)
from autovibe.domains.metering.periods import month_bounds
from autovibe.domains.metering.state import ReservationState
from autovibe.kernel.ids import new_id
from autovibe.v1 import metering_pb2

MONEY: Final = "money"
UNCERTAIN: Final = "uncertain"


class UsageRow(NamedTuple):
    """What differs between the usage rows of a batch; the names are those of the columns."""

    recorded_at: datetime
    project_id: uuid.UUID
    machine_id: uuid.UUID | None
    execution_id: uuid.UUID | None
    reservation_id: uuid.UUID
    resource_type: str
    resource_subtype: str | None
    amount: Decimal
    unit: str
    cost_cad: Decimal | None
    billing_period_start: date
    billing_period_end: date
    metadata: JsonText


def usage_rows(
    call: ReservationState,
    amounts: Mapping[str, Decimal],
    settlement: metering_pb2.Settlement,
    *,
    over_budget: bool,
) -> Iterator[UsageRow]:
    """Give the row of each resource that a call has used."""
    terms: dict[str, object] = json.loads(call.terms)
    for kind, amount in amounts.items():
        if amount > 0:
            text = (
                _full_text(call.terms, settlement, over_budget=over_budget)
                if kind == MONEY
                else _short_text(
                    terms.get("provider"),
                    terms.get("model"),
                    settlement.served_model,
                    uncertain=settlement.outcome == UNCERTAIN,
                )
            )
            yield _row(call, terms.get("provider"), kind, amount, text)


def call_row(
    call: ReservationState,
    kind: str,
    amount: Decimal,
    metadata: metering_pb2.UsageMetadata,
    *,
    enforcement: str = "authorise",
) -> dict[str, object]:
    """Return the row of one resource that a call has used, complete as it is inserted."""
    terms: dict[str, object] = json.loads(call.terms)
    if kind == MONEY:
        text = usage_text(call.terms, **column_value(metadata))
    else:
        text = _short_text(
            terms.get("provider"),
            terms.get("model"),
            metadata.served_model,
            uncertain=metadata.uncertain,
        )
    row = _row(call, terms.get("provider"), kind, amount, text)
    return {"id": new_id(), **row._asdict(), "enforcement": enforcement}


def settled_metadata(
    settlement: metering_pb2.Settlement, *, over_budget: bool
) -> metering_pb2.UsageMetadata:
    """Return what the rows of a call keep of its settlement; its terms are kept with the call."""
    metadata = metering_pb2.UsageMetadata(
        native_cost=settlement.native_cost,
        estimated=settlement.estimated,
        uncertain=settlement.outcome == UNCERTAIN,
        served_model=settlement.served_model,
        over_budget=over_budget,
    )
    if settlement.HasField("raw_usage"):
        metadata.raw_usage.CopyFrom(settlement.raw_usage)
    return metadata


def _row(
    call: ReservationState, provider: object, kind: str, amount: Decimal, metadata: JsonText
) -> UsageRow:
    start, end = _month_of(call.reserved_at.date())
    return UsageRow(
        # The time of the hold, so that the row falls into the periods it was held from.
        recorded_at=call.reserved_at,
        project_id=call.project_id,
        machine_id=call.machine_id,
        execution_id=call.execution_id,
        reservation_id=call.id,
        resource_type=kind,
        resource_subtype=f"{provider}_api" if provider else None,
        amount=amount,
        unit=UNITS[kind],
        cost_cad=amount if kind == MONEY else None,
        billing_period_start=start,
        billing_period_end=end,
        metadata=metadata,
    )


def _full_text(
    terms: JsonText, settlement: metering_pb2.Settlement, *, over_budget: bool
) -> JsonText:
    """Return the ProtoJSON of `settled_metadata` with the terms of the call."""
    has_usage = settlement.HasField("raw_usage")
    return usage_text(
        terms,
        raw_usage=struct_value(settlement.raw_usage) if has_usage else None,
        native_cost=settlement.native_cost,
        estimated=settlement.estimated,
        uncertain=settlement.outcome == UNCERTAIN,
        served_model=settlement.served_model,
        over_budget=over_budget,
    )


@lru_cache(256)
def _short_text(provider: object, model: object, served_model: str, *, uncertain: bool) -> JsonText:
    """Return what a row that is not of money needs: which model, and how sure."""
    terms = json_text({"provider": provider, "model": model})
    return usage_text(terms, uncertain=uncertain, served_model=served_model)


@lru_cache(8)
def _month_of(day: date) -> tuple[date, date]:
    return month_bounds(day)
