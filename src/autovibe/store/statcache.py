"""The stat cache: what need not be read again, because it cannot have changed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from autovibe.store.tree import TreeEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

# mode, device, inode, link count, size, mtime_ns, ctime_ns
StatKey = tuple[int, int, int, int, int, int, int]

# Stands for a directory in a listing: its own attributes are always read afresh.
DIRECTORY: Final[StatKey] = (0, 0, 0, 0, 0, 0, 0)

# One tick of the kernel's clock is 10 ms at the coarsest (HZ=100); the second is a margin.
TICK_NS: Final = 20_000_000


def stat_key(st: os.stat_result) -> StatKey:
    """Return what must stay equal for a file to count as unchanged."""
    return (
        st.st_mode,
        st.st_dev,
        st.st_ino,
        st.st_nlink,
        st.st_size,
        st.st_mtime_ns,
        st.st_ctime_ns,
    )


@dataclass(slots=True)
class DirRecord:
    """What the last snapshot saw in one directory.

    `files` are the entries of all but directories, before link groups are assigned; `unsettled`
    are the names that must be read again (racy, torn or unreadable); `linked` those of
    inodes with several names; `tree` is the id of the stored tree, empty when it is not known.
    """

    listing: dict[bytes, StatKey] = field(default_factory=dict[bytes, StatKey])
    files: dict[bytes, TreeEntry] = field(default_factory=dict[bytes, TreeEntry])
    dirs: dict[bytes, TreeEntry] = field(default_factory=dict[bytes, TreeEntry])
    unsettled: set[bytes] = field(default_factory=set[bytes])
    linked: tuple[bytes, ...] = ()
    special: tuple[bytes, ...] = ()
    tree: bytes = b""
    file_count: int = 0
    file_bytes: int = 0


Records = dict[bytes, DirRecord]


class StatCache:
    """Remembers one live tree between its snapshots, in memory.

    Belongs to one store and is used by one snapshot at a time; it is only brought forward by a
    snapshot or restore that succeeded, so that it never vouches for an object that was not stored.
    """

    def __init__(self) -> None:
        """Start empty: the first snapshot reads everything."""
        self._store = ""
        self._roots: dict[str, Records] = {}

    def records(self, store_id: str, root: str) -> Mapping[bytes, DirRecord]:
        """Return what is known of a named root in this store, by directory."""
        return self._roots.get(root, {}) if self._store == store_id else {}

    def replace(self, store_id: str, roots: Mapping[str, Records]) -> None:
        """Take what a snapshot or restore saw of these roots; other roots stay as they are."""
        if self._store != store_id:
            self._roots.clear()
            self._store = store_id
        self._roots.update(roots)

    def clear(self) -> None:
        """Forget everything: the next snapshot reads all files."""
        self._roots.clear()
