"""What trackers share that are told of changes directory by directory.

The rules that make this safe: a directory is registered before it is listed, so that whatever is
made in it meanwhile is in its listing or in an event; a directory that appears or moves is named
as a whole, so that what happened in it before it was registered is looked at.
"""

from __future__ import annotations

import errno
import os
import stat
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, NamedTuple

from autovibe.store.opening import closing, lstat, open_beneath, open_dir
from autovibe.store.tracking import libc
from autovibe.store.tracking.contract import TrackingUnavailableError
from autovibe.store.tree import MAX_DEPTH, to_bytes

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping
    from pathlib import Path

# The two interfaces of the kernel use the same bits.
MODIFY: Final = 0x2
ATTRIB: Final = 0x4
CLOSE_WRITE: Final = 0x8
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
DELETE_SELF: Final = 0x400
MOVE_SELF: Final = 0x800
IS_DIR: Final = 0x40000000
WATCHED: Final = MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE
# Who writes faster than we read is not waited for.
MOST_READS: Final = 64
_CONTENT: Final = MODIFY | ATTRIB | CLOSE_WRITE
_APPEARED: Final = CREATE | MOVED_TO
_GONE: Final = DELETE | MOVED_FROM


class LostError(Exception):
    """The kernel dropped events, or took the tree away."""


class Event(NamedTuple):
    """Something happened to a name in a directory; without a name, to the directory itself."""

    key: Hashable
    name: bytes
    mask: int


class DirectoryTracker(ABC):
    """Keeps which directory a key of the kernel stands for, and turns events into paths."""

    detection = ""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._roots: dict[bytes, tuple[Path, int]] = {}
        self._paths: dict[Hashable, bytes] = {}
        self._keys: dict[bytes, Hashable] = {}
        self._below: dict[bytes, set[bytes]] = {}

    @abstractmethod
    def _open(self) -> None:
        """Open the queue; calling twice is allowed."""

    @abstractmethod
    def _shut(self) -> None:
        """Close the queue; calling twice is allowed."""

    @abstractmethod
    def _register(self, fd: int) -> Hashable:
        """Have events of an open directory reported, and return the key they bear."""

    @abstractmethod
    def _forget(self, key: Hashable) -> None:
        """Events of this key are of no interest any more."""

    @abstractmethod
    def _events(self) -> Iterator[Event]:
        """Yield what has happened; raise LostError when that is not known."""

    def start(self, roots: Mapping[str, Path]) -> None:
        """Begin to watch (see `ChangeTracker`).

        Raises:
            TrackingUnavailableError: the kernel refuses; nothing is left open.
        """
        try:
            for name, path in roots.items():
                fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                self._roots[to_bytes(name)] = (path, fd)
            self._restart()
        except OSError as error:
            self.close()
            msg = f"Changes cannot be tracked by {self.detection} ({error}): trees are walked."
            raise TrackingUnavailableError(msg, detection=self.detection) from error

    def _restart(self) -> None:
        self._shut()
        self._paths.clear()
        self._keys.clear()
        self._below.clear()
        self._open()
        for name, (_, fd) in self._roots.items():
            with closing(os.dup(fd)) as top:
                self._watch(top, name, os.fstat(top).st_dev, 0)

    def close(self) -> None:
        """Stop watching. Calling twice is allowed."""
        self._shut()
        for _, fd in self._roots.values():
            os.close(fd)
        self._roots.clear()

    def _watch(self, fd: int, path: bytes, device: int, depth: int) -> None:
        """Register a directory, then all below it."""
        key = self._register(fd)
        before = self._paths.get(key)
        if before is not None and before != path:  # it was moved, and we have not heard of it yet
            self._drop(before)
            key = self._register(fd)
        self._paths[key] = path
        self._keys[path] = key
        below = self._below.setdefault(path, set())
        if depth >= MAX_DEPTH:
            return
        with os.scandir(fd) as listing:
            names = [os.fsencode(i.name) for i in listing if i.is_dir(follow_symlinks=False)]
        for name in names:
            try:
                child = open_dir(name, fd)
            except OSError:  # gone, or not for us: an event tells when that changes
                continue
            with closing(child):
                if os.fstat(child).st_dev == device:
                    below.add(name)
                    self._watch(child, path + b"/" + name, device, depth + 1)

    def _drop(self, path: bytes) -> None:
        """Forget a directory and all below it."""
        parent, _, name = path.rpartition(b"/")
        self._below.get(parent, set()).discard(name)
        pending = [path]
        while pending:
            at = pending.pop()
            pending += [at + b"/" + name for name in self._below.pop(at, ())]
            key = self._keys.pop(at, None)
            if key is not None and self._paths.pop(key, None) is not None:
                self._forget(key)

    def changed(self) -> set[bytes] | None:
        """Return what may have changed since the last call (see `ChangeTracker`)."""
        try:
            return self._changed()
        except LostError:
            pass
        except OSError:  # a watch or a descriptor too many
            pass
        try:
            self._restart()
        except OSError:  # it may work again next time; until then everything may have changed
            self._shut()
        return None

    def _changed(self) -> set[bytes]:
        if not self._keys:
            raise LostError
        changed: set[bytes] = set()
        names: dict[bytes, int] = {}
        for key, name, mask in self._events():
            directory = self._paths.get(key)
            if directory is None:
                continue
            path = directory + b"/" + name
            if not name:
                if directory in self._roots and mask & (DELETE_SELF | MOVE_SELF):
                    raise LostError
                if mask & ATTRIB:
                    changed.add(path)
            elif mask & IS_DIR:
                changed.add(self._directory(path, mask))
            else:
                names[path] = names.get(path, 0) | mask
        for path, mask in names.items():
            # Written, and not there under this name: the file may have got another name by a hard
            # link that we cannot tell, while the writer still uses the old one.
            if mask & _CONTENT and not mask & (_APPEARED | MOVED_FROM) and not self._exists(path):
                raise LostError
        return changed.union(names)

    def _directory(self, path: bytes, mask: int) -> bytes:
        """Watch what has appeared, forget what is gone; return what may have changed."""
        if not mask & (_APPEARED | _GONE) and path in self._keys:
            return path + b"/"  # its attributes; what is below has its own watches
        if mask & _GONE:
            self._drop(path)
        if mask & (_APPEARED | ATTRIB):
            root, _, below = path.partition(b"/")
            top = self._roots[root][1]
            try:
                fd = open_beneath(top, below)
            except OSError:  # gone, replaced or unreadable: other events tell
                return path
            with closing(fd):
                device = os.fstat(top).st_dev
                if stat.S_ISDIR(os.fstat(fd).st_mode) and os.fstat(fd).st_dev == device:
                    parent, _, name = path.rpartition(b"/")
                    self._below.setdefault(parent, set()).add(name)
                    self._watch(fd, path, device, path.count(b"/"))
        return path

    def _exists(self, path: bytes) -> bool:
        root, _, below = path.partition(b"/")
        top = self._roots[root][1]
        try:
            os.close(libc.open_beneath(top, below, os.O_PATH | os.O_NOFOLLOW))
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR}:
                return False
        else:
            return True
        parent, _, name = below.rpartition(b"/")
        try:
            with closing(open_beneath(top, parent)) as fd:
                return lstat(name, fd) is not None
        except OSError:
            return False
