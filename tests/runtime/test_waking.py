from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from autovibe.runtime.waking import PatientRhythm


@dataclass
class TwoClocks:
    """A wall clock and a monotonic one that are moved by hand."""

    wall: datetime = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    running: float = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.running

    def pass_by(self, wall_s: float, running_s: float) -> None:
        self.wall += timedelta(seconds=wall_s)
        self.running += running_s


def test_it_is_due_after_each_period_late_ones_too():
    clock = TwoClocks()
    rhythm = PatientRhythm(clock, 30, 10)
    for passed in (30, 31, 40):
        rhythm.begin()
        clock.pass_by(passed, passed)
        assert rhythm.is_due()
        assert rhythm.pause_s == 30


@pytest.mark.parametrize(
    ("wall_s", "running_s"),
    [(3600, 30), (3600, 3600), (30, 3600), (40.1, 30)],
    ids=["asleep", "stopped", "clock set back", "a nap"],
)
def test_after_waking_up_one_grace_time_passes_first(wall_s: float, running_s: float):
    clock = TwoClocks()
    rhythm = PatientRhythm(clock, 30, 10)
    rhythm.begin()
    clock.pass_by(wall_s, running_s)
    assert not rhythm.is_due()
    assert rhythm.pause_s == 10
    rhythm.begin()
    clock.pass_by(3600, 10)  # it went to sleep again at once
    assert not rhythm.is_due()
    rhythm.begin()
    clock.pass_by(10, 10)
    assert rhythm.is_due()
    assert rhythm.pause_s == 30


def test_what_is_done_when_it_is_due_is_no_sleep():
    clock = TwoClocks()
    rhythm = PatientRhythm(clock, 30, 10)
    clock.pass_by(30, 30)
    assert rhythm.is_due()
    clock.pass_by(600, 600)
    rhythm.begin()
    clock.pass_by(30, 30)
    assert rhythm.is_due()
