"""The store: opening it, taking snapshots, naming and restoring them.

The operations on what is in it are in `store.py`.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakKeyDictionary, WeakMethod

from autovibe.kernel.clock import SystemClock
from autovibe.kernel.errors import AutovibeError
from autovibe.store import reading
from autovibe.store.errors import ObjectCorruptError, ObjectMissingError, StoreFullError
from autovibe.store.folding import fold_dead, fold_own
from autovibe.store.guard import Guard
from autovibe.store.hint import NOTHING_KNOWN
from autovibe.store.layout import open_directory
from autovibe.store.packs import Objects
from autovibe.store.pins import DELETED, TAKEN, Pin, Pins, epoch_bytes
from autovibe.store.reach import find_gap
from autovibe.store.refs import NewRef, Ref, Refs, parse_root
from autovibe.store.restoring import Restore
from autovibe.store.snapshot import now_ns, take_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Self

    from autovibe.kernel.clock import Clock
    from autovibe.store.exclude import Exclude
    from autovibe.store.hint import Hint
    from autovibe.store.model import Progress, RestoreResult, Snapshot
    from autovibe.store.sealing import Seal
    from autovibe.store.statcache import StatCache

_MOST_VOUCHED: Final = 10_000
_NO_ROOT: Final = "0" * 64


class _Known(NamedTuple):
    """The snapshot that brought a cache forward last, how, and the key it is known under."""

    key: str
    root: str
    exclude: Exclude | None


class StoreCore:
    """What opens, fills, names and restores; see `Store`."""

    def __init__(self, path: Path, store_id: str, clock: Clock, seal: Seal | None) -> None:
        """Use `Store.open`; this only keeps what it found."""
        self.path = path
        self.store_id = store_id
        self._clock = clock
        self._objects = Objects(path, seal)
        self._refs = Refs(path, self._objects.journals, seal)
        self._journals = self._objects.journals
        self._folding = threading.Lock()
        self._guard = Guard(path)
        self._pins = Pins(path, seal)
        self._vouched: dict[bytes, str] = {}
        self._known: WeakKeyDictionary[StatCache, _Known] = WeakKeyDictionary()

    @property
    def objects(self) -> Objects:
        """The objects of the store, for another one that is repaired from it."""
        return self._objects

    @property
    def clock(self) -> Clock:
        """What tells the time here."""
        return self._clock

    @property
    def cache_key(self) -> str:
        """What a stat cache is kept under now; it is another one after a prune."""
        return self._cache_key(self._guard.epoch())

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        create: bool = True,
        key: bytes | None = None,
        clock: Clock | None = None,
        journal: bool = False,
    ) -> Self:
        """Open a store, and remove what dead writers left in it.

        A store of an older format that can be written is brought to the present one.

        Args:
            path: its directory.
            create: make a new one, with its parent directories, where there is none.
            key: of an encrypted store, 32 bytes or 64 hexadecimal digits; a new store is encrypted
                with it.
            clock: wall time, which must be that of the file systems captured.
            journal: write small snapshots and refs to a journal first, which takes one synced
                write instead of five; for a process that takes many.

        Raises:
            StoreNotFoundError: there is none and `create` is False.
            NotAStoreError: the directory holds something else.
            StoreNewerFormatError: written by a newer version.
            StoreKeyError: the key is missing, wrong, or one too many.
            StoreFullError: no space is left to create it.
            StoreReadOnlyError: it may not be created here.
        """
        path = Path(path)
        opened = open_directory(path, key, create=create)
        store = cls(path, opened.store_id, clock or SystemClock(), opened.seal)
        if opened.writable:
            # On a full disk they stay what they are, and are read as they are.
            with contextlib.suppress(StoreFullError):
                fold_dead(store._objects, store._refs, store._guard)
        if journal:
            store._journals.enabled = True
            store._journals.on_full = WeakMethod(store._fold_later)
        return store

    def _fold_later(self) -> None:
        """Fold full journals and make the next one, without keeping anybody waiting."""
        threading.Thread(target=self._fold, name="fold-journals", daemon=True).start()

    def _fold(self) -> None:
        # What fails here is tried again with the next journal; meanwhile nothing is lost.
        with self._folding, contextlib.suppress(AutovibeError, OSError):
            self._journals.prepare()
            fold_own(self._objects, self._refs, self._guard)

    def close(self) -> None:
        """Fold the journal of this process; the store can be used on.

        Without it the next one who opens the store does so.

        Raises:
            StoreFullError: no space is left; the journal stays, and nothing is lost.
            StoreReadOnlyError: the store cannot be written.
        """
        if self._journals.enabled:
            with self._folding:
                fold_own(self._objects, self._refs, self._guard, all_=True)

    def _fold_all(self) -> None:
        """Fold what can be folded: what stays in a journal is read there."""
        with contextlib.suppress(StoreFullError):
            self.close()
            fold_dead(self._objects, self._refs, self._guard)

    def snapshot(
        self,
        roots: Mapping[str, Path],
        *,
        cache: StatCache | None = None,
        exclude: Exclude | None = None,
        hint: Hint = NOTHING_KNOWN,
        ref: NewRef | None = None,
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
            hint: what has changed since the last snapshot with this cache (see `TrackedTree`).
            ref: how to name it, as `write_ref` would; both become durable together if they can.
            on_read: called once, when every byte has been read and nothing has been synced yet;
                not called when reading fails.
            progress: called for each file or MiB read.

        Raises:
            InvalidArgumentError: no roots, or a name that is no plain name.
            PathNotFoundError: a root is no directory that can be opened.
            StoreFullError: no space is left; earlier snapshots stay as they are.
            StoreReadOnlyError: the store cannot be written.
        """
        return self._capture(
            roots,
            cache=cache,
            exclude=exclude,
            hint=hint,
            ref=ref,
            on_read=on_read,
            progress=progress,
        )[0]

    def _capture(
        self,
        roots: Mapping[str, Path],
        *,
        cache: StatCache | None,
        exclude: Exclude | None = None,
        hint: Hint = NOTHING_KNOWN,
        ref: NewRef | None = None,
        on_read: Callable[[], None] | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> tuple[Snapshot, str]:
        """Take a snapshot, and give the key under which the cache then knows it."""
        if ref is not None:  # before anything is read
            self._encode_ref(ref, _NO_ROOT)
        with self._guard.adding() as epoch:
            key = self._cache_key(epoch)
            if cache is not None:
                self._carry_over(cache, key, roots)
            if ref is not None:
                self._pin_present(ref.name, epoch)
            taken, named = take_snapshot(
                self._objects,
                key,
                roots,
                clock=self._clock,
                cache=cache,
                exclude=exclude,
                hint=hint,
                name=None if ref is None else lambda root: self._encode_ref(ref, root),
                on_read=on_read,
                progress=progress,
            )
            if not named:
                self._pin(TAKEN, taken.root, epoch)
            self._vouch(parse_root(taken.root), epoch)
            if ref is not None and not named:
                self._refs.write(Ref(ref.name, taken.root, ref.parents, self._now_ns(), ref.note))
        if cache is not None:
            self._known[cache] = _Known(key, taken.root, exclude)
        return taken, key

    def _now_ns(self) -> int:
        return now_ns(self._clock)

    def _encode_ref(self, ref: NewRef, root: str) -> tuple[str, bytes]:
        return self._refs.encode(Ref(ref.name, root, ref.parents, self._now_ns(), ref.note))

    def _carry_over(self, cache: StatCache, key: str, roots: Iterable[str]) -> None:
        """Take a cache into a new epoch if all it vouches for is still there.

        Looking at the directories of its last snapshot costs far less than reading all files.
        """
        known = self._known.get(cache)
        if known is None or known.key == key:
            return
        self._objects.scan()
        if find_gap(self._objects, parse_root(known.root)) is None:
            records = {name: dict(cache.records(known.key, name)) for name in roots}
            found = {name: record for name, record in records.items() if record}
            cache.replace(key, found, exclude=known.exclude)

    def _cache_key(self, epoch: str) -> str:
        """Return what a stat cache is kept under: what was removed must not be relied on."""
        return f"{self.store_id} {epoch}"

    def _pin(self, kind: int, root: str, epoch: str) -> None:
        self._pins.add(Pin(kind, self._now_ns(), epoch_bytes(epoch), parse_root(root)))

    def _vouch(self, root: bytes, epoch: str) -> None:
        """Remember that in this epoch the store has everything that a root needs."""
        if len(self._vouched) >= _MOST_VOUCHED:
            self._vouched.clear()
        self._vouched[root] = epoch

    def _require(self, root: str, epoch: str) -> None:
        """Make sure that a snapshot is whole before something durable relies on it."""
        digest = parse_root(root)
        if self._vouched.get(digest) == epoch:
            return
        self._objects.scan()
        gap = digest if self._objects.locate(digest) is None else find_gap(self._objects, digest)
        if gap is not None:
            msg = (
                f"Snapshot {root} is not, or not whole, in the checkpoint store {self.path}: "
                "take it again."
            )
            raise ObjectMissingError(msg, object=gap.hex(), store=str(self.path))
        self._vouch(digest, epoch)

    def write_ref(
        self, name: str, snapshot_root: str, *, parents: Sequence[str] = (), note: str = ""
    ) -> None:
        """Name a snapshot durably, such as `checkpoints/ID`; an older ref is replaced.

        Args:
            name: namespace and name.
            snapshot_root: the snapshot; all it needs must be in the store.
            parents: roots of the snapshots that it was made from, for `log`.
            note: a few words for people.

        Raises:
            InvalidArgumentError: malformed name, parent or note.
            ObjectMissingError: the store does not have all of this snapshot.
            StoreFullError: no space is left.
            StoreReadOnlyError: the store cannot be written.
        """
        ref = Ref(name, snapshot_root, tuple(parents), self._now_ns(), note)
        self._refs.check_name(name)
        with self._guard.adding() as epoch:
            self._require(snapshot_root, epoch)
            self._pin_present(name, epoch)
            self._refs.write(ref)

    def _pin_present(self, name: str, epoch: str) -> None:
        """Keep what a ref names now for the grace time: it is about to go."""
        try:
            old = self._refs.find(name)
        except ObjectCorruptError:  # it names nothing any more
            return
        if old is not None:
            self._pin(DELETED, old.root, epoch)

    def read_ref(self, name: str) -> str | None:
        """Return the root that a ref names; None when there is no such ref.

        Raises:
            InvalidArgumentError: malformed name.
            ObjectCorruptError: the ref is damaged.
        """
        ref = self._refs.find(name)
        return None if ref is None else ref.root

    def find_ref(self, name: str) -> Ref | None:
        """Return all that a ref says; None when there is no such ref.

        Raises:
            InvalidArgumentError: malformed name.
            ObjectCorruptError: the ref is damaged.
        """
        return self._refs.find(name)

    def delete_ref(self, name: str) -> None:
        """Remove a ref, durably; its objects stay for the grace time of `prune` at least.

        One that is not there is no error.

        Raises:
            InvalidArgumentError: malformed name.
            StoreFullError: no space is left to note it.
            StoreReadOnlyError: the store cannot be written.
        """
        self._drop_ref(name, pin=True)

    def _drop_ref(self, name: str, *, pin: bool) -> None:
        with self._guard.adding() as epoch:
            if pin:
                self._pin_present(name, epoch)
            self._refs.delete(name)

    def refs(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Yield name and root of the refs whose name begins with `prefix`, sorted by name.

        Raises:
            ObjectCorruptError: a ref is damaged.
        """
        return ((ref.name, ref.root) for ref in self._refs.iterate(prefix))

    def ref_names(self, prefix: str = "") -> list[str]:
        """Return the names of the refs that begin with `prefix`, sorted; damaged ones too."""
        return self._refs.names(prefix)

    def list_refs(self, prefix: str = "") -> list[Ref]:
        """Return all that refs say, the newest first.

        Raises:
            ObjectCorruptError: a ref is damaged.
        """
        found = self._refs.iterate(prefix)
        return sorted(found, key=lambda ref: (-ref.at_ns, ref.name))

    def restore(
        self,
        root: str,
        dest: Path,
        *,
        path: str = "",
        paths: Collection[str] | None = None,
        exact: bool = False,
        onto_same: bool = False,
        cache: StatCache | None = None,
        hint: Hint = NOTHING_KNOWN,
        progress: Callable[[Progress], None] | None = None,
    ) -> RestoreResult:
        """Write a snapshot, or a part of it, into a directory.

        The contents of a selected directory become those of `dest`; a selected file is put into
        `dest` under its own name. A failure removes what was written to a fresh `dest`. In
        place, what stands in `dest` is captured first and named by a ref, then only what differs
        is touched; what is made or changed there in the meantime is left alone and listed.

        Args:
            root: the snapshot.
            dest: the target; created with its parents when it does not exist.
            path: what to restore; everything by default.
            paths: only these, relative to the directory `path`; nothing else is touched.
            exact: keep owners, setuid, setgid, devices and all extended attributes.
            onto_same: allow a target that holds something, and make it equal to the snapshot.
            cache: the cache of the tree that will live there; filled from what was written.
            hint: in place, what has changed since the last snapshot with this cache.
            progress: called for each file written.

        Raises:
            TargetNotEmptyError: the target holds something, or something that cannot be saved.
            TargetUnwritableError: permissions or a read-only file system.
            InvalidArgumentError: `paths` are none, or `path` is no directory to choose from.
            PathNotFoundError: the snapshot does not have `path` or one of `paths`.
            ObjectMissingError: the store lacks a part.
            ObjectCorruptError: a part is damaged.
            UnsafeTreeError: the tree is not one that a snapshot makes.
            StoreFullError: no space is left.
            StoreReadOnlyError: in place, and the store cannot be written.
        """
        restore = Restore(
            self._objects,
            reading.find(self._objects, parse_root(root), path),
            paths,
            exact,
            cache,
            self._cache_key(self._guard.epoch()),
            progress,
            save=lambda name, top, known, ref: self._capture(
                {name: top}, cache=known, hint=hint, ref=NewRef(ref)
            ),
            forget=self.delete_ref,
            # Who has a tracker goes on with this tree, and has its snapshots if the power fails.
            durable=hint is NOTHING_KNOWN,
            now_ns=self._now_ns,
        )
        try:
            return restore.into(Path(dest), onto_same=onto_same)
        finally:
            if cache is not None:  # what it vouches for is no longer what one snapshot needs
                self._known.pop(cache, None)
