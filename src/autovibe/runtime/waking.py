"""Noticing that this process, or its whole host, stood still for a while (decision A7)."""

from __future__ import annotations

from autovibe.kernel.clock import Clock


class PatientRhythm:
    """When something is due that is done again and again, but not just after waking up.

    While a host sleeps its wall clock goes on and its monotonic one stands still; while a process
    or a virtual machine is stopped both go on and nobody looks. Whoever wakes up first must not
    take the others for dead: they get `grace_s` to say that they live.
    """

    def __init__(self, clock: Clock, period_s: float, grace_s: float) -> None:
        """Begin to watch now; nothing is due before `pause_s` has passed."""
        self._clock = clock
        self._period_s = period_s
        self._grace_s = grace_s
        self.pause_s = period_s
        self._wall, self._monotonic = clock.now(), clock.monotonic()

    def begin(self) -> None:
        """Say that the pause of `pause_s` begins now."""
        self._wall, self._monotonic = self._clock.now(), self._clock.monotonic()

    def is_due(self) -> bool:
        """Return, after a pause of `pause_s`, whether to do it now or to pause once more.

        A pause that took longer by more than the grace was sleep. A wall clock that was set forward
        looks like it, which costs a little patience.
        """
        wall, monotonic = self._clock.now(), self._clock.monotonic()
        passed_s = max((wall - self._wall).total_seconds(), monotonic - self._monotonic)
        slept = passed_s > self.pause_s + self._grace_s
        self.pause_s = self._grace_s if slept else self._period_s
        return not slept
