"""Changes by inotify: a watch on each directory; needs no privilege."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final

from autovibe.store.tracking import libc
from autovibe.store.tracking.directories import (
    DELETE_SELF,
    MOST_READS,
    MOVE_SELF,
    WATCHED,
    DirectoryTracker,
    Event,
    LostError,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

_ONLY_DIRECTORIES: Final = 0x01000000
_MASK: Final = WATCHED | DELETE_SELF | MOVE_SELF | _ONLY_DIRECTORIES
_UNMOUNTED: Final = 0x2000
_OVERFLOW: Final = 0x4000
_IGNORED: Final = 0x8000
_HEAD: Final = struct.Struct("iIII")  # watch, mask, cookie, length of the name
_BUFFER_BYTES: Final = 1 << 18


class InotifyTracker(DirectoryTracker):
    """Implements `ChangeTracker` by one watch a directory."""

    detection = "inotify"

    def __init__(self) -> None:
        """Watch nothing yet."""
        super().__init__()
        self._queue = -1

    def _open(self) -> None:
        if self._queue < 0:
            self._queue = libc.inotify_init()

    def _shut(self) -> None:
        if self._queue >= 0:
            os.close(self._queue)
            self._queue = -1

    def _register(self, fd: int) -> Hashable:
        return libc.inotify_add_watch(self._queue, fd, _MASK)

    def _forget(self, key: Hashable) -> None:
        assert isinstance(key, int)
        libc.inotify_rm_watch(self._queue, key)

    def _events(self) -> Iterator[Event]:
        for _ in range(MOST_READS):
            try:
                data = os.read(self._queue, _BUFFER_BYTES)
            except BlockingIOError:
                return
            at = 0
            while at < len(data):
                watch, mask, _, length = _HEAD.unpack_from(data, at)
                at += _HEAD.size + length
                if mask & (_OVERFLOW | _UNMOUNTED):
                    raise LostError
                if mask & _IGNORED:
                    self._ended(watch)
                    continue
                yield Event(watch, data[at - length : at].rstrip(b"\0"), mask)
        raise LostError

    def _ended(self, watch: int) -> None:
        """The kernel has taken a watch away: its directory was deleted, or we said so."""
        path = self._paths.pop(watch, None)
        if path is not None and self._keys.get(path) == watch:
            del self._keys[path]
            self._below.pop(path, None)
