"""The audit of usage: whatever is kept about it must follow from its rows, to the last digit."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

from autovibe.db import ReadTx
from autovibe.domains.metering.messages import UNITS
from autovibe.domains.metering.periods import start_of, utc_day
from autovibe.domains.metering.repository import auditing
from autovibe.domains.metering.repricing import repriced
from autovibe.domains.metering.reserving import MONEY
from autovibe.domains.metering.upkeep import a_year_before
from autovibe.domains.projects import resolve_project_id
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.money import to_text
from autovibe.kernel.paging import decode_token, encode_token, page_size
from autovibe.kernel.protoconv import id_text
from autovibe.v1 import usage_pb2

_BATCH: Final = 500
_MOST_BATCHES: Final = 20


class _Place(NamedTuple):
    """Where a page goes on: in which comparison of which project, behind which difference."""

    project_id: uuid.UUID
    check: int
    after: Any


class _Check(NamedTuple):
    """One comparison: how it is made, and how the place of a difference is written and read."""

    find: Callable[[ReadTx, auditing.Scope, Any, int], Awaitable[list[usage_pb2.UsageDifference]]]
    write: Callable[[usage_pb2.UsageDifference], tuple[str, str, str]]
    read: Callable[[str, str, str], Any]


async def audit_usage(
    tx: ReadTx, ctx: CallContext, request: usage_pb2.AuditUsageRequest
) -> usage_pb2.AuditUsageResponse:
    """Compare the budgets, days and calls of one project with its rows.

    Raises:
        ProjectNotFoundError: there is no such project.
        InvalidArgumentError: the page token is none of ours.
    """
    place = _place(request.page_token)
    only = await resolve_project_id(tx, request.project) if request.project else None
    first = place.project_id if place else only
    projects = await auditing.projects_from(tx, first, 2)
    await auditing.take_time(tx)
    response = usage_pb2.AuditUsageResponse()
    if not projects:
        return response
    project_id, name = projects[0]
    if place is None or place.project_id != project_id:
        place = _Place(project_id, 0, None)
    scope = usage_scope(ctx, project_id)
    if (place.check, place.after) == (0, None):
        counts = await auditing.count_audited(tx, scope)
        response.budgets, response.days, response.calls = counts
    size = page_size(request.page_size)
    check, after = place.check, place.after
    while check < len(_CHECKS):
        room = size - len(response.differences)
        found = await _CHECKS[check].find(tx, scope, after, room + 1)
        response.differences.extend(found[:room])
        if len(found) > room:
            last = _CHECKS[check].write(found[room - 1]) if room else ("", "", "")
            response.next_page_token = encode_token(str(project_id), str(check), *last)
            break
        check, after = check + 1, None
    else:
        after, is_over = await _price_again(tx, scope, after, size, response)
        if not is_over:
            last = ("", "") if after is None else (after[0].isoformat(), str(after[1]))
            response.next_page_token = encode_token(str(project_id), str(_PRICES), *last, "")
        elif only is None and len(projects) > 1:
            response.next_page_token = encode_token(str(projects[1][0]), "0", "", "", "")
    for one in response.differences:
        one.project_id, one.project_name = str(project_id), name
        one.message = _sentence(one)
    return response


def usage_scope(ctx: CallContext, project_id: uuid.UUID) -> auditing.Scope:
    """Return the rows that cleaning up surely has not deleted for their age."""
    day = utc_day(a_year_before(ctx.clock.now())) + timedelta(days=1)
    return auditing.Scope(project_id, start_of(day), day)


async def _used(
    tx: ReadTx, scope: auditing.Scope, after: uuid.UUID | None, limit: int
) -> list[usage_pb2.UsageDifference]:
    found = await auditing.used_differences(tx, scope, after, limit)
    return [_budget_message("used", one) for one in found]


async def _reserved(
    tx: ReadTx, scope: auditing.Scope, after: uuid.UUID | None, limit: int
) -> list[usage_pb2.UsageDifference]:
    found = await auditing.reserved_differences(tx, scope, after, limit)
    return [_budget_message("reserved", one) for one in found]


async def _days(
    tx: ReadTx, scope: auditing.Scope, after: tuple[date, str, str] | None, limit: int
) -> list[usage_pb2.UsageDifference]:
    return [_day_message(one) for one in await auditing.day_differences(tx, scope, after, limit)]


async def _calls(
    tx: ReadTx, scope: auditing.Scope, after: tuple[uuid.UUID, str] | None, limit: int
) -> list[usage_pb2.UsageDifference]:
    return [
        usage_pb2.UsageDifference(
            kind="call",
            resource_type=one.resource_type,
            unit=UNITS[one.resource_type],
            reservation_id=str(one.reservation_id),
            measure="amount",
            **_amounts(one.recorded, one.expected),
        )
        for one in await auditing.call_differences(tx, scope, after, limit)
    ]


async def _price_again(
    tx: ReadTx,
    scope: auditing.Scope,
    after: tuple[datetime, uuid.UUID] | None,
    size: int,
    response: usage_pb2.AuditUsageResponse,
) -> tuple[tuple[datetime, uuid.UUID] | None, bool]:
    """Work out what calls have cost from their own rows; return how far, and whether all are done.

    One page looks at some of the rows only: this is the one comparison that the database cannot do.
    """
    for _ in range(_MOST_BATCHES):
        rows = await auditing.priced_rows(tx, scope, after, _BATCH)
        for row in rows:
            if len(response.differences) >= size:
                return after, False
            expected = repriced(row.metadata)
            after = (row.recorded_at, row.reservation_id)
            if expected is None:
                continue
            response.repriced += 1
            if expected != row.amount:
                response.differences.add(
                    kind="price",
                    resource_type=MONEY,
                    unit=UNITS[MONEY],
                    reservation_id=str(row.reservation_id),
                    measure="amount",
                    **_amounts(row.amount, expected),
                )
        if len(rows) < _BATCH:
            return after, True
    return after, False


def _budget_place(one: usage_pb2.UsageDifference) -> tuple[str, str, str]:
    return one.budget_id, "", ""


def _day_place(one: usage_pb2.UsageDifference) -> tuple[str, str, str]:
    return one.usage_date, one.resource_type, one.unit


def _call_place(one: usage_pb2.UsageDifference) -> tuple[str, str, str]:
    return one.reservation_id, one.resource_type, ""


def _read_budget(one: str, _second: str, _third: str) -> uuid.UUID:
    return uuid.UUID(one)


def _read_day(day: str, kind: str, unit: str) -> tuple[date, str, str]:
    return date.fromisoformat(day), kind, unit


def _read_row(time: str, one: str, _third: str) -> tuple[datetime, uuid.UUID]:
    return datetime.fromisoformat(time), uuid.UUID(one)


def _read_call(one: str, kind: str, _third: str) -> tuple[uuid.UUID, str]:
    return uuid.UUID(one), kind


_CHECKS: Final = (
    _Check(_used, _budget_place, _read_budget),
    _Check(_reserved, _budget_place, _read_budget),
    _Check(_days, _day_place, _read_day),
    _Check(_calls, _call_place, _read_call),
)


_PRICES: Final = len(_CHECKS)


def _day_message(one: auditing.DayDifference) -> usage_pb2.UsageDifference:
    """Return the message of a day: of its amount, or else of what differs beside it."""
    measure, recorded, expected = next(
        (measure, recorded, expected)
        for measure, recorded, expected in (
            ("amount", one.recorded, one.expected),
            ("cost_cad", one.recorded_cost, one.expected_cost),
            ("rows", Decimal(one.recorded_rows), Decimal(one.expected_rows)),
        )
        if recorded != expected
    )
    return usage_pb2.UsageDifference(
        kind="day",
        resource_type=one.resource_type,
        unit=one.unit,
        usage_date=one.usage_date.isoformat(),
        measure=measure,
        **_amounts(recorded, expected),
    )


def _budget_message(kind: str, one: auditing.BudgetDifference) -> usage_pb2.UsageDifference:
    return usage_pb2.UsageDifference(
        kind=kind,
        resource_type=one.resource_type,
        unit=one.unit,
        budget_id=str(one.budget_id),
        task_id=id_text(one.task_id),
        budget_period=one.budget_period,
        measure="amount",
        period_start=one.period_start.isoformat(),
        **_amounts(one.recorded, one.expected),
    )


def _amounts(recorded: Decimal, expected: Decimal) -> dict[str, str]:
    return {
        "recorded_amount": to_text(recorded),
        "expected_amount": to_text(expected),
        "difference_amount": to_text(recorded - expected),
    }


def _sentence(one: usage_pb2.UsageDifference) -> str:
    recorded, expected = one.recorded_amount, one.expected_amount
    what = f"{one.resource_type} in {one.unit}"
    if one.kind == "day":
        measured = {"amount": "sum", "cost_cad": "cost in CAD", "rows": "number of rows"}
        return (
            f"{one.project_name}, {one.usage_date}, {what}: the {measured[one.measure]} kept for "
            f"the day is {recorded}, its rows make {expected}."
        )
    if one.kind == "price":
        return (
            f"{one.project_name}, call {one.reservation_id}, {what}: its row has {recorded}, the "
            f"usage in it costs {expected} at the prices in it."
        )
    if one.kind == "call":
        return (
            f"{one.project_name}, call {one.reservation_id}, {what}: its rows make {recorded}, "
            f"{expected} was settled."
        )
    whose = f"task {one.task_id} of {one.project_name}" if one.task_id else one.project_name
    period = one.budget_period
    if period != "total":
        period += f" from {one.period_start}"
    said = (
        f"counts {recorded} as used, its rows make {expected}"
        if one.kind == "used"
        else f"counts {recorded} as held, open calls hold {expected}"
    )
    return f"{whose}, {what}, {period}: the budget {said}."


def _place(token: str) -> _Place | None:
    parts = decode_token(token, 5)
    if parts is None:
        return None
    try:
        project_id, check = uuid.UUID(parts[0]), "01234".index(parts[1])
        read = _read_row if check == _PRICES else _CHECKS[check].read
        after = read(*parts[2:]) if parts[2] else None
    except (ValueError, IndexError):
        raise InvalidArgumentError(
            "The page token is not valid; start again without one.", what="page_token"
        ) from None
    return _Place(project_id, check, after)
