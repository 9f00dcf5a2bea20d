"""The usage rows of a call, as its settlement writes them."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from autovibe.domains.metering.messages import UNITS, column_value
from autovibe.domains.metering.periods import month_bounds, utc_day
from autovibe.domains.metering.state import ReservationState
from autovibe.kernel.ids import new_id
from autovibe.v1 import metering_pb2

_MONEY: Final = "money"


def call_row(
    call: ReservationState,
    kind: str,
    amount: Decimal,
    metadata: metering_pb2.UsageMetadata,
    *,
    enforcement: str = "authorise",
) -> dict[str, object]:
    """Return the row of one resource that a call has used."""
    month = month_bounds(utc_day(call.reserved_at))
    provider = call.terms.get("provider")
    return {
        "id": new_id(),
        # The time of the hold, so that the row falls into the periods it was held from.
        "recorded_at": call.reserved_at,
        "project_id": call.project_id,
        "machine_id": call.machine_id,
        "execution_id": call.execution_id,
        "reservation_id": call.id,
        "resource_type": kind,
        "resource_subtype": f"{provider}_api" if provider else None,
        "amount": amount,
        "unit": UNITS[kind],
        "cost_cad": amount if kind == _MONEY else None,
        "enforcement": enforcement,
        "billing_period_start": month[0],
        "billing_period_end": month[1],
        "metadata": _column(call, metadata, kind),
    }


def settled_metadata(
    settlement: metering_pb2.Settlement, *, over_budget: bool
) -> metering_pb2.UsageMetadata:
    """Return what the rows of a call keep of its settlement; its terms are kept with the call."""
    metadata = metering_pb2.UsageMetadata(
        native_cost=settlement.native_cost,
        estimated=settlement.estimated,
        uncertain=settlement.outcome == "uncertain",
        served_model=settlement.served_model,
        over_budget=over_budget,
    )
    if settlement.HasField("raw_usage"):
        metadata.raw_usage.CopyFrom(settlement.raw_usage)
    return metadata


def _column(
    call: ReservationState, metadata: metering_pb2.UsageMetadata, kind: str
) -> dict[str, object]:
    """Return the ProtoJSON of a UsageMetadata; the terms are in that form since the hold.

    A row that is not of money needs less: which model, and how sure.
    """
    if kind == _MONEY:
        return {"terms": call.terms, **column_value(metadata)}
    short = metering_pb2.UsageMetadata(
        uncertain=metadata.uncertain, served_model=metadata.served_model
    )
    terms = {name: call.terms[name] for name in ("provider", "model") if name in call.terms}
    return {"terms": terms, **column_value(short)}
