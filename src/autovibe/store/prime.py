"""Filling the stat cache from what a restore has just written, so that nothing is read twice."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from autovibe.store import tree
from autovibe.store.opening import closing, open_dir
from autovibe.store.reading import check_depth
from autovibe.store.statcache import TICK_NS, DirRecord, stamp_of
from autovibe.store.tree import TreeEntry, encode_entry, load_tree

if TYPE_CHECKING:
    from collections.abc import Collection

    from autovibe.store.packs import Objects
    from autovibe.store.statcache import Records


def prime(
    objects: Objects, fd: int, entry: TreeEntry, *, lossy: Collection[bytes], started_ns: int
) -> Records:
    """Compare a restored directory with its stored tree and record what certainly agrees.

    A file vouches for its content only when size and mtime are those that the restore set and its
    ctime is old enough; all others are read by the next snapshot.

    Args:
        objects: the store.
        fd: the restored directory.
        entry: what was restored there.
        lossy: paths whose attributes the restore could not set.
        started_ns: wall time after the restore, in nanoseconds.
    """
    primer = _Primer(objects, lossy, started_ns - TICK_NS)
    primer.directory(fd, b"", entry, 0)
    return primer.records


class _Primer:
    def __init__(self, objects: Objects, lossy: Collection[bytes], racy_from_ns: int) -> None:
        self.records: Records = {}
        self._objects = objects
        self._lossy = lossy
        self._racy_from_ns = racy_from_ns

    def directory(self, fd: int, path: bytes, entry: TreeEntry, depth: int) -> None:
        check_depth(depth)
        stored = {child.name: child for child in load_tree(self._objects, entry.digest)}
        record = DirRecord()
        self.records[path] = record
        prefix = path + b"/" if path else b""
        with os.scandir(fd) as listing:
            found = {os.fsencode(i.name): i.stat(follow_symlinks=False) for i in listing}
        exact = found.keys() == stored.keys()
        for name, st in found.items():
            child = stored.get(name)
            if stat.S_ISDIR(st.st_mode):
                record.dirs[name] = b"" if child is None else encode_entry(child)
                exact &= self._directory(fd, prefix + name, child, st, depth)
            else:
                exact &= self._file(record, prefix + name, child, st)
        record.summarise()
        record.tree = entry.digest if exact else b""

    def _directory(
        self, parent: int, path: bytes, child: TreeEntry | None, st: os.stat_result, depth: int
    ) -> bool:
        if child is None or child.kind != tree.DIR or child.flags:
            return False
        with closing(open_dir(child.name, parent)) as fd:
            self.directory(fd, path, child, depth + 1)
        return self._owned_as(child, st) == child

    def _file(
        self, record: DirRecord, path: bytes, child: TreeEntry | None, st: os.stat_result
    ) -> bool:
        """Record a file; True when a snapshot would find exactly the stored entry."""
        name = path.rpartition(b"/")[2]
        if (
            child is None
            or path in self._lossy
            or child.flags
            or child.mtime_ns != st.st_mtime_ns
            or tree.TYPE_OF[child.kind] != stat.S_IFMT(st.st_mode)
            or (child.kind == tree.FILE and child.size != st.st_size)
        ):
            return False
        kept = self._owned_as(child, st)
        record.files[name] = stamp_of(st) + encode_entry(kept._replace(link=b""))
        if st.st_ctime_ns >= self._racy_from_ns:
            record.suspect(name)
        # A stored group that has lost its other names would be no group to a snapshot.
        return kept == child and bool(child.link) == (child.kind == tree.FILE and st.st_nlink > 1)

    @staticmethod
    def _owned_as(child: TreeEntry, st: os.stat_result) -> TreeEntry:
        mode = stat.S_IMODE(st.st_mode)
        return child._replace(mode=mode, uid=st.st_uid, gid=st.st_gid)
