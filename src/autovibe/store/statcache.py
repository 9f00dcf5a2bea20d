"""What is known of a tree between its snapshots, so that only changed files are read again."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from autovibe.store.stamps import BUT_CTIME, MODE, STAMP_BYTES, inode_of, links_of, stamp_of
from autovibe.store.tree import FILE, SPECIAL, file_size, to_bytes, to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from autovibe.store.exclude import Exclude
    from autovibe.store.parts import Parts
    from autovibe.store.sweeping import SecondSweeper

_NO_NAMES: Final = frozenset[bytes]()

# One tick of the kernel's clock is 10 ms at the coarsest (HZ=100); the second is a margin.
TICK_NS: Final = 20_000_000


def is_unchanged(seen: bytes, st: os.stat_result) -> bool:
    """Say whether a file is what a stamp tells of, even if one of its other names has gone."""
    now = stamp_of(st)
    if seen.startswith(now):
        return True
    # That moves the ctime and the count of those that stay.
    return links_of(seen) > 1 and now[MODE] == seen[MODE] and now[BUT_CTIME] == seen[BUT_CTIME]


@dataclass(slots=True)
class DirRecord:
    """What the last snapshot saw in one directory.

    `files` has for all but directories the stamp and the encoded entry (without link group),
    `dirs` the encoded entries of directories, empty when one is not known; `parts` are those of a
    large directory as it was stored; `unsettled` the names that must be looked at again (torn,
    unreadable, or not entered), `racy` those that may have changed unseen, unless somebody tells;
    `linked` those of inodes with several names; `excluded` what was left out by pattern; `tree` is
    the id of the stored tree, empty when it is not known; `own` the stamp of the directory itself
    as it was before it was listed, `RESTLESS` when it could change unseen, None when no walk has
    seen it yet.
    """

    files: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    dirs: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    parts: Parts | None = None
    unsettled: AbstractSet[bytes] = _NO_NAMES
    racy: AbstractSet[bytes] = _NO_NAMES
    linked: AbstractSet[bytes] = _NO_NAMES
    special: AbstractSet[bytes] = _NO_NAMES
    excluded: tuple[bytes, ...] = ()
    own: bytes | None = None
    tree: bytes = b""
    file_bytes: int = 0

    def summarise(self) -> None:
        """Count what is in `files`, and name what is special or has several names."""
        total = 0
        linked: list[bytes] = []
        special: list[bytes] = []
        for name, seen in self.files.items():
            kind = seen[STAMP_BYTES]
            if kind == FILE:
                total += file_size(seen, STAMP_BYTES)
                if links_of(seen) > 1:
                    linked.append(name)
            elif kind in SPECIAL:
                special.append(name)
        self.file_bytes = total
        self.linked = frozenset(linked) or _NO_NAMES
        self.special = frozenset(special) or _NO_NAMES

    def unsettle(self, name: bytes) -> None:
        """Have a name looked at again by the next snapshot."""
        self.unsettled = _merged(self.unsettled, (name,), _NO_NAMES)

    def suspect(self, name: bytes) -> None:
        """Note that a name may change unseen."""
        self.racy = _merged(self.racy, (name,), _NO_NAMES)

    def merge(self, fresh: DirRecord, touched: AbstractSet[bytes]) -> None:
        """Take what was found of some names; what is fresh of the directory itself is taken, too.

        Takes as long as there are such names, however many others there are.
        """
        files, dirs = self.files, self.dirs
        for name in touched:
            seen = files.get(name)
            if seen is not None:
                self.file_bytes -= file_size(seen, STAMP_BYTES)
                if name not in fresh.files:
                    del files[name]
            elif name not in fresh.dirs:
                dirs.pop(name, None)
        files.update(fresh.files)
        dirs.update(fresh.dirs)
        self.file_bytes += fresh.file_bytes
        self.unsettled = _merged(self.unsettled, fresh.unsettled, touched)
        self.racy = _merged(self.racy, fresh.racy, touched)
        self.linked = _merged(self.linked, fresh.linked, touched)
        self.special = _merged(self.special, fresh.special, touched)
        self.tree, self.parts = fresh.tree, fresh.parts
        if fresh.own is not None:
            self.own, self.excluded = fresh.own, fresh.excluded


def _merged(
    before: AbstractSet[bytes], fresh: Collection[bytes], touched: Iterable[bytes]
) -> AbstractSet[bytes]:
    """Change a set in place; most are empty, and those are all the same one."""
    if not (before or fresh):
        return _NO_NAMES
    names = before if isinstance(before, set) else set(before)
    names.difference_update(touched)
    names.update(fresh)
    return names or _NO_NAMES


Records = dict[bytes, DirRecord]


class Forward(NamedTuple):
    """A directory that a snapshot brought forward: what was found of the names it looked at."""

    path: bytes
    fresh: DirRecord
    touched: AbstractSet[bytes]


class Known:
    """The records of one root, and what is asked of them without going through all.

    `linked`, `special`, `excluded`, `unsettled` and `racy` are the directories with such names.
    """

    def __init__(self, records: Records) -> None:
        """Take the records of a whole root."""
        self.records = records
        self.linked: set[bytes] = set()
        self.special: set[bytes] = set()
        self.excluded: set[bytes] = set()
        self.unsettled: set[bytes] = set()
        self.racy: set[bytes] = set()
        self.file_count = 0
        self.file_bytes = 0
        self.second: SecondSweeper | None = None  # who shares the looks at every entry
        self.alone_below = 0  # with fewer files there is nobody
        self._watched: frozenset[int] = frozenset()
        self._places: dict[int, set[tuple[bytes, bytes]]] = {}
        for path, record in records.items():
            self._count(path, record)

    def _count(self, path: bytes, record: DirRecord) -> None:
        self.file_count += len(record.files)
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
            (self.racy, record.racy),
        )

    def advance(
        self, gone: Iterable[bytes], new: Mapping[bytes, DirRecord], forward: Iterable[Forward]
    ) -> None:
        """Take what a snapshot saw: directories that went, that came, and that it looked at."""
        for path in gone:
            self._remove(path)
        for path, record in new.items():
            self._uncount(path)
            self.records[path] = record
            self._count(path, record)
            self._place(path, record.files, self._watched)
            self._tell(path)
        for path, fresh, touched in forward:
            record = self._uncount(path)
            if record is None:  # it cannot be: nobody brings forward what is not known
                raise KeyError(path)
            record.merge(fresh, touched)
            self._count(path, record)
            self._place(path, fresh.files, self._watched)
            self._tell(path)

    def _tell(self, path: bytes) -> None:
        if self.second is not None:
            self.second.forget(path)

    def close(self) -> None:
        """Let go of the process that shares the looks. Calling twice is allowed."""
        if self.second is not None:
            self.second.close()
            self.second = None

    def _remove(self, top: bytes) -> None:
        pending = [top]
        while pending:
            path = pending.pop()
            record = self._uncount(path)
            if record is not None:
                del self.records[path]
                self._tell(path)
                pending += [path + b"/" + name if path else name for name in record.dirs]

    def _uncount(self, path: bytes) -> DirRecord | None:
        record = self.records.get(path)
        if record is not None:
            self.file_count -= len(record.files)
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
                self._place(path, record.files, fresh)
        return {
            (path, name)
            for inode in inodes
            for path, name in self._places.get(inode, ())
            if self._has(path, name, inode)
        }

    def _has(self, path: bytes, name: bytes, inode: int) -> bool:
        record = self.records.get(path)
        seen = None if record is None else record.files.get(name)
        return seen is not None and inode_of(seen)[1] == inode

    def _place(self, path: bytes, files: Mapping[bytes, bytes], inodes: frozenset[int]) -> None:
        if not inodes:
            return
        for name, seen in files.items():
            inode = inode_of(seen)[1]
            if inode in inodes:
                self._places.setdefault(inode, set()).add((path, name))


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
            known = self._known.pop(root, None)
            if known is not None:
                known.close()
            self._excludes[root] = exclude

    def close(self) -> None:
        """End what helps to look at the tree; the cache can be used on."""
        for known in self._known.values():
            known.close()

    def clear(self) -> None:
        """Forget everything: the next snapshot reads all files."""
        self.close()
        self._roots.clear()
        self._known.clear()
        self._excludes.clear()
