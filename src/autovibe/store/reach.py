"""What a snapshot needs: every tree, part, list and blob that can be reached from its root."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from autovibe.store import tree
from autovibe.store.errors import ObjectCorruptError, ObjectMissingError, UnsafeTreeError
from autovibe.store.reading import check_depth
from autovibe.store.tree import TreeEntry, decode_directory, decode_list, to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from autovibe.store.packs import Objects


@dataclass(slots=True)
class Reach:
    """Collects what roots need; each tree is opened once, however many roots share it.

    Trees, parts, lists and blobs are told apart: a file may have the bytes of a tree, and to have
    met the file says nothing of what the tree needs. `unusable` are trees and lists that cannot be
    opened, so that nothing is known of what they need, with a path that leads there.
    """

    get: Callable[[bytes], bytes]
    trees: set[bytes] = field(default_factory=set[bytes])
    parts: set[bytes] = field(default_factory=set[bytes])
    lists: set[bytes] = field(default_factory=set[bytes])
    blobs: set[bytes] = field(default_factory=set[bytes])
    unusable: dict[bytes, str] = field(default_factory=dict[bytes, str])
    paths: dict[bytes, str] | None = None

    def add(self, root: bytes) -> None:
        """Collect everything below one more root."""
        waiting: list[tuple[bytes, bytes, int]] = [(root, b"", 0)]
        while waiting:
            digest, path, depth = waiting.pop()
            if digest in self.trees or digest == tree.EMPTY_TREE:
                continue
            self._note(self.trees, digest, path)
            for entry in self._open(digest, path, depth):
                below = path + b"/" + entry.name if path else entry.name
                if entry.kind == tree.DIR:
                    waiting.append((entry.digest, below, depth + 1))
                elif entry.kind == tree.FILE and not entry.flags & tree.UNREADABLE:
                    self._file(entry, below)

    def _open(self, digest: bytes, path: bytes, depth: int) -> list[TreeEntry]:
        try:
            check_depth(depth)
            return decode_directory(self.get(digest), lambda part: self._part(part, path))
        except (ObjectMissingError, ObjectCorruptError, UnsafeTreeError):
            self.unusable[digest] = to_text(path) or "/"
            return []

    def _part(self, digest: bytes, path: bytes) -> bytes:
        self._note(self.parts, digest, path)
        return self.get(digest)

    def _file(self, entry: TreeEntry, path: bytes) -> None:
        if not entry.chunks:
            self._note(self.blobs, entry.digest, path)
        elif entry.chunks not in self.lists:
            self._note(self.lists, entry.chunks, path)
            try:
                chunks = decode_list(self.get(entry.chunks), entry.size)
            except (ObjectMissingError, ObjectCorruptError, UnsafeTreeError):
                self.unusable[entry.chunks] = to_text(path)
                return
            for chunk in chunks:
                self._note(self.blobs, chunk, path)

    def _note(self, where: set[bytes], digest: bytes, path: bytes) -> None:
        where.add(digest)
        if self.paths is not None:
            self.paths.setdefault(digest, to_text(path) or "/")

    def all(self) -> Iterator[bytes]:
        """Yield the id of everything collected; one of two kinds comes twice."""
        yield from self.trees
        yield from self.parts
        yield from self.lists
        yield from self.blobs


def find_gap(objects: Objects, root: bytes) -> bytes | None:
    """Return an object that a snapshot needs and the store does not have; None when it has all."""
    reach = Reach(objects.get)
    reach.add(root)
    if reach.unusable:
        return next(iter(reach.unusable))
    return next((digest for digest in reach.blobs if not objects.has(digest)), None)
