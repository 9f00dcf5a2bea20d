"""One live tree with its tracker: what is known of it, kept from snapshot to snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from autovibe.store.hint import WALK, Hint
from autovibe.store.statcache import StatCache
from autovibe.store.tracking.walking import WalkTracker
from autovibe.store.tree import to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from autovibe.store.exclude import Exclude
    from autovibe.store.model import Progress, RestoreResult, Snapshot
    from autovibe.store.protocol import CheckpointStore
    from autovibe.store.refs import NewRef
    from autovibe.store.tracking.contract import ChangeTracker

AUDIT_EVERY: Final = 50


@dataclass(slots=True)
class TrackedTree:
    """Takes the snapshots of one tree, one at a time.

    What a tracker tells is kept until a snapshot that uses it has succeeded. Every `audit_every`
    snapshots one looks at everything, too; when it finds a change that the tracker did not tell,
    `on_miss` hears of it, and from then on every snapshot looks at everything.
    """

    store: CheckpointStore
    roots: Mapping[str, Path]
    tracker: ChangeTracker
    cache: StatCache = field(default_factory=StatCache)
    exclude: Exclude | None = None
    audit_every: int = AUDIT_EVERY
    on_miss: Callable[[tuple[str, ...]], None] | None = None
    _pending: set[bytes] | None = None  # None: everything, as before the first snapshot
    _mapped: frozenset[int] = frozenset()
    _since_audit: int = 0

    @property
    def detection(self) -> str:
        """How changes are found."""
        return self.tracker.detection

    def snapshot(
        self,
        *,
        mapped: frozenset[int] = frozenset(),
        audit: bool = False,
        ref: NewRef | None = None,
        on_read: Callable[[], None] | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> Snapshot:
        """Take a snapshot (see `Store.snapshot`).

        Args:
            mapped: inodes that processes can change through a mapping (`shared_writable_inodes`),
                asked for while these processes stand still.
            audit: look at everything this time, whatever the count says.
            ref: how to name it.
            on_read: called once, when everything has been read.
            progress: called for each file or MiB read.
        """
        self._hear(self._pending)
        due = audit or self._since_audit + 1 >= self.audit_every > 0
        later: set[bytes] | None = set()

        def after_audit() -> set[bytes] | None:
            nonlocal later
            told = self.tracker.changed()
            later = None if told is None or later is None else later | told
            return later

        hint = Hint(
            detection=self.tracker.detection,
            paths=self._pending,
            # One that was mapped may have been changed before it was let go.
            reread=mapped | self._mapped,
            audit=after_audit if due and self._pending is not None else None,
            # Where changes are told, looking at everything is too rare for that.
            resident=self.tracker.detection == WALK,
        )
        taken = self.store.snapshot(
            self.roots,
            cache=self.cache,
            exclude=self.exclude,
            hint=hint,
            ref=ref,
            on_read=on_read,
            progress=progress,
        )
        self._pending = later
        self._mapped = mapped
        self._since_audit = 0 if taken.audited else self._since_audit + 1
        if taken.missed:
            self._distrust(taken.missed)
        return taken

    def restore(
        self,
        root: str,
        name: str,
        *,
        mapped: frozenset[int] = frozenset(),
        progress: Callable[[Progress], None] | None = None,
    ) -> RestoreResult:
        """Make one root in place what it is in a snapshot (see `Store.restore`).

        Args:
            root: the snapshot, which has a root of this name, too.
            name: the root.
            mapped: as for `snapshot`.
            progress: called for each file written.
        """
        self._hear(self._pending)
        hint = Hint(self.tracker.detection, self._pending, mapped | self._mapped)
        done = self.store.restore(
            root,
            self.roots[name],
            path=name,
            onto_same=True,
            cache=self.cache,
            hint=hint,
            progress=progress,
        )
        if self._pending is not None:  # what was saved before has been looked at
            own, below = to_bytes(name), to_bytes(f"{name}/")
            self._pending = {p for p in self._pending if p != own and not p.startswith(below)}
        return done

    def _hear(self, before: set[bytes] | None) -> None:
        told = self.tracker.changed()
        self._pending = None if before is None or told is None else before | told

    def _distrust(self, missed: tuple[str, ...]) -> None:
        self.tracker.close()
        self.tracker = WalkTracker()
        self._pending = None
        if self.on_miss is not None:
            self.on_miss(missed)

    def close(self) -> None:
        """Stop tracking."""
        self.tracker.close()
        self.cache.close()
