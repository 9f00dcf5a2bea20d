"""The store: the one class that callers use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.store import audit, diff, prune, reading, tree, verify
from autovibe.store.check import Check
from autovibe.store.errors import ObjectMissingError, RefExistsError
from autovibe.store.exporting import Exporter
from autovibe.store.history import History
from autovibe.store.importing import Importer
from autovibe.store.model import Snapshot, StoreStats
from autovibe.store.pins import TAKEN
from autovibe.store.refs import parse_root
from autovibe.store.renames import pair_renames
from autovibe.store.totals import Totals
from autovibe.store.transfer import TransferringStore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from datetime import timedelta
    from typing import IO

    from autovibe.store.keep import KeepRules
    from autovibe.store.model import (
        AuditResult,
        Change,
        CheckResult,
        Entry,
        ExportResult,
        LogEntry,
        Progress,
        PruneResult,
        VerifyResult,
    )
    from autovibe.store.protocol import CheckpointStore


_ROOT_DIGITS: Final = 64
_LEAST_DIGITS: Final = 8


class Store(TransferringStore):
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

    def cat(self, snapshot: str, path: str) -> Iterator[bytes]:
        """Yield the content of a file as `read` does; the snapshot may be the name of a ref.

        Raises:
            ObjectMissingError: there is no such ref or snapshot.
            PathNotFoundError: the snapshot does not have `path`.
            NotAFileError: it is a directory, or has no content.
            ObjectCorruptError: a part is damaged; what was yielded before is good.
        """
        return self.read(self.resolve(snapshot), path)

    def resolve(self, snapshot: str) -> str:
        """Return the root of what people type: a ref, a root, or how the root of a ref begins.

        Raises:
            ObjectMissingError: there is no such ref or snapshot, or several.
            ObjectCorruptError: the ref is damaged.
        """
        if "/" in snapshot:
            try:
                found = self.read_ref(snapshot)
            except InvalidArgumentError:
                found = None
            if found is not None:
                return found
        elif len(snapshot) == _ROOT_DIGITS:
            return parse_root(snapshot).hex()
        elif len(snapshot) >= _LEAST_DIGITS:
            roots = {root for _, root in self.refs() if root.startswith(snapshot)}
            if len(roots) == 1:
                return roots.pop()
        msg = (
            f"{snapshot!r} is no ref and no snapshot of {self.path}: give the name of a ref, "
            f"a root, or at least {_LEAST_DIGITS} digits with which just one begins."
        )
        raise ObjectMissingError(msg, object=snapshot, store=str(self.path))

    def roots(self, root: str) -> list[str]:
        """Return the names of the roots of a snapshot, sorted.

        Raises:
            ObjectMissingError: the snapshot is not in the store.
            ObjectCorruptError: it is damaged.
        """
        return [tree.to_text(e.name) for e in tree.load_tree(self._objects, parse_root(root))]

    def diff(self, a: str | None, b: str, *, path: str = "", renames: bool = False) -> list[Change]:
        """Return what differs between two snapshots below `path`, sorted by path.

        Paths are relative to `path`. `path` may be missing from one side: then everything below it
        was added or deleted.

        Args:
            a: the older snapshot; None for nothing.
            b: the newer one.
            path: what to compare; everything by default.
            renames: pair deletions with additions of (nearly) the same content.

        Raises:
            PathNotFoundError: neither has `path`.
            ObjectMissingError: a part is not in the store.
            ObjectCorruptError: a part is damaged.
        """
        if a is None:
            old = None
            new = reading.find(self._objects, parse_root(b), path).entry
        else:
            old, new = reading.find_both(self._objects, parse_root(a), parse_root(b), path)
        changes = diff.compare(self._objects, old, new)
        if not renames or a is None:
            return changes

        def content(change: Change) -> bytes:
            side = a if change.new is None else b
            return b"".join(self.read(side, f"{path}/{change.path}"))

        return pair_renames(changes, content)

    def log(self, path: str = "", *, start: str | None = None, prefix: str = "") -> list[LogEntry]:
        """Return the snapshots in which a path is not what it was before, the newest first.

        Without `start` these are all that refs name, each compared with its parents, or where its
        refs name none with the one before it in the same namespace. With `start` it is this
        snapshot and those it was made from.

        Args:
            path: what to follow; everything by default.
            start: a ref or root.
            prefix: only refs whose name begins so.

        Raises:
            ObjectMissingError: a tree is not in the store.
            ObjectCorruptError: a ref or a tree is damaged.
        """
        history = History(self._objects, self.list_refs(prefix))
        return list(history.log(path.strip("/"), self.resolve(start) if start else None))

    def fork(self, source: str, name: str, *, note: str = "") -> str:
        """Name a snapshot once more, as the beginning of another line; nothing is copied.

        Args:
            source: a ref or root; it becomes the parent.
            name: the new ref.
            note: a few words for people.

        Raises:
            RefExistsError: there is such a ref already.
            InvalidArgumentError: malformed name.
            ObjectMissingError: there is no such ref or snapshot, or it is not whole.
            StoreFullError: no space is left.
            StoreReadOnlyError: the store cannot be written.
        """
        root = self.resolve(source)
        if self.read_ref(name) is not None:
            msg = f"The ref {name} exists already: choose another name."
            raise RefExistsError(msg, ref=name)
        self.write_ref(name, root, parents=(root,), note=note)
        return root

    def verify(
        self,
        root: str | None = None,
        *,
        objects: Collection[str] | None = None,
        share: float = 1.0,
        seed: int = 0,
        alone: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> VerifyResult:
        """Read objects from the disk, hash them again, and name the paths that damage affects.

        Args:
            root: the snapshot; every one that a ref names by default.
            objects: those to check; everything reachable by default.
            share: of the objects, 0 to 1; directories are all read in any case.
            seed: chooses the share.
            alone: use one processor only.
            progress: called for each object read.

        Raises:
            InvalidArgumentError: `share` is none, or `objects` without a root.
            ObjectMissingError: `root` or an object is no id at all.
            ObjectCorruptError: a ref is damaged.
        """
        if not 0 < share <= 1 or (objects is not None and root is None):
            msg = "Verify a share above 0 and at most 1; chosen objects are those of one snapshot."
            raise InvalidArgumentError(msg, what="share")
        if root is not None and objects is not None:
            return verify.verify_objects(self._objects, root, objects, progress)
        if root is not None and share == 1:
            return verify.verify_all(self._objects, root, progress, alone=alone)
        roots = [root] if root is not None else [named for _, named in self.refs()]
        return verify.verify_share(self._objects, roots, share, seed, progress, alone=alone)

    def audit(self, *, progress: Callable[[Progress], None] | None = None) -> AuditResult:
        """Read everything that refs need from the disk, hash it, and name the refs with damage.

        Each object is read once, however many refs need it, in this one thread.

        Args:
            progress: called for each object read.
        """
        return audit.audit_refs(self._objects, self._refs, progress)

    def check(
        self,
        *,
        repair: bool = False,
        source: Store | None = None,
        wait_s: float = prune.WAIT_S,
        progress: Callable[[Progress], None] | None = None,
    ) -> CheckResult:
        """Read the whole store, every pack and ref, and find out what is damaged or missing.

        Args:
            repair: put good copies from `source` in place of what is damaged, drop damaged objects
                that nobody needs, and write damaged indexes anew. What cannot be repaired stays.
            source: another store, which may be encrypted with another key.
            wait_s: how long to wait for those who write, in seconds.
            progress: called for each object read.

        Raises:
            StoreBusyError: the store is pruned or repaired already, or in use for too long.
            StoreFullError: no space is left for the repair.
            StoreReadOnlyError: it is to be repaired and cannot be written.
        """
        if repair:
            self._fold_all()
        return Check(
            self._objects,
            self._refs,
            self._guard,
            self._clock,
            None if source is None else source.objects,
            wait_s,
            progress,
        ).run(repair=repair)

    def prune(
        self,
        keep: KeepRules | None = None,
        *,
        grace: timedelta = prune.GRACE,
        dry_run: bool = False,
        wait_s: float = prune.WAIT_S,
        progress: Callable[[Progress], None] | None = None,
    ) -> PruneResult:
        """Delete refs that no rule keeps, and give back the space of what no ref needs.

        Others may write meanwhile; only while packs are replaced do they wait for a moment.

        Args:
            keep: which refs stay; all by default.
            grace: how long a snapshot stays after its ref was deleted; one that never had a ref
                stays for an hour at least.
            dry_run: only say what would be removed.
            wait_s: how long to wait for those who write, in seconds.
            progress: called for each object copied.

        Raises:
            InvalidArgumentError: the rules keep nothing.
            StoreDamagedError: a directory that a ref needs cannot be read.
            ObjectCorruptError: a ref is damaged.
            StoreBusyError: the store is pruned or repaired already, or in use for too long.
            StoreFullError: no space is left for the new packs.
            StoreReadOnlyError: the store cannot be written.
        """
        if not dry_run:
            self._fold_all()
        return prune.Prune(
            self._objects,
            self._refs,
            self._pins,
            self._guard,
            self._clock,
            keep,
            grace,
            dry_run,
            wait_s,
            progress,
            # Without a grace time there is nothing to note, and perhaps no space for it.
            lambda name: self._drop_ref(name, pin=bool(grace)),
        ).run()

    def export(
        self,
        root: str,
        file: IO[bytes],
        *,
        path: str = "",
        progress: Callable[[Progress], None] | None = None,
    ) -> ExportResult:
        """Write a snapshot, or a part of it, as a tar archive in the pax format.

        Args:
            root: the snapshot.
            file: what is written to; it need not be able to seek.
            path: what to write; everything by default, under the names of the roots.
            progress: called for each entry.

        Raises:
            PathNotFoundError: the snapshot does not have `path`.
            ObjectMissingError: a part is not in the store.
            ObjectCorruptError: a part is damaged; the archive is then cut short.
        """
        found = reading.find(self._objects, parse_root(root), path)
        return Exporter(self._objects, file, progress).export(found)

    def import_(
        self,
        file: IO[bytes],
        *,
        name: str = "workspace",
        progress: Callable[[Progress], None] | None = None,
    ) -> Snapshot:
        """Take the content of a tar archive as a snapshot, without unpacking it anywhere.

        Args:
            file: the archive, also compressed by gzip, bzip2 or xz; it need not be able to seek.
            name: the root that it becomes, unless it is the export of a whole snapshot.
            progress: called for each entry.

        Raises:
            InvalidArgumentError: `name` is no plain name.
            UnreadableArchiveError: it is damaged, no archive, or holds paths that lead out of it.
            StoreFullError: no space is left.
            StoreReadOnlyError: the store cannot be written.
        """
        if not tree.is_safe_name(tree.to_bytes(name)):
            msg = f"{name!r} is no name for the root of a snapshot: use a plain name."
            raise InvalidArgumentError(msg, what="name", value=name)
        with self._guard.adding() as epoch:
            self._objects.scan()
            with self._objects.writer() as writer:
                importer = Importer(writer, name, progress)
                importer.read(file)
                done = writer.commit()
            root = importer.root.hex()
            self._pin(TAKEN, root, epoch)
            self._vouch(importer.root, epoch)
        return Snapshot(
            root=root,
            file_count=importer.files,
            total_bytes=importer.bytes,
            stored_bytes=done.stored_bytes,
            new_objects=tuple(digest.hex() for digest in done.new_objects),
            read_bytes=importer.bytes,
            torn=(),
            special=(),
            excluded=(),
            unreadable=(),
        )

    def stats(self, *, snapshots: bool = False) -> StoreStats:
        """Count what is in the store.

        Args:
            snapshots: count the files of all snapshots that refs name, too, which opens every
                directory once.

        Raises:
            ObjectMissingError: with `snapshots`, a directory is not in the store.
            ObjectCorruptError: with `snapshots`, a ref or a directory is damaged.
        """
        self._objects.scan()
        known = list(self._objects.locations())
        files = [file for file in (self.path / "packs").iterdir() if file.is_file()]
        totals = Totals(self._objects)
        roots = {root for _, root in self.refs()} if snapshots else set[str]()
        counted = [totals.of(parse_root(root)) for root in sorted(roots)]
        return StoreStats(
            objects=len(known),
            packs=sum(file.suffix == ".idx" for file in files),
            refs=len(self._refs.names()),
            raw_bytes=sum(at.raw for at in known),
            stored_bytes=sum(file.stat().st_size for file in files),
            damaged_packs=self._objects.damaged(),
            snapshots=len(roots) if snapshots else None,
            snapshot_files=sum(count for count, _ in counted) if snapshots else None,
            snapshot_bytes=sum(size for _, size in counted) if snapshots else None,
        )


if TYPE_CHECKING:
    _follows: type[CheckpointStore] = Store
