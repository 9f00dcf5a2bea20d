"""Opening below a tree that may change under our hands (decision C12).

Everything goes through the descriptor of the directory; a link is never followed; what was opened
is looked at again before it is used.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from heapq import nlargest
from operator import itemgetter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator

    from autovibe.store.tree import Holes, Xattrs

_SAFE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_OPEN_DIR: Final = os.O_RDONLY | os.O_DIRECTORY | _SAFE
OPEN_FILE: Final = os.O_RDONLY | _SAFE

# The name is gone, or is something else now: look again.
CHANGED: Final = frozenset(
    {errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EINVAL, errno.ESTALE}
)
# Nothing that looking again would cure: the path is recorded as unreadable.
UNREADABLE: Final = frozenset({errno.EACCES, errno.EPERM, errno.EIO, errno.EBADMSG})
NO_XATTRS: Final = frozenset({errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENODATA})

_KEPT_XATTRS: Final = ("user.", "trusted.", "security.capability", "system.posix_acl_")
_DROPPED_XATTRS: Final = ("user.overlay.", "trusted.overlay.")

BLOCK: Final = 512  # the unit of st_blocks, whatever the file system's own is
_SMALLEST_HOLE: Final = 4096
_MOST_HOLES: Final = 65_536


@contextlib.contextmanager
def closing(fd: int) -> Generator[int]:
    """Close a descriptor at the end of the block."""
    try:
        yield fd
    finally:
        os.close(fd)


def open_dir(name: bytes, parent: int) -> int:
    """Open a directory by its name; a link to one fails with ENOTDIR or ELOOP."""
    return os.open(name, _OPEN_DIR, dir_fd=parent)


def open_file(name: bytes, parent: int) -> int:
    """Open something for reading without following a link or waiting for the peer of a fifo."""
    return os.open(name, OPEN_FILE, dir_fd=parent)


def open_beneath(root: int, path: bytes) -> int:
    """Open the directory at a path below `root`, component by component, following no link."""
    fd = os.dup(root)
    for part in filter(None, path.split(b"/")):
        parent = fd
        try:
            fd = open_dir(part, parent)
        finally:
            os.close(parent)
    return fd


def open_path(name: bytes, parent: int) -> int:
    """Take hold of a name without opening what is behind it, nor following it."""
    return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)


def lstat(name: bytes, parent: int) -> os.stat_result | None:
    """Look at a name itself; None when it does not exist."""
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def same_object(seen: os.stat_result, opened: os.stat_result) -> bool:
    """Say whether what was opened has the type and the device of what the walk saw."""
    return stat.S_IFMT(seen.st_mode) == stat.S_IFMT(opened.st_mode) and seen.st_dev == opened.st_dev


def read_xattrs(fd: int) -> Xattrs:
    """Read the extended attributes that a snapshot keeps, sorted by name."""
    try:
        names = os.listxattr(fd)
    except OSError as error:
        if error.errno in NO_XATTRS:
            return ()
        raise
    found: list[tuple[bytes, bytes]] = []
    for name in names:
        if not name.startswith(_KEPT_XATTRS) or name.startswith(_DROPPED_XATTRS):
            continue
        try:
            found.append((os.fsencode(name), os.getxattr(fd, name)))
        except OSError as error:  # removed since it was listed, or not for us
            if error.errno not in NO_XATTRS:
                raise
    return tuple(sorted(found))


def may_have_holes(st: os.stat_result) -> bool:
    """Say whether a file has fewer blocks than its size needs."""
    return st.st_size >= _SMALLEST_HOLE and st.st_blocks * BLOCK < st.st_size


def read_holes(fd: int, st: os.stat_result) -> Holes:
    """Find the holes of a file, and go back to its beginning.

    Only a file with fewer blocks than its size needs is asked: that costs nothing for others.
    Beyond 65,536 holes only the longest are kept, the others become zeros.
    """
    if not may_have_holes(st):
        return ()
    holes: list[tuple[int, int]] = []
    at = 0
    try:
        while (start := os.lseek(fd, at, os.SEEK_HOLE)) < st.st_size:
            at = _end_of_hole(fd, start, st.st_size)
            holes.append((start, at - start))
            if at >= st.st_size:
                break
    except OSError as error:
        # A file system that does not know holes, or a file that has shrunk under our hands.
        if error.errno not in {errno.EINVAL, errno.ENXIO, errno.ENOTSUP}:
            raise
    os.lseek(fd, 0, os.SEEK_SET)
    if len(holes) > _MOST_HOLES:
        holes = sorted(nlargest(_MOST_HOLES, holes, key=itemgetter(1)))
    return tuple(holes)


def _end_of_hole(fd: int, start: int, size: int) -> int:
    try:
        return min(os.lseek(fd, start, os.SEEK_DATA), size)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return size  # nothing but a hole up to the end
