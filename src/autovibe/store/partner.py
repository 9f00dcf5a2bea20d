"""A second process that does a share of the work of a large restore or verification.

Threads would wait for each other: of a small file more time goes into Python than into what lets
go of its lock. It is started afresh, never forked: the caller may have threads (decision A9).
"""

from __future__ import annotations

import contextlib
import fcntl
import marshal
import os
import select
import subprocess
import sys
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from autovibe.store.bulk import LENGTH_BYTES
from autovibe.store.files import write_all

if TYPE_CHECKING:
    from autovibe.store.bulk import Batch, Content

_AT_ONCE: Final = 2
_PIPE_BYTES: Final = 1 << 20
T = TypeVar("T")


def is_worthwhile() -> bool:
    """Say whether there is a second processor for a second process."""
    return len(os.sched_getaffinity(0)) > 1


class Partner(Generic[T]):
    """The other process. Tasks of type `T` stay with the caller until their answers are there.

    One that dies loses nothing: `lost` then are the tasks that it may have begun.
    """

    def __init__(self, top: int) -> None:
        """Start it; `top` is as for `bulk.serve`."""
        self.lost: list[T] = []
        self._sent: deque[T] = deque()
        self._held = bytearray()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "autovibe.store.bulk", str(top)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[] if top < 0 else [top],
            start_new_session=True,  # what interrupts this process must not interrupt it
        )
        assert self._process.stdin is not None
        # So that a task can be left there without waiting until it is read.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._process.stdin, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    @property
    def waits(self) -> bool:
        """Whether it would soon have nothing to do."""
        return len(self._sent) < _AT_ONCE and self._process.stdin is not None

    @property
    def busy(self) -> bool:
        """Whether answers are to come."""
        return bool(self._sent)

    def send(self, task: T, message: Batch | list[Content]) -> None:
        """Give it a task, in the form that it understands."""
        data = marshal.dumps(message)
        assert self._process.stdin is not None
        self._sent.append(task)
        try:
            write_all(
                self._process.stdin.fileno(), len(data).to_bytes(LENGTH_BYTES, "little") + data
            )
        except OSError:
            self._lose()

    def answers(self, *, wait: bool) -> list[tuple[T, tuple[int, ...]]]:
        """Return the tasks that are done, and what it says of them."""
        if not self._sent:
            return []
        assert self._process.stdout is not None
        out = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(out, select.POLLIN)
        done: list[tuple[T, tuple[int, ...]]] = []
        while self._sent and (poll.poll(0) or (wait and not done)):
            piece = os.read(out, 1 << 16)
            if not piece:
                self._lose()
                break
            self._held += piece
            done += self._whole()
        return done

    def _whole(self) -> list[tuple[T, tuple[int, ...]]]:
        done: list[tuple[T, tuple[int, ...]]] = []
        while len(self._held) >= LENGTH_BYTES:
            end = LENGTH_BYTES + int.from_bytes(self._held[:LENGTH_BYTES], "little")
            if len(self._held) < end:
                break
            answer = marshal.loads(bytes(self._held[LENGTH_BYTES:end]))  # noqa: S302 - our own process
            del self._held[:end]
            done.append((self._sent.popleft(), answer))
        return done

    def _lose(self) -> None:
        self.lost += self._sent
        self._sent.clear()
        self.close()

    def close(self) -> None:
        """Let it end, without waiting for what it was given. Calling twice is allowed."""
        process = self._process
        if process.stdin is None:
            return
        if self._sent:
            process.kill()
        with process:  # closes both pipes and waits
            pass
        process.stdin = None
