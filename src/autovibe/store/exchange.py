"""Putting a file in the place of another at once, and removing the other one later."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from functools import cache
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_EXCHANGE: Final = 2
_MOST_HELD: Final = 100
_UNKNOWN: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOENT})


@cache
def _renameat2() -> Callable[[int, bytes, int, bytes, int], int] | None:
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is not None:
        integer, name = ctypes.c_int, ctypes.c_char_p
        call.argtypes = (integer, name, integer, name, ctypes.c_uint)
    return call


def exchange(fd: int, one: bytes, other: bytes) -> bool:
    """Let two names of a directory change places; False where that is not possible.

    A rename onto a name waits on ext4 until the content of the new file is on its way to the disk,
    which takes milliseconds where others write, too; this does not.
    """
    call = _renameat2()
    if call is None:
        return False
    if call(fd, one, fd, other, _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), other)


class Remover:
    """Removes names at once, and gives back what they took on the disk a little later.

    To free the blocks of a file takes milliseconds where the disk is busy; a name goes without
    waiting as long as something holds the file. What is held when the process ends is freed then.
    """

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._held: SimpleQueue[int | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def unlink(self, name: bytes, fd: int) -> None:
        """Remove a name in the directory open at `fd`."""
        if self._held.qsize() >= _MOST_HELD:
            os.unlink(name, dir_fd=fd)
            return
        held = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        try:
            os.unlink(name, dir_fd=fd)
        finally:
            self._held.put(held)
        if self._thread is None:
            self._thread = threading.Thread(target=self._free, name="free-files", daemon=True)
            self._thread.start()

    def _free(self) -> None:
        while (held := self._held.get()) is not None:
            os.close(held)

    def close(self) -> None:
        """Let the thread end when it has freed everything; nobody waits for it."""
        if self._thread is not None:
            self._held.put(None)
            self._thread = None
