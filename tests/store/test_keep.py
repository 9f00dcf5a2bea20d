"""Which refs the rules of a prune keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.store import KeepRules, Ref


def _ref(name: str, at: str) -> Ref:
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    return Ref(name, "0" * 64, at_ns=int(moment.timestamp()) * 1_000_000_000)


def test_rules_keep_by_count_age_period_and_name():
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    refs = [
        _ref("s/today-2", "2026-11-25T11:00"),
        _ref("s/today-1", "2026-11-25T09:00"),
        _ref("s/yesterday", "2026-11-24T09:00"),
        _ref("s/last-month", "2026-10-02T09:00"),
        _ref("s/old", "2025-03-01T09:00"),
        _ref("other/only", "2020-01-01T00:00"),
    ]

    def removed(**rules) -> list[str]:
        return KeepRules(**rules).removed(refs, now)

    everything = [ref.name for ref in refs]
    assert removed(last=1) == ["s/last-month", "s/old", "s/today-1", "s/yesterday"]
    assert removed(last=9) == []
    assert removed(within=timedelta(days=2)) == ["other/only", "s/last-month", "s/old"]
    assert removed(daily=2) == ["s/last-month", "s/old", "s/today-1"]
    assert removed(monthly=2) == ["s/old", "s/today-1", "s/yesterday"]
    assert removed(yearly=2) == ["s/last-month", "s/today-1", "s/yesterday"]
    assert removed(names=("s/today*",)) == ["other/only", "s/last-month", "s/old", "s/yesterday"]
    assert removed(last=1, prefix="other/") == []
    assert removed(last=1, weekly=1, hourly=2) == ["s/last-month", "s/old", "s/yesterday"]
    assert set(removed(last=1)) < set(everything)
    for nothing in ({}, {"prefix": "s/"}, {"last": -1}):
        with pytest.raises(InvalidArgumentError):
            removed(**nothing)
