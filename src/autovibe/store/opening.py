"""Opening below a tree that may change under our hands (decision C12).

Everything goes through the descriptor of the directory; a link is never followed; what was opened
is looked at again before it is used.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator

    from autovibe.store.tree import Xattrs

_SAFE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_OPEN_DIR: Final = os.O_RDONLY | os.O_DIRECTORY | _SAFE
_OPEN_FILE: Final = os.O_RDONLY | _SAFE

# The name is gone, or is something else now: look again.
CHANGED: Final = frozenset(
    {errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EINVAL, errno.ESTALE}
)
# Nothing that looking again would cure: the path is recorded as unreadable.
UNREADABLE: Final = frozenset({errno.EACCES, errno.EPERM, errno.EIO, errno.EBADMSG})
NO_XATTRS: Final = frozenset({errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENODATA})

_KEPT_XATTRS: Final = ("user.", "trusted.", "security.capability", "system.posix_acl_")
_DROPPED_XATTRS: Final = ("user.overlay.", "trusted.overlay.")


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
    return os.open(name, _OPEN_FILE, dir_fd=parent)


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
