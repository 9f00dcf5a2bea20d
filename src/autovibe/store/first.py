"""The first look at a tree: few calls for each plain file, and no more memory than a directory.

What is not plain (links, holes, attributes, large, changing) goes the way that a later look takes.
"""

from __future__ import annotations

import errno
import os
import stat
from hashlib import sha256
from typing import TYPE_CHECKING

from autovibe.store.building import TreeBuilder
from autovibe.store.opening import BLOCK, OPEN_FILE, lstat, may_have_holes
from autovibe.store.statcache import stamp_of
from autovibe.store.tree import CHUNK_BYTES, encode_plain_file
from autovibe.store.walk import TreeWalker

if TYPE_CHECKING:
    from autovibe.store.building import Labels
    from autovibe.store.parts import Sink
    from autovibe.store.walk import DirNode


class GrowingBuilder(TreeBuilder):
    """Encodes directories as soon as nothing below them waits for the names of hard links.

    Their records stay only with `keep`.
    """

    def __init__(self, sink: Sink, *, keep: bool) -> None:
        """Store trees in `sink`."""
        super().__init__(sink, {})
        self._keep = keep

    def build(self, node: DirNode) -> bytes:
        """Store the tree of a directory and of all below it; return its encoded entry."""
        encoded = super().build(node)
        if not self._keep:
            self.records.clear()
        return encoded

    def forget(self, path: bytes) -> None:
        """Drop the records of everything below a directory."""
        below = path + b"/"
        for known in [known for known in self.records if known.startswith(below)]:
            del self.records[known]

    def label(self, labels: Labels) -> None:
        """Take the names of the groups of hard links, when all are known."""
        self._labels = labels


class FirstWalker(TreeWalker):
    """Walks a root of which nothing is known, and stores each directory when it leaves it."""

    builder: GrowingBuilder
    _has_xattrs: bool = True

    def _fill(self, fd: int, node: DirNode, depth: int) -> None:
        files, others = self._list(fd, node)
        for name in self._plain_files(fd, node, files) + others:
            seen = lstat(name, fd)
            if seen is not None:
                self._visit(fd, node, name, seen, depth)
        node.record.summarise()
        self._note(node)

    def _list(self, fd: int, node: DirNode) -> tuple[list[bytes], list[bytes]]:
        """Return the names of files and of all else; what the directory says may have changed."""
        files: list[bytes] = []
        others: list[bytes] = []
        excluded: list[bytes] = []
        with os.scandir(fd) as listing:
            for item in listing:
                name = os.fsencode(item.name)
                if self._leaves_out(node, name, item):
                    excluded.append(name)
                elif item.is_file(follow_symlinks=False):
                    files.append(name)
                else:
                    others.append(name)
        node.record.excluded = tuple(excluded)
        # A restore writes files in the order of their names, and finds them in this order.
        files.sort()
        others.sort()
        return files, others

    def _leaves_out(self, node: DirNode, name: bytes, item: os.DirEntry[str]) -> bool:
        if self._exclude is None:
            return False
        path = node.path + b"/" + name if node.path else name
        return self._exclude.matches(path, is_dir=item.is_dir(follow_symlinks=False))

    def _plain_files(self, parent: int, node: DirNode, names: list[bytes]) -> list[bytes]:
        """Capture the files with nothing unusual about them; return those that need another look.

        Every call and every attribute counts here: this is done for each file of a new tree.
        """
        unusual: list[bytes] = []
        files, report, put = node.record.files, self._report, self._sink.put
        opened, look, read, close = os.open, os.fstat, os.read, os.close
        for name in names:
            try:
                fd = opened(name, OPEN_FILE, dir_fd=parent)
            except OSError:
                unusual.append(name)
                continue
            try:
                before = look(fd)
                size = before.st_size
                try:
                    data = None if self._is_unusual(fd, before) else read(fd, size)
                except OSError:  # the other look finds out what to say of it
                    data = None
                if data is None or len(data) != size:
                    unusual.append(name)
                    continue
                digest = sha256(data).digest()
                put(digest, data)
                report.read_files += 1
                if self._progress is None:
                    report.read_bytes += size
                else:
                    self._advance(size, node.path + b"/" + name if node.path else name)
                after = look(fd)
            finally:
                close(fd)
            stamp = stamp_of(after)
            if stamp != stamp_of(before):
                unusual.append(name)
                continue
            files[name] = stamp + encode_plain_file(after, name, digest)
            if after.st_ctime_ns >= self._racy_from_ns:
                node.record.suspect(name)
        return unusual

    def _is_unusual(self, fd: int, st: os.stat_result) -> bool:
        size = st.st_size
        return (
            size > CHUNK_BYTES
            or st.st_nlink > 1
            or st.st_dev != self._device
            or not stat.S_ISREG(st.st_mode)
            or (st.st_blocks * BLOCK < size and may_have_holes(st))
            or st.st_ino in self._reread
            or (self._has_xattrs and self._any_xattrs(fd))
        )

    def _any_xattrs(self, fd: int) -> bool:
        try:
            return bool(os.listxattr(fd))
        except OSError as error:
            if error.errno != errno.ENOTSUP:
                return True
            self._has_xattrs = False  # it is the same file system all over the walk
            return False

    def _directory(
        self, parent: int, node: DirNode, name: bytes, seen: os.stat_result, depth: int
    ) -> bool:
        builder = self.builder
        before = builder.file_count, builder.file_bytes
        done = super()._directory(parent, node, name, seen, depth)
        child = node.dirs.get(name)
        if not done or child is None:
            return done
        if child.entry.flags:  # what was found there before it failed does not count
            builder.file_count, builder.file_bytes = before
            builder.forget(child.path)
        elif not child.dirs and not child.record.linked:
            node.record.dirs[name] = builder.build(child)
            del node.dirs[name]
        return done
