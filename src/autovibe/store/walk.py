"""Reading a live tree: every entry is looked at, every file that may have changed is read."""

from __future__ import annotations

import hashlib
import os
import stat
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from autovibe.store import tree
from autovibe.store.files import read_fully
from autovibe.store.model import Progress
from autovibe.store.opening import (
    CHANGED,
    UNREADABLE,
    closing,
    lstat,
    open_dir,
    open_file,
    read_holes,
    read_xattrs,
    same_object,
)
from autovibe.store.packs import sha256
from autovibe.store.stamps import RESTLESS, inode_of, stamp_of
from autovibe.store.statcache import TICK_NS, DirRecord
from autovibe.store.tracking.libc import flush
from autovibe.store.tree import CHUNK_BYTES, MAX_DEPTH, NO_CONTENT, TreeEntry, to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from autovibe.store.exclude import Matcher
    from autovibe.store.tree import Holes

_TRIES: Final = 3
Inode = tuple[int, int]


class Sink(Protocol):
    """Where the content goes."""

    def put(self, digest: bytes, data: bytes) -> None:
        """Keep an object."""
        ...


@dataclass(slots=True)
class Report:
    """What a walk saw, over all roots."""

    read_files: int = 0
    read_bytes: int = 0
    torn: list[str] = field(default_factory=list[str])
    special: list[str] = field(default_factory=list[str])
    excluded: list[str] = field(default_factory=list[str])
    unreadable: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class DirNode:
    """A directory as it was found.

    With a `base`, the record that is brought forward, `record` has only what was found of the names
    in `touched` and of the directories in `dirs`; all others are as they were. `encoded` is the
    entry as it was stored, when no attribute has changed; `entry` is then without meaning.
    """

    entry: TreeEntry
    path: bytes
    record: DirRecord
    dirs: dict[bytes, DirNode] = field(default_factory=dict[bytes, "DirNode"])
    base: DirRecord | None = None
    touched: set[bytes] = field(default_factory=set[bytes])
    encoded: bytes = b""


def entry_of(name: bytes, kind: int, st: os.stat_result, *, size: int = 0) -> TreeEntry:
    """Return what a snapshot keeps of something, without its content."""
    return TreeEntry(
        name, kind, stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns, size
    )


def _next_chunk(fd: int, done: int, size: int, holes: Holes) -> bytes:
    """Read the chunk at `done`; one that is nothing but a hole is not read."""
    wanted = min(CHUNK_BYTES, size - done)
    if holes and wanted == CHUNK_BYTES:
        at = bisect_right(holes, (done, size)) - 1
        if at >= 0 and holes[at][0] + holes[at][1] >= done + CHUNK_BYTES:
            os.lseek(fd, done + CHUNK_BYTES, os.SEEK_SET)
            return tree.ZERO_CHUNK
    return read_fully(fd, wanted)


class TreeWalker:
    """Walks one named root by directory descriptors.

    The caller assigns link groups and encodes trees afterwards: both need the whole root.
    """

    def __init__(
        self,
        root: str,
        sink: Sink,
        report: Report,
        *,
        previous: Mapping[bytes, DirRecord],
        exclude: Matcher | None,
        started_ns: int,
        own: Inode,
        reread: frozenset[int] = frozenset(),
        progress: Callable[[Progress], None] | None,
    ) -> None:
        """Prepare the walk of one root.

        Args:
            root: its name.
            sink: where the content goes.
            report: filled while walking.
            previous: what the last snapshot of the same tree saw, by directory.
            exclude: what to leave out.
            started_ns: wall time at which the snapshot begins, in nanoseconds.
            own: the directory of the store itself, which is not entered.
            reread: inodes whose content is read whatever their time stamps say, because processes
                map them.
            progress: called as the walk goes on.
        """
        self.links: dict[Inode, list[tuple[bytes, bytes]]] = {}
        self._root = root
        self._sink = sink
        self._report = report
        self._previous = previous
        self._exclude = exclude
        self._own = own
        self._reread = reread
        self._racy_from_ns = started_ns - TICK_NS
        self._progress = progress
        self._device = 0
        self._by_inode: dict[Inode, tuple[bytes, TreeEntry]] = {}

    def walk(self, fd: int) -> DirNode:
        """Read the directory open at `fd` and everything below it."""
        st = os.fstat(fd)
        self._device = st.st_dev
        name = tree.to_bytes(self._root)
        entry = entry_of(name, tree.DIR, st)._replace(xattrs=read_xattrs(fd))
        node = DirNode(entry, b"", DirRecord(own=self._settled(st)))
        self._fill(fd, node, 0)
        return node

    def _settled(self, st: os.stat_result) -> bytes:
        """Return the stamp of a directory, unless it has just changed and may change unseen."""
        return RESTLESS if st.st_ctime_ns >= self._racy_from_ns else stamp_of(st)

    def _name(self, path: bytes) -> str:
        return f"{self._root}/{to_text(path)}"

    def _fill(self, fd: int, node: DirNode, depth: int) -> None:
        record, before = node.record, self._previous.get(node.path)
        for name, st in self._scan(fd, node.path, record).items():
            if before is None or not self._reuse(record, before, name, st):
                self._visit(fd, node, name, st, depth)
        record.summarise()
        self._note(node)

    def _note(self, node: DirNode) -> None:
        """Keep what concerns more than this directory."""
        record = node.record
        for name in record.linked:
            self.links.setdefault(inode_of(record.files[name]), []).append((node.path, name))
        prefix = node.path + b"/" if node.path else b""
        self._report.special += [self._name(prefix + name) for name in record.special]
        self._report.excluded += [self._name(prefix + name) for name in record.excluded]

    def _scan(self, fd: int, path: bytes, record: DirRecord) -> dict[bytes, os.stat_result]:
        found: dict[bytes, os.stat_result] = {}
        excluded: list[bytes] = []
        with os.scandir(fd) as listing:
            for item in listing:
                try:
                    st = item.stat(follow_symlinks=False)
                except FileNotFoundError:  # removed since it was listed
                    continue
                name = os.fsencode(item.name)
                if self._is_excluded(path, name, st):
                    excluded.append(name)
                    continue
                found[name] = st
        record.excluded = tuple(excluded)
        return found

    def _is_excluded(self, path: bytes, name: bytes, st: os.stat_result) -> bool:
        if self._exclude is None:
            return False
        full = path + b"/" + name if path else name
        return self._exclude.matches(full, is_dir=stat.S_ISDIR(st.st_mode))

    def _reuse(self, record: DirRecord, before: DirRecord, name: bytes, st: os.stat_result) -> bool:
        seen = before.files.get(name)
        if seen is None or name in before.unsettled or name in before.racy:
            return False
        if st.st_ino in self._reread or not seen.startswith(stamp_of(st)):
            return False
        record.files[name] = seen
        return True

    def _visit(self, fd: int, node: DirNode, name: bytes, st: os.stat_result, depth: int) -> None:
        """Capture one name; look again when it is something else by the time it is opened."""
        path = node.path + b"/" + name if node.path else name
        now: os.stat_result | None = st
        for _ in range(_TRIES):
            if now is None:
                break
            if stat.S_ISDIR(now.st_mode):
                done = self._directory(fd, node, name, now, depth)
            elif stat.S_ISREG(now.st_mode):
                done = self._file(fd, node, name, path, now)
            else:
                done = self._other(fd, node, name, now)
            if done:
                return
            now = lstat(name, fd)
        if now is None:  # removed meanwhile: the tree is as it is a moment later
            return
        flags = tree.TORN | tree.UNREADABLE
        entry = entry_of(name, tree.FILE, now)._replace(flags=flags, digest=NO_CONTENT)
        self._keep(node.record, entry, now)
        self._report.torn.append(self._name(path))

    def _directory(
        self, parent: int, node: DirNode, name: bytes, seen: os.stat_result, depth: int
    ) -> bool:
        path = node.path + b"/" + name if node.path else name
        entry = entry_of(name, tree.DIR, seen)
        # A store that captured itself would double with every snapshot.
        if seen.st_dev != self._device or (seen.st_dev, seen.st_ino) == self._own:
            self._leave_out(node, path, entry, tree.MOUNT)
            return True
        if depth + 1 >= MAX_DEPTH:
            self._leave_out(node, path, entry, tree.TOO_DEEP)
            return True
        try:
            fd = open_dir(name, parent)
        except OSError as error:
            if error.errno in CHANGED:
                return False
            if error.errno not in UNREADABLE:
                raise
            self._leave_out(node, path, entry, tree.UNREADABLE)
            return True
        with closing(fd):
            st = os.fstat(fd)
            if not same_object(seen, st):
                return False
            entry = entry_of(name, tree.DIR, st)._replace(xattrs=read_xattrs(fd))
            child = DirNode(entry, path, DirRecord(own=self._settled(st)))
            node.dirs[name] = child
            try:
                self._fill(fd, child, depth + 1)
            except OSError as error:
                if error.errno not in UNREADABLE:
                    raise
                self._leave_out(node, path, entry, tree.UNREADABLE)
        return True

    def _leave_out(self, node: DirNode, path: bytes, entry: TreeEntry, flag: int) -> None:
        kept = entry._replace(flags=flag, digest=tree.EMPTY_TREE)
        node.dirs[entry.name] = DirNode(kept, path, DirRecord())
        node.record.unsettle(entry.name)
        where = self._report.unreadable if flag == tree.UNREADABLE else self._report.excluded
        where.append(self._name(path))

    def _other(self, fd: int, node: DirNode, name: bytes, seen: os.stat_result) -> bool:
        """Record a link, or something that is not read."""
        record = node.record
        if stat.S_ISLNK(seen.st_mode):
            try:
                target = os.readlink(name, dir_fd=fd)
            except OSError as error:
                if error.errno in CHANGED:
                    return False
                raise
            entry = entry_of(name, tree.SYMLINK, seen, size=len(target))._replace(target=target)
        else:
            kind = tree.KIND_OF[stat.S_IFMT(seen.st_mode)]
            device = seen.st_rdev if kind in {tree.CHAR, tree.BLOCK} else 0
            entry = entry_of(name, kind, seen, size=device)
        self._keep(record, entry, seen)
        return True

    def _keep(self, record: DirRecord, entry: TreeEntry, st: os.stat_result) -> None:
        record.files[entry.name] = stamp_of(st) + tree.encode_entry(entry)
        if entry.flags:
            record.unsettle(entry.name)
        elif st.st_ctime_ns >= self._racy_from_ns:
            record.suspect(entry.name)

    def _file(
        self, parent: int, node: DirNode, name: bytes, path: bytes, seen: os.stat_result
    ) -> bool:
        known = self._by_inode.get((seen.st_dev, seen.st_ino))
        if known is not None and known[0] == stamp_of(seen):
            self._keep(node.record, known[1]._replace(name=name), seen)
            return True
        entry, after = TreeEntry(name, tree.FILE, 0, 0, 0, 0), seen
        for _ in range(_TRIES):
            try:
                fd = open_file(name, parent)
                try:
                    if seen.st_ino in self._reread:
                        flush(fd)  # or the next store may leave no trace
                    before = os.fstat(fd)
                    if not same_object(seen, before):
                        return False
                    entry = self._read(fd, name, path, before)
                    after = os.fstat(fd)
                finally:
                    os.close(fd)
            except OSError as error:
                if error.errno in CHANGED:
                    return False
                if error.errno not in UNREADABLE:
                    raise
                self._unreadable(node, name, path, seen)
                return True
            if stamp_of(after) == stamp_of(before) and entry.size == before.st_size:
                if after.st_nlink > 1:
                    self._by_inode[after.st_dev, after.st_ino] = (stamp_of(after), entry)
                self._keep(node.record, entry, after)
                return True
        self._report.torn.append(self._name(path))
        # Holes and content may be of different moments.
        self._keep(node.record, entry._replace(flags=tree.TORN, holes=()), after)
        return True

    def _unreadable(self, node: DirNode, name: bytes, path: bytes, seen: os.stat_result) -> None:
        entry = entry_of(name, tree.FILE, seen, size=seen.st_size)
        flagged = entry._replace(flags=tree.UNREADABLE, digest=NO_CONTENT)
        self._keep(node.record, flagged, seen)
        self._report.unreadable.append(self._name(path))

    def _read(self, fd: int, name: bytes, path: bytes, st: os.stat_result) -> TreeEntry:
        """Read the content up to the size it had when it was opened, and store it."""
        holes = read_holes(fd, st)
        xattrs = read_xattrs(fd)
        if st.st_size <= CHUNK_BYTES:
            data = read_fully(fd, st.st_size)
            digest, chunks, size = sha256(data), b"", len(data)
            self._sink.put(digest, data)
            self._advance(size, path)
        else:
            digest, chunks, size = self._read_chunks(fd, path, st.st_size, holes)
        self._report.read_files += 1
        return TreeEntry(
            name,
            tree.FILE,
            stat.S_IMODE(st.st_mode),
            st.st_uid,
            st.st_gid,
            st.st_mtime_ns,
            size,
            digest=digest,
            chunks=chunks,
            xattrs=xattrs,
            holes=holes,
        )

    def _read_chunks(
        self, fd: int, path: bytes, size: int, holes: Holes
    ) -> tuple[bytes, bytes, int]:
        whole = hashlib.sha256()
        ids: list[bytes] = []
        done = 0
        while done < size and (data := _next_chunk(fd, done, size, holes)):
            whole.update(data)
            digest = tree.ZERO_CHUNK_ID if data is tree.ZERO_CHUNK else sha256(data)
            self._sink.put(digest, data)
            ids.append(digest)
            done += len(data)
            self._advance(len(data), path)
            if len(data) < CHUNK_BYTES:  # the end, or it shrank: only the last chunk may be short
                break
        if done <= CHUNK_BYTES:  # it shrank: the one chunk is the content
            if not ids:
                self._sink.put(whole.digest(), b"")
            return whole.digest(), b"", done
        encoded = tree.encode_list(ids)
        self._sink.put(sha256(encoded), encoded)
        return whole.digest(), sha256(encoded), done

    def _advance(self, count: int, path: bytes) -> None:
        self._report.read_bytes += count
        if self._progress is not None:
            report = self._report
            name = self._name(path)
            self._progress(Progress("read", report.read_files, report.read_bytes, name))
