"""Calendar periods of budgets, in UTC: day, ISO week, month, and all time."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(9999, 12, 31)


def period_bounds(budget_period: str, day: date) -> tuple[date, date]:
    """Return first and last day of the period that a day lies in.

    Args:
        budget_period: daily, weekly (Monday to Sunday), monthly or total.
        day: a date in UTC.
    """
    if budget_period == "daily":
        return day, day
    if budget_period == "weekly":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=6)
    if budget_period == "monthly":
        return month_bounds(day)
    return FIRST_DAY, LAST_DAY


def month_bounds(day: date) -> tuple[date, date]:
    """Return first and last day of a month."""
    first = day.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return first, following - timedelta(days=1)


def utc_day(moment: datetime) -> date:
    """Return the day of an aware time in UTC."""
    return moment.astimezone(UTC).date()


def start_of(day: date) -> datetime:
    """Return the first instant of a day."""
    return datetime.combine(day, time(), tzinfo=UTC)


def resets_at(period_end: date) -> datetime | None:
    """Return when the period after this one begins; `None` when it never ends."""
    return None if period_end >= LAST_DAY else start_of(period_end + timedelta(days=1))
