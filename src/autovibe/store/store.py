"""The store: the one class that callers use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autovibe.store import diff, reading, tree, verify
from autovibe.store.core import StoreCore
from autovibe.store.model import StoreStats
from autovibe.store.refs import parse_root

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from autovibe.store.model import Change, Entry, Progress, VerifyResult
    from autovibe.store.protocol import CheckpointStore


class Store(StoreCore):
    """A checkpoint store in a directory (docs/formats/store.md).

    Several threads and processes may use one store at once. A `progress` callback may raise: the
    operation ends with that exception and leaves nothing half written in the store.
    """

    def entries(self, root: str, path: str = "") -> Iterator[Entry]:
        """Yield everything below a path: depth first, names sorted by their bytes.

        Paths are relative to `path`; when that is no directory, the one entry bears its own name.

        Raises:
            PathNotFoundError: the snapshot does not have `path`.
            ObjectMissingError: a tree is not in the store.
            ObjectCorruptError: a tree is damaged.
            UnsafeTreeError: a tree is not one that a snapshot makes.
        """
        found = reading.find(self._objects, parse_root(root), path)
        if found.entry.kind != tree.DIR:
            yield tree.public(found.entry, found.entry.name)
            return
        for below, entry in reading.walk_entries(self._objects, found.entry):
            yield tree.public(entry, below)

    def read(self, root: str, path: str) -> Iterator[bytes]:
        """Yield the content of a file, or the target of a link, in pieces of at most 1 MiB.

        Raises:
            PathNotFoundError: the snapshot does not have `path`.
            NotAFileError: it is a directory, or has no content.
            ObjectMissingError: a part is not in the store.
            ObjectCorruptError: a part is damaged; what was yielded before is good.
        """
        found = reading.find(self._objects, parse_root(root), path)
        yield from reading.read_content(self._objects, found.entry)

    def diff(self, a: str | None, b: str, *, path: str = "") -> list[Change]:
        """Return what differs between two snapshots below `path`, sorted by path.

        Paths are relative to `path`. A rename is a deletion and an addition. `path` may be missing
        from one side: then everything below it was added or deleted.

        Args:
            a: the older snapshot; None for nothing.
            b: the newer one.
            path: what to compare; everything by default.

        Raises:
            PathNotFoundError: neither has `path`.
            ObjectMissingError: a tree is not in the store.
            ObjectCorruptError: a tree is damaged.
        """
        if a is None:
            old = None
            new = reading.find(self._objects, parse_root(b), path).entry
        else:
            old, new = reading.find_both(self._objects, parse_root(a), parse_root(b), path)
        return diff.compare(self._objects, old, new)

    def verify(
        self,
        root: str,
        *,
        objects: Collection[str] | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> VerifyResult:
        """Read objects from the disk, hash them again, and name the paths that damage affects.

        Args:
            root: the snapshot.
            objects: those to check; everything reachable from the root by default.
            progress: called for each object read.

        Raises:
            ObjectMissingError: `root` or an object is no id at all.
        """
        if objects is None:
            return verify.verify_all(self._objects, root, progress)
        return verify.verify_objects(self._objects, root, objects, progress)

    def stats(self) -> StoreStats:
        """Count what is in the store."""
        self._objects.scan()
        known = list(self._objects.locations())
        files = [file for file in (self.path / "packs").iterdir() if file.is_file()]
        return StoreStats(
            objects=len(known),
            packs=sum(file.suffix == ".idx" for file in files),
            refs=sum(1 for _ in self._refs.names()),
            raw_bytes=sum(at.raw for at in known),
            stored_bytes=sum(file.stat().st_size for file in files),
            damaged_packs=self._objects.damaged(),
        )


if TYPE_CHECKING:
    _follows: type[CheckpointStore] = Store
