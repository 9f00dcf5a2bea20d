"""What Ctrl-C and its like do to a command (decision B8)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from autovibe.cli.errors import InterruptedByUserError
from autovibe.kernel.errors import EXIT_INTERRUPTED

T = TypeVar("T")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE_S: Final = 3.0
_SHOW_CURSOR: Final = b"\x1b[?25h"


class Interrupts:
    """The signals of one command.

    At first a signal cancels the command. After `graceful()` the first one only sets `stopping`,
    and it is for the command to end in order. Every further one cancels, and 3 seconds later the
    process ends whatever it does.
    """

    def __init__(self) -> None:
        """Start with no signal received."""
        self.stopping = asyncio.Event()
        self.received: signal.Signals | None = None
        self._task: asyncio.Task[Any] | None = None
        self._graceful = False
        self._installed: list[signal.Signals] = []

    def graceful(self) -> None:
        """Let the first signal set `stopping` only."""
        self._graceful = True

    def abrupt(self) -> None:
        """Let the first signal cancel again; one that has come already cancels now."""
        self._graceful = False
        if self.stopping.is_set() and self._task is not None:
            self._task.cancel()

    def install(self, task: asyncio.Task[Any]) -> None:
        """Take the signals of this process for a task; one that is ignored (nohup) stays so."""
        self._task = task
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._on_signal, number)
                self._installed.append(number)

    def restore(self) -> None:
        """Give the signals back."""
        loop = asyncio.get_running_loop()
        while self._installed:
            loop.remove_signal_handler(self._installed.pop())

    def _on_signal(self, number: signal.Signals) -> None:
        again = self.stopping.is_set()
        self.received = self.received or number
        self.stopping.set()
        if again:
            asyncio.get_running_loop().call_later(_GRACE_S, _end_process)
            # A third one is the kernel's: it works even when this loop does not turn.
            self.restore()
        if self._task is not None and (again or not self._graceful):
            self._task.cancel()


def _end_process() -> None:
    if sys.stdout.isatty():
        os.write(sys.stdout.fileno(), _SHOW_CURSOR)
    os._exit(EXIT_INTERRUPTED)


def run_with_interrupts(body: Callable[[Interrupts], Coroutine[Any, Any, T]]) -> T:
    """Run a command on a loop in this thread, which must be the main one.

    Raises:
        InterruptedByUserError: a signal cancelled it.
    """

    async def run() -> T:
        interrupts = Interrupts()
        task = asyncio.get_running_loop().create_task(body(interrupts))
        interrupts.install(task)
        try:
            return await task
        except asyncio.CancelledError:
            if not interrupts.stopping.is_set():
                raise
            raise InterruptedByUserError("Interrupted.") from None
        finally:
            interrupts.restore()

    return asyncio.run(run())
