"""The stamp of something on disk: bytes that stay equal as long as it has not changed.

Imports next to nothing, for the process of `sweeper.py`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import os

# Mode, link count, device, inode, size, mtime and ctime. Bytes, since numbers of their own would
# take three times the memory.
STAMP: Final = struct.Struct("<IIQQQqq")
STAMP_BYTES: Final = STAMP.size
MODE: Final = slice(4)
BUT_CTIME: Final = slice(8, STAMP_BYTES - 8)  # and but mode and link count
_LINKS: Final = struct.Struct("<I")
_LINKS_AT: Final = 4
_INODE: Final = struct.Struct("<QQ")
_INODE_AT: Final = 8
_MASK: Final = (1 << 64) - 1

# Stands for a directory that had just changed when it was read, and could change unseen.
RESTLESS: Final = b"\0"


def stamp_of(st: os.stat_result) -> bytes:
    """Return what must stay equal for a file to count as unchanged."""
    mode, links, device, inode = st.st_mode, st.st_nlink, st.st_dev, st.st_ino
    size, mtime, ctime = st.st_size, st.st_mtime_ns, st.st_ctime_ns
    try:
        return STAMP.pack(mode, links, device, inode, size, mtime, ctime)
    except struct.error:  # a year that nanoseconds cannot count; only equality matters
        mtime, ctime = (((ns & _MASK) ^ (1 << 63)) - (1 << 63) for ns in (mtime, ctime))
        return STAMP.pack(mode, links & 0xFFFF_FFFF, device, inode, size, mtime, ctime)


def links_of(stamp: bytes) -> int:
    """Return the number of names that a stamp tells of."""
    return _LINKS.unpack_from(stamp, _LINKS_AT)[0]


def inode_of(stamp: bytes) -> tuple[int, int]:
    """Return the device and inode that a stamp tells of."""
    return _INODE.unpack_from(stamp, _INODE_AT)
