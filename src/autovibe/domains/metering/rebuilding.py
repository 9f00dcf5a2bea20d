"""Putting back usage rows that were lost, from the ledger and the logs (usage of an hour may be).

The ledger has of each settled call who made it, under which terms, and what of each budget it used;
the log of its execution has what else its settlement said. Together they are the row again.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from google.protobuf import json_format

from autovibe.db import WriteTx
from autovibe.domains.metering import repository
from autovibe.domains.metering.auditing import usage_scope
from autovibe.domains.metering.call_rows import call_row, settled_metadata
from autovibe.domains.metering.repository import rebuilding
from autovibe.domains.metering.repository.auditing import projects_from, take_time
from autovibe.domains.metering.state import HoldState, ReservationState
from autovibe.domains.projects import resolve_project_id
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.money import parse_decimal, to_text
from autovibe.kernel.paging import decode_token, encode_token, page_size
from autovibe.kernel.protoconv import id_text, timestamp
from autovibe.v1 import metering_pb2, usage_pb2

_MONEY: Final = "money"
_API_CALLS: Final = "api_calls"


@dataclass(frozen=True)
class _Lost:
    """A call, what it used of each resource, and what its log says of it, if it says anything."""

    call: ReservationState
    holds: Sequence[HoldState]
    logged: metering_pb2.Settlement | None

    def amounts(self) -> dict[str, Decimal]:
        """Return what was settled: by the ledger, and where no budget was held from by the log."""
        amounts = {_API_CALLS: Decimal(1)}
        if self.logged is not None:
            amounts |= {
                one.resource_type: parse_decimal(one.amount, one.resource_type)
                for one in self.logged.amounts
            }
        return amounts | {
            hold.resource_type: hold.settled_amount
            for hold in self.holds
            if hold.settled_amount is not None
        }

    def metadata(self) -> metering_pb2.UsageMetadata:
        """Return what the rows keep; a call without a line that used its whole hold is uncertain.

        Recovery settles so what a process has left behind when it died, and writes no line.
        """
        whole = all(hold.settled_amount == hold.amount for hold in self.holds)
        outcome = "uncertain" if whole else "settled"
        return settled_metadata(
            self.logged or metering_pb2.Settlement(outcome=outcome),
            over_budget=any((hold.settled_amount or 0) > hold.amount for hold in self.holds),
        )


async def rebuild_usage(
    tx: WriteTx, ctx: CallContext, request: usage_pb2.RebuildUsageRequest
) -> usage_pb2.RebuildUsageResponse:
    """Put back the rows that are missing of some calls of one project; what is there stays.

    Raises:
        ProjectNotFoundError: there is no such project.
        InvalidArgumentError: the page token is none of ours.
    """
    first, after = _place(request.page_token)
    only = await resolve_project_id(tx, request.project) if request.project else None
    projects = await projects_from(tx, first or only, 2)
    await take_time(tx)
    response = usage_pb2.RebuildUsageResponse()
    if not projects:
        return response
    project_id, name = projects[0]
    scope = usage_scope(ctx, project_id)
    size = page_size(request.page_size)
    if project_id != first:
        after = None
    found = await rebuilding.calls_without_rows(tx, scope, after, size + 1)
    # Locked before its rows are looked for: of two that rebuild at once the second finds them.
    calls = await repository.lock_reservations(tx, found[:size])
    rows: list[dict[str, Any]] = []
    present = await rebuilding.resources_with_rows(tx, scope, calls)
    for lost in await _with_logs(tx, calls):
        missing = _missing_rows(lost, present)
        if missing:
            rows += missing
            response.calls.append(_rebuilt(lost, missing, name))
    if rows and not request.dry_run:
        await repository.insert_usage(tx, rows)
        await rebuilding.sum_up_days(tx, rows)
    if len(found) > size:
        response.next_page_token = encode_token(str(project_id), str(found[size - 1]))
    elif only is None and len(projects) > 1:
        response.next_page_token = encode_token(str(projects[1][0]), "")
    return response


async def _with_logs(tx: WriteTx, calls: Mapping[uuid.UUID, ReservationState]) -> list[_Lost]:
    executions = {call.execution_id for call in calls.values() if call.execution_id is not None}
    said = await rebuilding.logged_settlements(tx, executions, calls) if executions else {}
    holds: dict[uuid.UUID, list[HoldState]] = {call_id: [] for call_id in calls}
    for hold in await repository.holds_of(tx, list(calls)):
        holds[hold.reservation_id].append(hold)
    return [
        _Lost(call, holds[call_id], _settlement(said.get(call_id), holds[call_id]))
        for call_id, call in calls.items()
    ]


def _settlement(
    said: dict[str, Any] | None, holds: Sequence[HoldState]
) -> metering_pb2.Settlement | None:
    """Return the settlement that a line tells of, if it is the one that the ledger has.

    It is not when the process died between the two: recovery has settled the call in its own way.
    """
    if said is None:
        return None
    try:
        settlement = json_format.ParseDict(said, metering_pb2.Settlement())
    except json_format.ParseError:
        return None
    told = {one.resource_type: one.amount for one in settlement.amounts}
    agree = all(
        hold.settled_amount == parse_decimal(told[hold.resource_type], "amount")
        for hold in holds
        if hold.resource_type in told
    )
    return settlement if agree else None


def _missing_rows(lost: _Lost, present: set[tuple[uuid.UUID, str]]) -> list[dict[str, Any]]:
    metadata = lost.metadata()
    return [
        # Only recorded: a row with a reservation adds to no budget, and nothing may refuse it.
        call_row(lost.call, kind, amount, metadata, enforcement="record")
        for kind, amount in lost.amounts().items()
        if amount > 0 and (lost.call.id, kind) not in present
    ]


def _rebuilt(
    lost: _Lost, rows: Sequence[Mapping[str, Any]], project_name: str
) -> usage_pb2.RebuiltCall:
    money = [row["amount"] for row in rows if row["resource_type"] == _MONEY]
    return usage_pb2.RebuiltCall(
        reservation_id=str(lost.call.id),
        project_id=str(lost.call.project_id),
        project_name=project_name,
        execution_id=id_text(lost.call.execution_id),
        recorded_at=timestamp(lost.call.reserved_at),
        model=str(json.loads(lost.call.terms).get("model", "")),
        cost_cad=to_text(money[0]) if money else "",
        rows=len(rows),
        source="log" if lost.logged is not None else "ledger",
    )


def _place(token: str) -> tuple[uuid.UUID | None, uuid.UUID | None]:
    """Return where a page goes on: in which project, behind which call."""
    parts = decode_token(token, 2)
    if parts is None:
        return None, None
    try:
        return uuid.UUID(parts[0]), uuid.UUID(parts[1]) if parts[1] else None
    except ValueError:
        raise InvalidArgumentError(
            "The page token is not valid; start again without one.", what="page_token"
        ) from None
