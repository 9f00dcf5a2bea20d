"""Files of the store itself: durable writes, temporary files with a living owner, their sweep."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from autovibe.store.errors import StoreFullError, StoreReadOnlyError, StoreWriteError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

# EFBIG is the file size limit of the process: for the writer the same as a full disk.
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
READ_ONLY: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


@contextlib.contextmanager
def store_writes(path: Path) -> Generator[None]:
    """Turn the failures of a write below `path` into the errors that people can act on.

    Raises:
        StoreFullError: no space or quota is left.
        StoreReadOnlyError: the file system or the permissions forbid writing.
        StoreWriteError: anything else, such as a failing disk.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            msg = f"No space is left for the checkpoint store in {path}: free some and try again."
            raise StoreFullError(msg, path=str(path)) from error
        if error.errno in READ_ONLY:
            msg = (
                f"The checkpoint store in {path} cannot be written ({error.strerror}): "
                "make it writable for this user."
            )
            raise StoreReadOnlyError(msg, path=str(path)) from error
        msg = f"Writing the checkpoint store in {path} failed ({error.strerror}): check the disk."
        raise StoreWriteError(msg, path=str(path)) from error


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """Write everything: a short write is continued, so that its reason comes out as an error."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def read_fully(fd: int, size: int) -> bytes:
    """Read `size` bytes from the present position, fewer only at the end of the file."""
    data = os.read(fd, size)
    if len(data) == size or not data:
        return data
    parts = [data]
    missing = size - len(data)
    while missing and (data := os.read(fd, missing)):
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


def sync_dir(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@dataclass(slots=True)
class TemporaryFile:
    """A file in `tmp/` whose lock says that its writer lives; it becomes permanent by rename."""

    path: Path
    fd: int
    renamed: bool = False

    def rename(self, target: Path) -> None:
        """Give the file its permanent name; the caller has synced it and syncs the directory."""
        self.path.rename(target)
        self.renamed = True

    def close(self) -> None:
        """Close it, and remove it unless it was renamed. Calling twice is allowed."""
        if self.fd < 0:
            return
        if not self.renamed:
            with contextlib.suppress(OSError):
                self.path.unlink()
        os.close(self.fd)
        self.fd = -1


def create_temporary(directory: Path, suffix: str, stem: str | None = None) -> TemporaryFile:
    """Create a locked file in `directory`.

    The sweep of another process may take the lock between creation and ours and remove the file;
    then the name is created again.

    Args:
        directory: the `tmp/` of the store.
        suffix: with its dot.
        stem: a name that no other writer uses; a random one by default.
    """
    path = directory / f"{stem or uuid.uuid4().hex}{suffix}"
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink:
                return TemporaryFile(path, fd)
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def sweep(directory: Path) -> int:
    """Remove the files of dead writers from `tmp/`.

    Returns:
        How many were removed.
    """
    removed = 0
    for path in sorted(directory.iterdir()):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # finished or swept by somebody else in the meantime
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            removed += 1
        except OSError:  # the lock is held: its writer lives; or the file has moved
            continue
        finally:
            os.close(fd)
    return removed
