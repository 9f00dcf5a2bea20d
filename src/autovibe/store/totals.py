"""How many files a snapshot has, and their size; equal directories are counted once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autovibe.store import tree
from autovibe.store.reading import check_depth

if TYPE_CHECKING:
    from autovibe.store.packs import Objects


class Totals:
    """Counts what is below directories, and remembers it by their ids."""

    def __init__(self, objects: Objects) -> None:
        """Read from the store of `objects`."""
        self._objects = objects
        self._known: dict[bytes, tuple[int, int]] = {}

    def of(self, digest: bytes, depth: int = 0) -> tuple[int, int]:
        """Return the files below a directory and their bytes, each name of a hard link counted.

        Raises:
            ObjectMissingError: a directory is not in the store.
            ObjectCorruptError: a directory is damaged.
            UnsafeTreeError: a directory is not one that a snapshot makes.
        """
        check_depth(depth)
        found = self._known.get(digest)
        if found is None:
            files = size = 0
            for entry in tree.load_tree(self._objects, digest):
                if entry.kind == tree.DIR:
                    count, below = self.of(entry.digest, depth + 1)
                    files, size = files + count, size + below
                else:
                    files += 1
                    size += entry.size if entry.kind == tree.FILE else 0
            found = self._known[digest] = (files, size)
        return found
