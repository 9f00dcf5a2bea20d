"""The stat cache: what need not be read again, because it cannot have changed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from autovibe.store.tree import FILE, SPECIAL, file_size, to_bytes, to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from autovibe.store.exclude import Exclude
    from autovibe.store.parts import Parts

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

    `files` are the entries of all but directories, encoded, before link groups are assigned; `dirs`
    those of directories, encoded; `parts` those of a large directory as it was stored; `unsettled`
    are the names that must be looked at again (racy, torn, unreadable, or not entered); `linked`
    those of inodes with several names; `excluded` what was left out by pattern; `tree` is the id of
    the stored tree, empty when it is not known; `own` is the directory itself as it was before it
    was listed, `DIRECTORY` when it had just changed and could change unseen, None when no walk has
    seen it yet.
    """

    listing: dict[bytes, StatKey] = field(default_factory=dict[bytes, StatKey])
    files: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    dirs: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    parts: Parts = ()
    unsettled: set[bytes] = field(default_factory=set[bytes])
    linked: tuple[bytes, ...] = ()
    special: tuple[bytes, ...] = ()
    excluded: tuple[bytes, ...] = ()
    own: StatKey | None = None
    tree: bytes = b""
    file_count: int = 0
    file_bytes: int = 0

    def summarise(self) -> None:
        """Count what is in `files`, and name what is special or has several names."""
        files, listing = self.files, self.listing
        self.file_count = len(files)
        self.file_bytes = sum(map(file_size, files.values()))
        self.special = tuple(n for n, data in files.items() if data[0] in SPECIAL)
        self.linked = tuple(n for n, e in files.items() if e[0] == FILE and listing[n][3] > 1)

    def summarise_since(self, before: DirRecord, touched: Collection[bytes]) -> None:
        """Do so knowing what was counted before, and which names may differ."""
        files, listing, old = self.files, self.listing, before.files
        self.file_count = len(files)
        now = {name: files[name] for name in touched if name in files}
        self.file_bytes = before.file_bytes + sum(map(file_size, now.values()))
        self.file_bytes -= sum(file_size(old[name]) for name in touched if name in old)
        special = [n for n in before.special if n not in touched]
        self.special = (*special, *(n for n, data in now.items() if data[0] in SPECIAL))
        linked = [n for n in before.linked if n not in touched]
        self.linked = (
            *linked,
            *(n for n, data in now.items() if data[0] == FILE and listing[n][3] > 1),
        )


Records = dict[bytes, DirRecord]


class Known:
    """The records of one root, and what is asked of them without going through all.

    `linked`, `special`, `excluded` and `unsettled` are the directories that have such names.
    """

    def __init__(self, records: Records) -> None:
        """Take the records of a whole root."""
        self.records = records
        self.linked: set[bytes] = set()
        self.special: set[bytes] = set()
        self.excluded: set[bytes] = set()
        self.unsettled: set[bytes] = set()
        self.file_count = 0
        self.file_bytes = 0
        self._watched: frozenset[int] = frozenset()
        self._places: dict[int, set[tuple[bytes, bytes]]] = {}
        for path, record in records.items():
            self._count(path, record)

    def _count(self, path: bytes, record: DirRecord) -> None:
        self.file_count += record.file_count
        self.file_bytes += record.file_bytes
        for there, names in self._kinds(record):
            if names:
                there.add(path)

    def _kinds(self, record: DirRecord) -> tuple[tuple[set[bytes], object], ...]:
        return (
            (self.linked, record.linked),
            (self.special, record.special),
            (self.excluded, record.excluded),
            (self.unsettled, record.unsettled),
        )

    def advance(self, gone: Iterable[bytes], fresh: Records) -> None:
        """Take what a snapshot saw: directories that went, then those that it looked at."""
        for path in gone:
            self._remove(path)
        for path, record in fresh.items():
            self._uncount(path)
            self.records[path] = record
            self._count(path, record)
            if self._watched:
                self._place(path, record, self._watched)

    def _remove(self, top: bytes) -> None:
        pending = [top]
        while pending:
            path = pending.pop()
            record = self._uncount(path)
            if record is not None:
                del self.records[path]
                pending += [path + b"/" + name if path else name for name in record.dirs]

    def _uncount(self, path: bytes) -> DirRecord | None:
        record = self.records.get(path)
        if record is not None:
            self.file_count -= record.file_count
            self.file_bytes -= record.file_bytes
            for there, _ in self._kinds(record):
                there.discard(path)
        return record

    def names(
        self, root: str, paths: Iterable[bytes], kind: Callable[[DirRecord], Iterable[bytes]]
    ) -> list[str]:
        """Return full paths of one kind of names in these directories."""
        return [
            to_text(b"/".join(filter(None, (to_bytes(root), path, name))))
            for path in paths
            for name in kind(self.records[path])
        ]

    def places(self, inodes: frozenset[int]) -> set[tuple[bytes, bytes]]:
        """Return directory and name of these inodes; the first time all records are searched."""
        fresh = inodes - self._watched
        if fresh:
            self._watched |= fresh
            for path, record in self.records.items():
                self._place(path, record, fresh)
        return {
            (path, name)
            for inode in inodes
            for path, name in self._places.get(inode, ())
            if path in self.records and self.records[path].listing.get(name, DIRECTORY)[2] == inode
        }

    def _place(self, path: bytes, record: DirRecord, inodes: frozenset[int]) -> None:
        for name, key in record.listing.items():
            if key[2] in inodes:
                self._places.setdefault(key[2], set()).add((path, name))


class StatCache:
    """Remembers one live tree between its snapshots, in memory.

    Belongs to one store and is used by one snapshot at a time; it is only brought forward by a
    snapshot or restore that succeeded, so that it never vouches for an object that was not stored.
    """

    def __init__(self) -> None:
        """Start empty: the first snapshot reads everything."""
        self._store = ""
        self._roots: dict[str, Records] = {}
        self._known: dict[str, Known] = {}
        self._excludes: dict[str, Exclude | None] = {}

    def known(self, store_id: str, root: str, exclude: Exclude | None) -> Known | None:
        """Return what is known of a whole named root, to be brought forward by `Known.advance`.

        None when no walk has been there yet, or one that left out something else.
        """
        top = self.records(store_id, root).get(b"")
        if top is None or top.own is None or self._excludes.get(root) != exclude:
            return None
        if root not in self._known:
            self._known[root] = Known(self._roots[root])
        return self._known[root]

    def records(self, store_id: str, root: str) -> Mapping[bytes, DirRecord]:
        """Return what is known of a named root in this store, by directory."""
        return self._roots.get(root, {}) if self._store == store_id else {}

    def replace(
        self, store_id: str, roots: Mapping[str, Records], *, exclude: Exclude | None = None
    ) -> None:
        """Take what a snapshot or restore saw of these roots; other roots stay as they are."""
        if self._store != store_id:
            self.clear()
            self._store = store_id
        self._roots.update(roots)
        for root in roots:
            self._known.pop(root, None)
            self._excludes[root] = exclude

    def clear(self) -> None:
        """Forget everything: the next snapshot reads all files."""
        self._roots.clear()
        self._known.clear()
        self._excludes.clear()
