"""Stopping every process of a machine where it is, and letting them go on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from typing import Final

from autovibe.drivers.machine import procfs
from autovibe.drivers.machine.cgroups import MachineGroups
from autovibe.kernel.clock import Clock
from autovibe.kernel.errors import UnavailableError

FREEZE_TIMEOUT_S: Final = 2.0
"""Longest time a freeze may take; a process in an uninterruptible wait can take that long."""
_POLL_S: Final = 0.0005


class Freezer:
    """Stops and continues the processes of one machine.

    The kernel's group freezer where there is one: invisible inside and safe against forks.
    Else SIGSTOP, repeated until a look at all processes finds every thread stopped; then nobody is
    left who could start another. Processes that were stopped before stay stopped on thaw.
    """

    def __init__(
        self, groups: MachineGroups, members: Callable[[], Sequence[int]], clock: Clock
    ) -> None:
        """Freeze `groups` where possible, else the processes that `members` returns."""
        self._groups = groups
        self._members = members
        self._clock = clock
        self._signalled: set[int] = set()
        self._by_group = False
        self.frozen = False

    async def freeze(self) -> None:
        """Return once no process runs.

        Raises:
            UnavailableError: a process did not stop in time; all were let go on.
        """
        if self.frozen:
            return
        self._by_group = self._groups.can_freeze and self._groups.set_frozen(frozen=True)
        still = self._groups.is_frozen if self._by_group else self._stop_all
        self.frozen = True
        deadline = self._clock.monotonic() + FREEZE_TIMEOUT_S
        try:
            while not still():
                if self._clock.monotonic() >= deadline:
                    msg = (
                        f"The machine's processes did not stop within {FREEZE_TIMEOUT_S:g} s;"
                        " try again when the disk is less busy."
                    )
                    raise UnavailableError(msg)  # noqa: TRY301 - the handler undoes, for cancelling too
                await asyncio.sleep(_POLL_S)
        except BaseException:
            self.thaw()
            raise

    def _stop_all(self) -> bool:
        """Send SIGSTOP to all that run; returns whether none did."""
        running = [pid for pid in self._members() if not procfs.is_stopped(pid)]
        for pid in running:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGSTOP)
                self._signalled.add(pid)
        return not running

    def thaw(self) -> None:
        """Let the processes go on that `freeze` stopped; nothing happens when none are."""
        if not self.frozen:
            return
        self.frozen = False
        if self._by_group:
            self._groups.set_frozen(frozen=False)
            return
        # Only who is still a member: a pid may be another process's by now.
        for pid in self._signalled.intersection(self._members()):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGCONT)
        self._signalled.clear()
