"""Removing what nobody needs any more, while others write (docs/formats/store.md, Prune)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from autovibe.store.errors import StoreDamagedError, StoreFullError
from autovibe.store.model import Progress, PruneResult
from autovibe.store.pins import DELETED
from autovibe.store.reach import Reach
from autovibe.store.refs import parse_root
from autovibe.store.rewrite import Rewriter, remove_packs
from autovibe.store.snapshot import now_ns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from autovibe.kernel.clock import Clock
    from autovibe.store.guard import Guard
    from autovibe.store.keep import KeepRules
    from autovibe.store.packfile import Location
    from autovibe.store.packs import Objects
    from autovibe.store.pins import Pin, Pins
    from autovibe.store.refs import Refs

GRACE: Final = timedelta(days=14)
WAIT_S: Final = 60.0
_SHORTEST_PIN: Final = timedelta(hours=1)
_WORTH_REWRITING: Final = 0.2  # of a pack's bytes
_SMALL_BYTES: Final = 4 << 20
_MANY_SMALL: Final = 16
_MICROSECOND: Final = timedelta(microseconds=1)

Packs = dict[str, dict[bytes, "Location"]]


@dataclass(slots=True)
class Prune:
    """One prune of one store; `drop` deletes a ref, and pins what it named for the grace time."""

    objects: Objects
    refs: Refs
    pins: Pins
    guard: Guard
    clock: Clock
    rules: KeepRules | None
    grace: timedelta
    dry_run: bool
    wait_s: float
    progress: Callable[[Progress], None] | None
    drop: Callable[[str], None]
    _reach: Reach = field(init=False)
    _uncertain: bool = False
    _elsewhere: set[bytes] = field(default_factory=set[bytes])
    _items: int = 0
    _bytes: int = 0

    def run(self) -> PruneResult:
        """Prune (see `Store.prune`)."""
        with self.guard.maintaining():
            return self._run()

    def _run(self) -> PruneResult:
        refs = list(self.refs.iterate())
        removed = self.rules.removed(refs, self.clock.now()) if self.rules else []
        dropped = set(removed)
        if not self.dry_run:
            for name in removed:
                self.drop(name)
        self.objects.scan()
        self._reach = Reach(self.objects.get)
        self._mark_refs({ref.root for ref in refs if ref.name not in dropped})
        needed = self._addresses()
        if self.dry_run and self.grace:  # what `drop` would have pinned
            self._mark_tolerantly({ref.root for ref in refs if ref.name in dropped})
        self._mark_pins()
        live = self._addresses()
        packs = self.objects.known_packs()
        unused, thin = self._plan(packs, live)
        kept, written = (set[str](), 0) if self.dry_run else self._act(packs, unused, thin, live)
        gone = (unused | thin) - kept
        live = self._addresses()
        before = _stored(packs)
        if self.dry_run:
            after, left = packs, before - self._saved(packs, gone, live)
        else:
            after = self.objects.known_packs()
            left = _stored(after)
        lost = {address for pack in gone for address in packs[pack] if address not in live}
        return PruneResult(
            dry_run=self.dry_run,
            refs_kept=tuple(ref.name for ref in refs if ref.name not in dropped),
            refs_removed=tuple(removed),
            objects_removed=len(lost),
            packs_removed=len(gone),
            packs_written=written,
            stored_before=before,
            stored_after=left,
            held_bytes=sum(
                at.share
                for records in after.values()
                for address, at in records.items()
                if address in live and address not in needed
            ),
            kept_packs=tuple(sorted(kept)),
        )

    def _act(
        self, packs: Packs, unused: set[str], thin: set[str], live: set[bytes]
    ) -> tuple[set[str], int]:
        """Copy and remove; return the chosen packs that stay, and how many were written.

        On a full disk what needs no copy is removed, and the rest is for another prune.
        """
        try:
            with Rewriter(self.objects) as rewriter:
                kept = self._copy(rewriter, packs, unused | thin, thin, live)
                written = rewriter.finish()
                kept |= self._remove(rewriter, packs, unused | (thin - kept))
        except StoreFullError:
            if not unused or not thin:
                raise
            self._elsewhere.clear()
            with Rewriter(self.objects) as nothing:
                return thin | self._remove(nothing, packs, unused), 0
        return kept, written

    def _saved(self, packs: Packs, gone: set[str], live: set[bytes]) -> int:
        return sum(
            at.share
            for pack in gone
            for address, at in packs[pack].items()
            if address not in live or self.objects.places(address)[0].pack != pack
        )

    def _addresses(self) -> set[bytes]:
        return {self.objects.address(digest) for digest in self._reach.all()}

    def _mark_refs(self, roots: set[str]) -> None:
        """Mark what refs need.

        Raises:
            StoreDamagedError: a directory cannot be read, so that it is not known what it needs.
        """
        for root in sorted(roots):
            self._reach.add(parse_root(root))
        if self._reach.unusable:
            digest, path = next(iter(self._reach.unusable.items()))
            msg = (
                f"Object {digest.hex()} of {path!r} is missing or damaged in {self.objects.path}, "
                "so nothing is removed: check the store and repair it first."
            )
            raise StoreDamagedError(msg, object=digest.hex(), path=path)

    def _mark_tolerantly(self, roots: set[str]) -> None:
        """Mark what is still there of snapshots that no ref names."""
        for root in sorted(roots):
            self._reach.add(parse_root(root))
        if self._reach.unusable:
            # What lies below could come back with a new snapshot, and would not be looked at again.
            self._uncertain = True
            self._reach.unusable.clear()

    def _mark_pins(self) -> None:
        for _, pins in self.pins.files():
            self._mark_tolerantly({pin.root.hex() for pin in pins if self._holds(pin)})

    def _holds(self, pin: Pin) -> bool:
        """Say whether a pin still protects its snapshot."""
        grace = self.grace if pin.kind == DELETED else max(self.grace, _SHORTEST_PIN)
        return pin.at_ns > now_ns(self.clock) - grace // _MICROSECOND * 1_000

    def _plan(self, packs: Packs, live: set[bytes]) -> tuple[set[str], set[str]]:
        """Choose the packs that nobody needs, and those that are worth writing anew."""
        damaged = set(self.objects.damaged())
        unused: set[str] = set()
        thin: set[str] = set()
        small: set[str] = set()
        for pack, records in packs.items():
            if pack in damaged or self.objects.journals.is_journal(pack):
                continue  # one is for `check`, the other for its writer
            total = sum(at.share for at in records.values())
            useful = sum(
                at.share
                for address, at in records.items()
                if address in live and self.objects.places(address)[0].pack == pack
            )
            if not any(address in live for address in records):
                unused.add(pack)
            elif total - useful > total * _WORTH_REWRITING:
                thin.add(pack)
            elif total < _SMALL_BYTES:
                small.add(pack)
        if len(small) >= _MANY_SMALL:
            thin |= small
        return unused, thin

    def _copy(
        self, rewriter: Rewriter, packs: Packs, chosen: set[str], thin: set[str], live: set[bytes]
    ) -> set[str]:
        """Copy what is needed of the packs to be written anew; return those that are damaged."""
        kept: set[str] = set()
        for pack in sorted(thin):
            records = sorted(
                (
                    (address, at)
                    for address, at in packs[pack].items()
                    if address in live and not self._is_elsewhere(address, pack, chosen)
                ),
                key=lambda record: record[1].offset,
            )
            if rewriter.copy(records, self._advance):
                kept.add(pack)
        return kept

    def _is_elsewhere(self, address: bytes, pack: str, chosen: set[str]) -> bool:
        """Say whether a whole copy lies in another pack, which stays."""
        home = self.objects.places(address)[0]
        if home.pack == pack or home.pack in chosen:
            return False
        if self.objects.fetch(address, home) is None:
            return False
        self._elsewhere.add(address)
        return True

    def _advance(self, count: int) -> None:
        self._items += 1
        self._bytes += count
        if self.progress is not None:
            self.progress(Progress("prune", self._items, self._bytes))

    def _remove(self, rewriter: Rewriter, packs: Packs, chosen: set[str]) -> set[str]:
        """Put the new packs in place of the old ones; return those that must stay after all."""
        if not chosen and not any(self._old_pin_files()):
            return set()
        with self.guard.removing(self.wait_s, self.clock):
            self.objects.scan()
            if self._uncertain:
                self._reach = Reach(self.objects.get)
            # Whoever came since the first look is finished, and what it relies on is pinned or
            # named by now: nobody adds anything while this lock is held.
            self._mark_refs({ref.root for ref in self.refs.iterate()})
            self._mark_pins()
            live = self._addresses()
            safe = rewriter.copied | self._elsewhere
            kept = {pack for pack in chosen if not (live & packs[pack].keys() <= safe)}
            if any(not (packs[pack].keys() <= live) for pack in chosen - kept):
                self.guard.begin_epoch()
            rewriter.show()
            remove_packs(self.objects, chosen - kept)
            for path in self._old_pin_files():
                path.unlink(missing_ok=True)
        return kept

    def _old_pin_files(self) -> list[Path]:
        """Return the files that protect nothing any more."""
        return [path for path, pins in self.pins.files() if not any(map(self._holds, pins))]


def _stored(packs: Packs) -> int:
    return sum(at.share for records in packs.values() for at in records.values())
