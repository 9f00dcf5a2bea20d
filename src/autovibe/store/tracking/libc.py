"""The few calls of the C library that Python does not offer."""

from __future__ import annotations

import ctypes
import os
import struct
from functools import cache

_AT_EMPTY_PATH = 0x1000
_HANDLE_BYTES = 128  # MAX_HANDLE_SZ of the kernel
_SYNC_WAIT_WRITE_WAIT = 7
_OPENAT2 = 437  # on every architecture
_HOW = struct.Struct("=QQQ")  # flags, mode, how paths are resolved
_BENEATH = 0x08
_NO_SYMLINKS = 0x04


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def open_beneath(root: int, path: bytes, flags: int) -> int:
    """Open a path below `root` by one call, following no link on the way.

    Raises:
        OSError: as `os.open` does; ENOSYS or EPERM also when the kernel does not offer this call.
    """
    how = _HOW.pack(flags | os.O_CLOEXEC, 0, _BENEATH | _NO_SYMLINKS)
    return _checked(_libc().syscall(_OPENAT2, root, path, how, _HOW.size), "openat2")


def inotify_init() -> int:
    """Open an event queue that never blocks."""
    return _checked(_libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")


def inotify_add_watch(queue: int, fd: int, mask: int) -> int:
    """Watch an open directory; going through the descriptor, no link can lead elsewhere."""
    path = f"/proc/self/fd/{fd}".encode("ascii")
    return _checked(_libc().inotify_add_watch(queue, path, mask), "inotify_add_watch")


def inotify_rm_watch(queue: int, watch: int) -> None:
    """Stop watching; a watch that is gone already is no error."""
    _libc().inotify_rm_watch(queue, watch)


def fanotify_init(flags: int) -> int:
    """Open a queue of file system events."""
    call = _libc().fanotify_init
    call.argtypes = (ctypes.c_uint, ctypes.c_uint)
    return _checked(call(flags, os.O_RDONLY), "fanotify_init")


def fanotify_mark(queue: int, flags: int, mask: int, fd: int) -> None:
    """Add a mark for what an open directory belongs to."""
    call = _libc().fanotify_mark
    call.argtypes = (ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p)
    _checked(call(queue, flags, mask, fd, b"."), "fanotify_mark")


def handle_of(fd: int) -> bytes:
    """Return the file handle of something open: what events name it by."""
    handle = ctypes.create_string_buffer(8 + _HANDLE_BYTES)
    ctypes.c_uint32.from_buffer(handle).value = _HANDLE_BYTES
    mount = ctypes.c_int()
    call = _libc().name_to_handle_at
    result = call(fd, b"", handle, ctypes.byref(mount), _AT_EMPTY_PATH)
    _checked(result, "name_to_handle_at")
    length = ctypes.c_uint32.from_buffer(handle).value
    return handle.raw[: 8 + length]


def flush(fd: int) -> None:
    """Write the dirty pages of a file out, so that the next store through a mapping is noticed.

    A page under writeback is write-protected: the next store faults, and sets mtime and ctime.
    """
    call = _libc().sync_file_range
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    if call(fd, 0, 0, _SYNC_WAIT_WRITE_WAIT) < 0:
        os.fdatasync(fd)  # a file system that does not know ranges
