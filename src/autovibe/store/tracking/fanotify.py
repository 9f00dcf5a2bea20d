"""Changes by fanotify: one mark for a whole file system; needs CAP_SYS_ADMIN.

It hears of everything that happens on the file system and keeps what concerns its directories,
which it knows by their file handles.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final

from autovibe.store.tracking import libc
from autovibe.store.tracking.directories import (
    IS_DIR,
    MOST_READS,
    WATCHED,
    DirectoryTracker,
    Event,
    LostError,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

_CLOEXEC: Final = 0x1
_NONBLOCK: Final = 0x2
_REPORT_DIRECTORY_AND_NAME: Final = 0xC00
_MARK_ADD: Final = 0x1
_MARK_FILE_SYSTEM: Final = 0x100
_OVERFLOW: Final = 0x4000
_HEAD: Final = struct.Struct("=IBBHQii")  # length, version, -, length of this, mask, fd, pid
_INFO: Final = struct.Struct("=BBH8x")  # type, -, length, fsid
_NAMED: Final = frozenset({2, 3})  # a directory and a name in it, a directory
_HANDLE_HEAD: Final = struct.Struct("=Ii")
_BUFFER_BYTES: Final = 1 << 18


class FanotifyTracker(DirectoryTracker):
    """Implements `ChangeTracker` by a mark on the file system of each root."""

    detection = "fanotify"

    def __init__(self) -> None:
        """Watch nothing yet."""
        super().__init__()
        self._queue = -1

    def _open(self) -> None:
        if self._queue >= 0:
            return
        flags = _CLOEXEC | _NONBLOCK | _REPORT_DIRECTORY_AND_NAME
        self._queue = libc.fanotify_init(flags)
        for _, fd in self._roots.values():
            libc.fanotify_mark(self._queue, _MARK_ADD | _MARK_FILE_SYSTEM, WATCHED | IS_DIR, fd)

    def _shut(self) -> None:
        if self._queue >= 0:
            os.close(self._queue)
            self._queue = -1

    def _register(self, fd: int) -> Hashable:
        return libc.handle_of(fd)

    def _forget(self, key: Hashable) -> None:
        """Do nothing: an unknown handle is ignored."""

    def _events(self) -> Iterator[Event]:
        for _ in range(MOST_READS):
            try:
                data = os.read(self._queue, _BUFFER_BYTES)
            except BlockingIOError:
                return
            at = 0
            while at < len(data):
                length, _, _, head, mask, _, _ = _HEAD.unpack_from(data, at)
                if mask & _OVERFLOW:
                    raise LostError
                yield from _named(data, at + head, at + length, mask)
                at += length
        raise LostError


def _named(data: bytes, at: int, end: int, mask: int) -> Iterator[Event]:
    while at < end:
        kind, _, length = _INFO.unpack_from(data, at)
        if kind in _NAMED:
            start = at + _INFO.size
            size = _HANDLE_HEAD.unpack_from(data, start)[0]
            named = start + _HANDLE_HEAD.size + size
            name = data[named : at + length].partition(b"\0")[0]
            yield Event(data[start:named], b"" if name == b"." else name, mask)
        at += length
