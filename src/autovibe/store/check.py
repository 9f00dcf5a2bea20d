"""Checking a whole store, and repairing it from another one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from autovibe.store.errors import ObjectCorruptError, ObjectMissingError
from autovibe.store.model import CheckResult, Damage, Progress
from autovibe.store.packfile import sha256
from autovibe.store.places import Places
from autovibe.store.reach import Reach
from autovibe.store.refs import parse_root
from autovibe.store.rereading import reread
from autovibe.store.rewrite import Rewriter, remove_packs

if TYPE_CHECKING:
    from collections.abc import Callable

    from autovibe.kernel.clock import Clock
    from autovibe.store.guard import Guard
    from autovibe.store.packfile import Location
    from autovibe.store.packs import Objects
    from autovibe.store.refs import Refs


@dataclass(slots=True)
class Check:
    """One check of one store; `source` has good copies of what may be damaged here."""

    objects: Objects
    refs: Refs
    guard: Guard
    clock: Clock
    source: Objects | None
    wait_s: float
    progress: Callable[[Progress], None] | None
    _good: set[bytes] = field(default_factory=set[bytes])
    _bad: dict[bytes, list[Location]] = field(default_factory=dict[bytes, "list[Location]"])
    _bytes: int = 0
    _told: tuple[int, int] = (0, 0)

    def run(self, *, repair: bool) -> CheckResult:
        """Check, and repair if asked (see `Store.check`)."""
        if not repair:
            return self._run(repair=False)
        with self.guard.maintaining():
            return self._run(repair=True)

    def _run(self, *, repair: bool) -> CheckResult:
        self.objects.scan()
        packs = self.objects.known_packs()
        self._read_everything(packs)
        damaged_refs, roots = self._read_refs()
        reach = Reach(self._get if repair else self.objects.get, paths={})
        for root in sorted(roots):
            reach.add(root)
        missing: list[Damage] = []
        corrupt: list[Damage] = []
        wanted: set[bytes] = set()
        needed: dict[bytes, bytes] = {}
        for digest in sorted(set(reach.all())):
            address = self.objects.address(digest)
            wanted.add(address)
            if address not in self._good:
                path = (reach.paths or {}).get(digest, "/")
                where = corrupt if address in self._bad else missing
                where.append(Damage(digest.hex(), (path,)))
                needed[address] = digest
        damaged_packs = self.objects.damaged()
        repaired: list[str] = []
        rewritten = 0
        if repair:
            repaired = self._fetch(needed)
            rewritten = self._rewrite(packs, needed, set(damaged_packs))
        left = {damage.object for damage in (*missing, *corrupt)} - set(repaired)
        whole = not (missing or corrupt or self._bad or damaged_packs)
        return CheckResult(
            ok=not damaged_refs and (whole or (repair and not left)),
            objects=len(self._good),
            bytes=self._bytes,
            packs=len(packs),
            missing=tuple(missing),
            corrupt=tuple(corrupt),
            unused_corrupt=tuple(sorted(a.hex() for a in self._bad.keys() - wanted - self._good)),
            damaged_packs=damaged_packs,
            damaged_refs=tuple(damaged_refs),
            repaired=tuple(repaired),
            rewritten_packs=rewritten,
        )

    def _read_everything(self, packs: dict[str, dict[bytes, Location]]) -> None:
        for _, records in sorted(packs.items()):
            damaged = self._read_pack(records)
            if damaged:  # perhaps only where the short way looked, as when a journal was folded
                damaged = {a for a in damaged if self.objects.fetch(a, records[a]) is None}
            for address in sorted(damaged):
                self._bad.setdefault(address, []).append(records[address])
            good = records.keys() - damaged
            self._good |= good
            self._bytes += sum(records[address].raw for address in good)

    def _read_pack(self, records: dict[bytes, Location]) -> set[bytes]:
        """Read a pack; return the addresses of what is damaged there, or may be."""
        if self.objects.seal is None:
            places = Places(self.objects)
            contents = [(address, [places.piece(address, at)]) for address, at in records.items()]
            return set(reread(contents, self._tell))
        damaged: set[bytes] = set()
        for address, at in sorted(records.items(), key=lambda record: record[1].offset):
            if self.objects.fetch(address, at) is None:
                damaged.add(address)
            self._tell(1, at.raw)
        return damaged

    def _tell(self, items: int, size: int) -> None:
        self._told = (self._told[0] + items, self._told[1] + size)
        if self.progress is not None:
            self.progress(Progress("verify", *self._told))

    def _read_refs(self) -> tuple[list[str], set[bytes]]:
        damaged: list[str] = []
        roots: set[bytes] = set()
        for name in self.refs.names():
            try:
                ref = self.refs.find(name)
            except ObjectCorruptError:
                damaged.append(name)
            else:
                if ref is not None:
                    roots.add(parse_root(ref.root))
        return damaged, roots

    def _get(self, digest: bytes) -> bytes:
        """Read a tree or list, from the source when it is not whole here."""
        try:
            return self.objects.get(digest)
        except (ObjectMissingError, ObjectCorruptError):
            if self.source is None:
                raise
            return self.source.get(digest)

    def _fetch(self, needed: dict[bytes, bytes]) -> list[str]:
        """Add good copies of what is needed; return what was found in the source."""
        if self.source is None or not needed:
            return []
        found: list[str] = []
        with self.guard.adding(), self.objects.writer() as writer:
            for address, digest in needed.items():
                try:
                    data = self.source.get(digest, from_disk=True)
                except (ObjectMissingError, ObjectCorruptError):
                    continue
                assert sha256(data) == digest
                writer.put(digest, data, again=True)
                self._good.add(address)
                found.append(digest.hex())
            writer.commit()
        return sorted(found)

    def _rewrite(
        self,
        packs: dict[str, dict[bytes, Location]],
        needed: dict[bytes, bytes],
        damaged_packs: set[str],
    ) -> int:
        """Write packs anew without their damaged objects, as soon as nobody needs those.

        What could not be repaired stays where it is: it may be all that is left of something.
        """
        lost = needed.keys() - self._good
        chosen = {at.pack for places in self._bad.values() for at in places} | damaged_packs
        chosen -= {at.pack for a, places in self._bad.items() if a in lost for at in places}
        chosen -= self.objects.journals.names()  # their writers leave behind what is damaged
        if lost:  # what is missing may lie behind the damage of a pack
            chosen -= damaged_packs
        if not chosen:
            return 0
        with Rewriter(self.objects) as rewriter:
            for pack in sorted(chosen):
                records = sorted(packs[pack].items(), key=lambda record: record[1].offset)
                if set(rewriter.copy(records)) - self._bad.keys():  # a moment ago it was whole
                    chosen.discard(pack)
            rewriter.finish()
            with self.guard.removing(self.wait_s, self.clock):
                # A damaged object that nobody needed until now is lost for a cache, too.
                self.guard.begin_epoch()
                rewriter.show()
                remove_packs(self.objects, chosen)
        return len(chosen)
