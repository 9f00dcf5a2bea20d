"""The lock between those who add to a store and those who remove from it, and its epoch.

Snapshots and refs are written under the shared lock, packs are removed under the exclusive one.
The epoch changes before anything is removed: what was known to be stored in an earlier epoch must
be looked up again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
import uuid
from typing import TYPE_CHECKING, Final

from autovibe.kernel import faults
from autovibe.store.errors import StoreBusyError
from autovibe.store.files import store_writes, write_all

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from autovibe.kernel.clock import Clock

FIRST_EPOCH: Final = "0"
_POLL_S: Final = 0.005


def new_epoch() -> bytes:
    """Return the content of the file of a new epoch; it always has the same length."""
    return f"{uuid.uuid4().hex}\n".encode("ascii")


class Guard:
    """The two locks of one store; any number of threads and processes may use them."""

    def __init__(self, path: Path) -> None:
        """Take the store at `path`."""
        self._path = path

    def epoch(self) -> str:
        """Return the present epoch; it is only certain to last while a lock is held."""
        try:
            return (self._path / "epoch").read_text("ascii", "replace").strip()
        except FileNotFoundError:
            return FIRST_EPOCH

    def begin_epoch(self) -> str:
        """Begin a new epoch, durably; the caller holds the exclusive lock.

        Written in place, which takes no space: a full disk is when something has to be removed.
        What a crash leaves of it is none of the epochs before, either.
        """
        epoch = new_epoch()
        with store_writes(self._path):
            fd = self._open("epoch")
            try:
                write_all(fd, epoch)
                os.fsync(fd)
            finally:
                os.close(fd)
        faults.reach("epoch_begun")
        return epoch.decode("ascii").strip()

    @contextlib.contextmanager
    def adding(self) -> Generator[str]:
        """Hold the shared lock, and give the epoch, which lasts for the block.

        Raises:
            StoreReadOnlyError: the store cannot be written.
        """
        fd = self._open("lock")
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            yield self.epoch()
        finally:
            _release(fd)

    @contextlib.contextmanager
    def removing(self, wait_s: float, clock: Clock) -> Generator[None]:
        """Hold the exclusive lock.

        Raises:
            StoreBusyError: others held theirs for `wait_s` seconds.
            StoreReadOnlyError: the store cannot be written.
        """
        fd = self._open("lock")
        try:
            _acquire(fd, wait_s, clock, str(self._path))
            yield
        finally:
            _release(fd)

    @contextlib.contextmanager
    def maintaining(self) -> Generator[None]:
        """Be the only one who prunes or repairs.

        Raises:
            StoreBusyError: somebody does so already.
            StoreReadOnlyError: the store cannot be written.
        """
        fd = self._open("maintenance")
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in {errno.EAGAIN, errno.EACCES}:
                    raise
                msg = f"The checkpoint store {self._path} is being pruned or repaired: wait for it."
                raise StoreBusyError(msg, path=str(self._path)) from None
            yield
        finally:
            _release(fd)

    @contextlib.contextmanager
    def recovering(self) -> Generator[None]:
        """Be the only one who folds the journals of the dead; others wait for their turn.

        Raises:
            StoreReadOnlyError: the store cannot be written.
        """
        fd = self._open("recovery")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            _release(fd)

    def _open(self, name: str) -> int:
        with store_writes(self._path):
            return os.open(self._path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _release(fd: int) -> None:
    """Unlock and close: a process forked meanwhile shares the lock, and closing alone keeps it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def _acquire(fd: int, wait_s: float, clock: Clock, path: str) -> None:
    started = clock.monotonic()
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise
        else:
            return
        if clock.monotonic() - started >= wait_s:
            msg = f"The checkpoint store {path} is in use by others: try again later."
            raise StoreBusyError(msg, path=path)
        # Not a blocking lock: one that waits would keep new snapshots waiting behind it.
        time.sleep(_POLL_S)
