"""The store: the one class that callers use."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autovibe.kernel.clock import SystemClock
from autovibe.store import diff, reading, tree, verify
from autovibe.store.errors import (
    NotAStoreError,
    ObjectMissingError,
    StoreFullError,
    StoreNewerFormatError,
    StoreNotFoundError,
    TargetNotEmptyError,
    TargetUnwritableError,
)
from autovibe.store.files import (
    FULL,
    READ_ONLY,
    create_temporary,
    store_writes,
    sweep,
    sync_dir,
    write_all,
)
from autovibe.store.model import StoreStats
from autovibe.store.opening import closing, open_beneath
from autovibe.store.packs import Objects, adopt
from autovibe.store.prime import prime
from autovibe.store.refs import Refs, parse_root
from autovibe.store.restore import TreeWriter, empty_dir
from autovibe.store.snapshot import now_ns, take_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping

    from autovibe.kernel.clock import Clock
    from autovibe.store.exclude import Exclude
    from autovibe.store.model import (
        Change,
        Entry,
        Progress,
        RestoreResult,
        Snapshot,
        VerifyResult,
    )
    from autovibe.store.protocol import CheckpointStore
    from autovibe.store.reading import Located
    from autovibe.store.statcache import StatCache
    from autovibe.store.tree import TreeEntry

FORMAT: Final = 1
_NAME: Final = "autovibe-store"
_PARTS: Final = ("tmp", "packs", "refs")


class Store:
    """A checkpoint store in a directory (docs/formats/store.md).

    Several threads and processes may use one store at once. A `progress` callback may raise: the
    operation ends with that exception and leaves nothing half written in the store.
    """

    def __init__(self, path: Path, store_id: str, clock: Clock) -> None:
        """Use `Store.open`; this only keeps what it found."""
        self.path = path
        self.store_id = store_id
        self._clock = clock
        self._objects = Objects(path)
        self._refs = Refs(path)

    @classmethod
    def open(cls, path: Path, *, create: bool = True, clock: Clock | None = None) -> Store:
        """Open a store, and remove what dead writers left in it.

        Args:
            path: its directory.
            create: make a new one, with its parent directories, where there is none.
            clock: wall time, which must be that of the file systems captured.

        Raises:
            StoreNotFoundError: there is none and `create` is False.
            NotAStoreError: the directory holds something else.
            StoreNewerFormatError: written by a newer version.
            StoreFullError: no space is left to create it.
            StoreReadOnlyError: it may not be created here.
        """
        path = Path(path)
        with store_writes(path):
            if not (path / "format").exists():
                if not create:
                    msg = f"There is no checkpoint store at {path}: check the path."
                    raise StoreNotFoundError(msg, path=str(path))
                _create(path)
            store_id = _read_format(path)
            if os.access(path / "tmp", os.W_OK) and os.access(path / "packs", os.W_OK):
                sweep(path / "tmp")
                adopt(path / "packs", path / "tmp")
        return cls(path, store_id, clock or SystemClock())

    def snapshot(
        self,
        roots: Mapping[str, Path],
        *,
        cache: StatCache | None = None,
        exclude: Exclude | None = None,
        on_read: Callable[[], None] | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> Snapshot:
        """Capture directories under top-level names, such as `{"workspace": a, "home": b}`.

        Everything is durable when this returns. A file that changes while it is read is read
        again, three times at most, and then listed in `torn`.

        Args:
            roots: name to directory.
            cache: what is known of the same live tree; brought forward on success.
            exclude: patterns to leave out.
            on_read: called once, when every byte has been read and nothing has been synced yet;
                not called when reading fails.
            progress: called for each file or MiB read.

        Raises:
            InvalidArgumentError: no roots, or a name that is no plain name.
            PathNotFoundError: a root is no directory that can be opened.
            StoreFullError: no space is left; earlier snapshots stay as they are.
            StoreReadOnlyError: the store cannot be written.
        """
        return take_snapshot(
            self._objects,
            self.store_id,
            roots,
            clock=self._clock,
            cache=cache,
            exclude=exclude,
            on_read=on_read,
            progress=progress,
        )

    def write_ref(self, name: str, snapshot_root: str) -> None:
        """Name a snapshot durably, such as `checkpoints/ID`; an older ref is replaced.

        Raises:
            InvalidArgumentError: malformed name.
            ObjectMissingError: the store does not have this root.
            StoreFullError: no space is left.
            StoreReadOnlyError: the store cannot be written.
        """
        if self._objects.locate(parse_root(snapshot_root)) is None:
            msg = f"Snapshot {snapshot_root} is not in the checkpoint store {self.path}."
            raise ObjectMissingError(msg, object=snapshot_root, store=str(self.path))
        self._refs.write(name, snapshot_root)

    def read_ref(self, name: str) -> str | None:
        """Return the root that a ref names; None when there is no such ref.

        Raises:
            InvalidArgumentError: malformed name.
            ObjectCorruptError: the ref is damaged.
        """
        return self._refs.read(name)

    def delete_ref(self, name: str) -> None:
        """Remove a ref, durably; its objects stay. One that is not there is no error.

        Raises:
            InvalidArgumentError: malformed name.
            StoreReadOnlyError: the store cannot be written.
        """
        self._refs.delete(name)

    def refs(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Yield name and root of the refs whose name begins with `prefix`, sorted by name.

        Raises:
            ObjectCorruptError: a ref is damaged.
        """
        return self._refs.iterate(prefix)

    def restore(
        self,
        root: str,
        dest: Path,
        *,
        path: str = "",
        exact: bool = False,
        onto_same: bool = False,
        cache: StatCache | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> RestoreResult:
        """Write a snapshot, or a part of it, into a directory.

        The contents of a selected directory become those of `dest`; a selected file is put into
        `dest` under its own name. A failure removes what was written to a fresh `dest`. In
        place, what stands in `dest` is captured first and named by a ref, then only what differs
        is touched.

        Args:
            root: the snapshot.
            dest: the target; created with its parents when it does not exist.
            path: what to restore; everything by default.
            exact: keep owners, setuid, setgid, devices and all extended attributes.
            onto_same: allow a target that holds something, and make it equal to the snapshot.
            cache: the cache of the tree that will live there; filled from what was written.
            progress: called for each file written.

        Raises:
            TargetNotEmptyError: the target holds something, or something that cannot be saved.
            TargetUnwritableError: permissions or a read-only file system.
            PathNotFoundError: the snapshot does not have `path`.
            ObjectMissingError: the store lacks a part.
            ObjectCorruptError: a part is damaged.
            UnsafeTreeError: the tree is not one that a snapshot makes.
            StoreFullError: no space is left.
            StoreReadOnlyError: in place, and the store cannot be written.
        """
        found = reading.find(self._objects, parse_root(root), path)
        dest = Path(dest)
        with _target_writes(dest):
            dest.mkdir(mode=0o700, parents=True, exist_ok=True)
            with closing(os.open(dest, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as fd:
                fresh = not os.listdir(fd)  # noqa: PTH208 - a descriptor has no Path
                if not (fresh or onto_same):
                    msg = f"{dest} is not empty: restore into a new directory."
                    raise TargetNotEmptyError(msg, path=str(dest))
                writer = TreeWriter(self._objects, fd, exact, progress)
                if fresh:
                    result = self._restore_fresh(writer, found)
                else:
                    result = self._restore_in_place(writer, found, dest, cache)
                if cache is not None:
                    self._prime(cache, found, writer)
        return result

    @staticmethod
    def _restore_fresh(writer: TreeWriter, found: Located) -> RestoreResult:
        try:
            if found.entry.kind == tree.DIR:
                writer.directory(None, found.entry)
            else:
                writer.single(found.entry)
        except BaseException:
            empty_dir(writer.dest)
            raise
        return writer.result()

    def _restore_in_place(
        self, writer: TreeWriter, found: Located, dest: Path, cache: StatCache | None
    ) -> RestoreResult:
        name = tree.to_text(found.path.rpartition(b"/")[2]) or "before"
        saved = self.snapshot({name: dest}, cache=cache)
        lost = saved.torn + saved.unreadable + saved.excluded
        if lost:
            msg = (
                f"{dest} holds what the store cannot save ({lost[0]}, {len(lost)} in all): "
                "nothing was touched. Move it away, or restore into a new directory."
            )
            raise TargetNotEmptyError(msg, path=str(dest), first=lost[0], count=len(lost))
        ref = f"restore/{uuid.uuid4().hex}"
        self.write_ref(ref, saved.root)
        old = reading.find(self._objects, parse_root(saved.root), name).entry
        if found.entry.kind == tree.DIR:
            writer.directory(old, found.entry)
        else:
            writer.single(found.entry)
        return writer.result(saved.root, ref)

    def _prime(self, cache: StatCache, found: Located, writer: TreeWriter) -> None:
        """Fill the cache for the named roots that were restored whole."""
        now = now_ns(self._clock)
        roots: list[tuple[TreeEntry, bytes]] = []
        if not found.path:
            children = tree.load_tree(self._objects, found.entry.digest)
            roots = [(child, child.name) for child in children if child.kind == tree.DIR]
        elif b"/" not in found.path and found.entry.kind == tree.DIR:
            roots = [(found.entry, b"")]
        for entry, below in roots:
            prefix = below + b"/" if below else b""
            lossy = {p[len(prefix) :] for p in writer.lossy if p.startswith(prefix)}
            with closing(open_beneath(writer.dest, below)) as fd:
                records = prime(self._objects, fd, entry, lossy=lossy, started_ns=now)
            cache.replace(self.store_id, {tree.to_text(entry.name): records})

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
            refs=sum(1 for _ in self._refs.iterate()),
            raw_bytes=sum(at.raw for at in known),
            stored_bytes=sum(file.stat().st_size for file in files),
            damaged_packs=self._objects.damaged(),
        )


@contextlib.contextmanager
def _target_writes(dest: Path) -> Generator[None]:
    """Turn the failures of writing the target into errors that people can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            msg = f"No space is left to restore into {dest}: free some and try again."
            raise StoreFullError(msg, path=str(dest)) from error
        if error.errno in READ_ONLY | {errno.ENOTDIR, errno.EEXIST, errno.EXDEV, errno.ELOOP}:
            msg = f"{dest} cannot be restored into ({error.strerror}): choose another directory."
            raise TargetUnwritableError(msg, path=str(dest)) from error
        raise


def _create(path: Path) -> None:
    """Create a store; of two creators at once one wins and the other finds it."""
    if path.exists() and not path.is_dir():
        msg = f"{path} is no directory: choose another path for the checkpoint store."
        raise NotAStoreError(msg, path=str(path))
    with store_writes(path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        others = sorted({child.name for child in path.iterdir()} - {*_PARTS, "format"})
        if others:
            msg = (
                f"{path} is no checkpoint store, it holds {others[0]!r}: choose another directory."
            )
            raise NotAStoreError(msg, path=str(path))
        for part in _PARTS:
            (path / part).mkdir(mode=0o700, exist_ok=True)
        file = create_temporary(path / "tmp", ".format")
        try:
            write_all(file.fd, f"{_NAME} {FORMAT} {uuid.uuid4().hex}\n".encode("ascii"))
            os.fsync(file.fd)
            try:
                os.link(file.path, path / "format")
            except FileExistsError:
                return
            sync_dir(path)
            sync_dir(path.parent)
        finally:
            file.close()


def _read_format(path: Path) -> str:
    words = (path / "format").read_text("ascii", "replace").split()
    if len(words) < 2 or words[0] != _NAME or not words[1].isdecimal():
        msg = f"{path}/format is not that of a checkpoint store: choose another directory."
        raise NotAStoreError(msg, path=str(path))
    if int(words[1]) > FORMAT:
        msg = (
            f"The checkpoint store {path} has format {words[1]}, this autovibe knows {FORMAT}: "
            "use the version that wrote it."
        )
        raise StoreNewerFormatError(msg, path=str(path), format=int(words[1]), known=FORMAT)
    if len(words) != 3:
        msg = f"{path}/format is damaged: write back '{_NAME} {FORMAT} ID' with any ID."
        raise NotAStoreError(msg, path=str(path))
    return words[2]


if TYPE_CHECKING:
    _follows: type[CheckpointStore] = Store
