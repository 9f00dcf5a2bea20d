"""From the ledger's values to messages and to sentences for people."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from google.protobuf import json_format, struct_pb2
from google.protobuf.message import Message

from autovibe.db.types import JsonText
from autovibe.domains.metering.gateway import ParkedKey
from autovibe.domains.metering.models import ExchangeRate
from autovibe.domains.metering.periods import resets_at
from autovibe.domains.metering.state import BudgetState
from autovibe.kernel.money import to_text
from autovibe.kernel.protoconv import id_text, timestamp
from autovibe.v1 import metering_pb2

UNITS: Final = {
    "money": "CAD",
    "time": "minutes",
    "api_calls": "calls",
    "cpu": "core_seconds",
    "memory": "gb_hours",
    "storage": "gb_hours",
    "network": "gb",
}


def budget_message(budget: BudgetState, *, opened: bool = True) -> metering_pb2.Budget:
    """Return the message of a budget; one whose period has no row yet has no id."""
    return metering_pb2.Budget(
        id=str(budget.id) if opened else "",
        project_id=str(budget.project_id),
        task_id=id_text(budget.task_id),
        resource_type=budget.resource_type,
        budget_period=budget.budget_period,
        period_start=budget.period_start.isoformat(),
        period_end=budget.period_end.isoformat(),
        allocated_amount=to_text(budget.allocated_amount),
        used_amount=to_text(budget.used_amount),
        reserved_amount=to_text(budget.reserved_amount),
        available_amount=to_text(budget.available),
        unit=budget.unit,
        auto_reset=budget.auto_reset,
        created_at=timestamp(budget.created_at),
        updated_at=timestamp(budget.updated_at),
    )


def rate_message(rate: ExchangeRate, *, stale: bool) -> metering_pb2.ExchangeRate:
    """Return the message of an exchange rate."""
    return metering_pb2.ExchangeRate(
        currency=rate.currency,
        rate_to_cad=to_text(rate.rate_to_cad),
        valid_from=timestamp(rate.valid_from),
        source=rate.source,
        stale=stale,
    )


def parked_message(keys: Iterable[ParkedKey], now: datetime) -> metering_pb2.ParkedCalls:
    """Return the message of the keys on which calls wait."""
    return metering_pb2.ParkedCalls(
        keys=[
            metering_pb2.ParkedProviderKey(
                upstream=key.upstream,
                opens_at=timestamp(now + timedelta(seconds=key.opens_in_s)),
                oldest_wait_s=int(key.oldest_s),
                projects=[
                    metering_pb2.ParkedProject(project_id=project_id, calls=calls)
                    for project_id, calls in sorted(key.waiting.items())
                ],
            )
            for key in keys
        ]
    )


def shortage_message(budget: BudgetState, needed: Decimal) -> metering_pb2.BudgetShortage:
    """Return which budget a call does not fit, and by how much."""
    return metering_pb2.BudgetShortage(
        budget=budget_message(budget),
        needed_amount=to_text(needed),
        resets_at=timestamp(resets_at(budget.period_end)),
    )


def shortage_text(budget: BudgetState, needed: Decimal, project_name: str, *, held: bool) -> str:
    """Say which budget a call does not fit, why, and what to do about it."""
    whose = f"task {budget.task_id}" if budget.task_id else f"project {project_name}"
    period = "total" if budget.budget_period == "total" else budget.budget_period
    amounts = ", ".join(
        f"{name} {to_text(amount)} {budget.unit}"
        for name, amount in (
            ("allocated", budget.allocated_amount),
            ("used", budget.used_amount),
            ("reserved", budget.reserved_amount),
            ("needed", needed),
        )
    )
    text = f"The {period} {budget.resource_type} budget of {whose}"
    if held:
        text += f" is held by calls under way ({amounts}); try again when they have ended."
    else:
        text += f" cannot take this call ({amounts})."
    reset = resets_at(budget.period_end)
    if reset is not None:
        text += f" It starts anew on {reset:%Y-%m-%d %H:%M} UTC."
    command = f"autovibe budget raise {project_name} {budget.resource_type} AMOUNT"
    if budget.task_id:
        return f"{text} Raise it with `{command} --task {budget.task_id}`, or run with --budget."
    option = "" if budget.budget_period == "total" else f" --period {budget.budget_period}"
    return f"{text} Raise it with `{command}{option}`."


def no_budget_text(project_name: str, task_id: uuid.UUID | None) -> str:
    """Say that nothing may be spent without a budget, and how to set one."""
    whose = f"task {task_id} or its project {project_name}" if task_id else project_name
    return (
        f"There is no money budget for {whose}, so nothing may be spent. Set one with "
        f"`autovibe budget set {project_name} money AMOUNT`, or run with --budget."
    )


def column_value(message: Message) -> dict[str, object]:
    """Return a message as the ProtoJSON that a JSON column holds."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def terms_text(terms: metering_pb2.CallTerms) -> JsonText:
    """Return the ProtoJSON of terms."""
    return JsonText(_encode(_plain(terms)))


def usage_text(terms: JsonText, **members: object) -> JsonText:
    """Return the ProtoJSON of a UsageMetadata from its terms and its other members."""
    rest = json_text(members)
    return JsonText(f'{{"terms": {terms}}}' if rest == "{}" else f'{{"terms": {terms}, {rest[1:]}')


def json_text(members: Mapping[str, object]) -> JsonText:
    """Return the ProtoJSON of members; those that have their default are left out, as always."""
    return JsonText(_encode({name: value for name, value in members.items() if value}))


def _plain(message: Message) -> dict[str, object]:
    """Return what `column_value` does, in a fifth of the time where nothing is unusual."""
    value: dict[str, object] = {}
    for field, item in message.ListFields():
        if isinstance(item, str | bool):
            value[field.name] = item
        elif isinstance(item, struct_pb2.Struct):
            value[field.name] = struct_value(item)
        elif field.type == field.TYPE_INT64:
            value[field.name] = str(item)
        elif field.name == _PRICES.name and field.containing_type is _PRICES.containing_type:
            value[field.name] = dict(item)
        else:
            return column_value(message)
    return value


def struct_value(struct: struct_pb2.Struct) -> dict[str, object]:
    """Return the JSON object of a Struct, with whole numbers as such."""
    return {name: _json_value(value) for name, value in struct.fields.items()}


def _json_value(value: struct_pb2.Value) -> object:
    match value.WhichOneof("kind"):
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return struct_value(value.struct_value)
        case "list_value":
            return [_json_value(item) for item in value.list_value.values]
        case _:
            return None


_PRICES: Final = metering_pb2.CallTerms.DESCRIPTOR.fields_by_name["unit_prices"]
_encode: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
