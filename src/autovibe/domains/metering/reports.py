"""Reports: what was used per day, and what the changes of a file cost."""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from autovibe.db import ReadTx
from autovibe.domains.checkpoints import PathVersion, path_history
from autovibe.domains.metering import repository
from autovibe.domains.metering.periods import utc_day
from autovibe.domains.projects import resolve_project_id
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.money import ZERO, to_text
from autovibe.kernel.paging import decode_place, decode_token, encode_place, encode_token, page_size
from autovibe.kernel.protoconv import from_timestamp, id_text, timestamp
from autovibe.v1 import metering_pb2

_DAYS: Final = 30
_ONE_DAY: Final = timedelta(days=1)


async def list_daily_usage(
    tx: ReadTx, ctx: CallContext, request: metering_pb2.ListDailyUsageRequest
) -> metering_pb2.ListDailyUsageResponse:
    """Return one page of usage per project and day.

    Raises:
        ProjectNotFoundError: there is no such project.
        InvalidArgumentError: the page token is none of ours.
    """
    today = utc_day(ctx.clock.now())
    since, until = today - _DAYS * _ONE_DAY, today
    if request.HasField("since"):
        since = utc_day(from_timestamp(request.since))
    if request.HasField("until"):
        until = utc_day(from_timestamp(request.until) - timedelta(microseconds=1))
    size = page_size(request.page_size)
    rows = await repository.daily_usage(
        tx,
        project_id=await resolve_project_id(tx, request.project) if request.project else None,
        since=since,
        until=until,
        after=_day_place(request.page_token),
        limit=size + 1,
    )
    last = rows[size - 1] if len(rows) > size else None
    return metering_pb2.ListDailyUsageResponse(
        days=[
            metering_pb2.DailyUsage(
                project_id=str(row.project_id),
                project_name=row.project_name,
                usage_date=row.usage_date.isoformat(),
                resource_type=row.resource_type,
                unit=row.unit,
                amount=to_text(row.amount),
                cost_cad=to_text(row.cost_cad),
                rows=row.transaction_count,
            )
            for row in rows[:size]
        ],
        next_page_token=encode_token(
            last.project_name, last.usage_date.isoformat(), last.resource_type, last.unit
        )
        if last
        else "",
    )


def _day_place(token: str) -> repository.DayPlace | None:
    key = decode_token(token, 4)
    if key is None:
        return None
    try:
        day = date.fromisoformat(key[1])
    except ValueError:
        raise InvalidArgumentError(
            "The page token is not valid; start again without one.", what="page_token"
        ) from None
    return key[0], day, key[2], key[3]


async def list_path_history(
    tx: ReadTx, ctx: CallContext, request: metering_pb2.ListPathHistoryRequest
) -> metering_pb2.ListPathHistoryResponse:
    """Return one page of the checkpoints that changed a file, the newest first.

    Raises:
        ProjectNotFoundError: there is no such project.
    """
    size = page_size(request.page_size)
    versions = await path_history(
        tx,
        await resolve_project_id(tx, request.project),
        f"{'home' if request.home else 'workspace'}/{request.path}",
        after=decode_place(request.page_token),
        limit=size + 1,
    )
    page = versions[:size]
    machines = {one.machine_id for one in page if one.machine_id is not None}
    types = await repository.machine_types(tx, machines)
    costs = await repository.costs_of_machines(tx, machines, ctx.clock.now()) if machines else {}
    return metering_pb2.ListPathHistoryResponse(
        changes=[
            metering_pb2.PathChange(
                checkpoint_id=str(one.checkpoint_id),
                checkpoint_type=one.checkpoint_type,
                created_at=timestamp(one.created_at),
                deleted=one.deleted,
                machine_id=id_text(one.machine_id),
                machine_type=types.get(one.machine_id, "") if one.machine_id else "",
                cost_cad=to_text(_cost(one, costs)) if one.machine_id else "",
            )
            for one in page
        ],
        next_page_token=encode_place(page[-1].created_at, page[-1].checkpoint_id)
        if len(versions) > size
        else "",
    )


def _cost(version: PathVersion, costs: dict[uuid.UUID, list[tuple[datetime, Decimal]]]) -> Decimal:
    """Return what the machine of a checkpoint paid since its checkpoint before."""
    paid = costs.get(version.machine_id, []) if version.machine_id else []
    return sum(
        (
            cost
            for at, cost in paid
            if at <= version.created_at and (version.since is None or at > version.since)
        ),
        ZERO,
    )
