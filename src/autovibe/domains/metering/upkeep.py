"""What scheduled jobs do to usage and budgets, one slice at a time."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from autovibe.db import WriteTx
from autovibe.domains.contract import Slice
from autovibe.domains.metering import repository
from autovibe.domains.metering.periods import month_bounds, utc_day
from autovibe.domains.metering.repository.upkeep import (
    count_partitions,
    count_usage,
    delete_usage,
)
from autovibe.domains.metering.reserving import open_next
from autovibe.kernel.context import CallContext

_OPENED_AT_ONCE: Final = 100
_DELETED_AT_ONCE: Final = 500
_MONTHS_AHEAD: Final = 3
_FEBRUARY: Final = 2
_LEAP_DAY: Final = 29


async def reset_budgets(tx: WriteTx, ctx: CallContext, *, dry_run: bool) -> Slice:
    """Open the present period of each budget that starts anew and was not used in it yet."""
    now = ctx.clock.now()
    ended = await repository.ended_budgets(tx, utc_day(now))
    if dry_run:
        return Slice(len(ended))
    for last in ended[:_OPENED_AT_ONCE]:
        await open_next(tx, last, now)
    return Slice(min(len(ended), _OPENED_AT_ONCE), more=len(ended) > _OPENED_AT_ONCE)


async def refresh_nothing(tx: WriteTx, ctx: CallContext, *, dry_run: bool) -> Slice:
    """Do nothing: what PostgreSQL refreshes is a plain view on SQLite, which is always current."""
    del tx, ctx, dry_run
    return Slice(0)


async def create_partitions(tx: WriteTx, ctx: CallContext, *, dry_run: bool) -> Slice:
    """Count the months that have no partition; on SQLite there are none to make."""
    del dry_run
    if tx.dialect.name != "postgresql":
        return Slice(0)
    wanted: list[date] = []
    month = utc_day(ctx.clock.now()).replace(day=1)
    for _ in range(_MONTHS_AHEAD + 1):
        wanted.append(month)
        month = month_bounds(month)[1] + timedelta(days=1)
    return Slice(len(wanted) - await count_partitions(tx, wanted))


async def clean_usage(tx: WriteTx, ctx: CallContext, *, dry_run: bool) -> Slice:
    """Delete usage of more than a year ago; PostgreSQL drops whole months instead."""
    before = a_year_before(ctx.clock.now())
    if dry_run:
        return Slice(await count_usage(tx, before))
    deleted = await delete_usage(tx, before, _DELETED_AT_ONCE)
    return Slice(deleted, more=deleted == _DELETED_AT_ONCE)


def a_year_before(now: datetime) -> datetime:
    """Return the same time of the year before; of a leap day that is the 28th of February."""
    day = now.replace(day=_LEAP_DAY - 1) if (now.month, now.day) == (_FEBRUARY, _LEAP_DAY) else now
    return day.replace(year=day.year - 1)
