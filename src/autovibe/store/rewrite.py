"""Writing packs anew without what nobody needs, and removing the old ones."""

from __future__ import annotations

import contextlib
import fcntl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from autovibe.kernel import faults
from autovibe.store.files import store_writes, sync_dir
from autovibe.store.packs import Objects
from autovibe.store.packwriter import PackWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from autovibe.store.packfile import Location

_LARGEST_BYTES: Final = 256 << 20


@dataclass(slots=True)
class Rewriter:
    """Copies objects into new packs, which stay invisible until `show`.

    Every object is read from the disk and hashed before it is copied: a pack is only ever removed
    when what is needed of it has been seen whole. Use as a context manager.
    """

    objects: Objects
    copied: set[bytes] = field(default_factory=set[bytes])
    _writers: list[PackWriter] = field(default_factory=list[PackWriter])
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def copy(
        self,
        records: Iterable[tuple[bytes, Location]],
        progress: Callable[[int], None] | None = None,
    ) -> list[bytes]:
        """Copy the objects at these places; return the addresses of those that are not whole.

        Args:
            records: address and place.
            progress: called with the bytes of each object.
        """
        damaged: list[bytes] = []
        for address, at in records:
            if address in self.copied:
                continue
            data = self.objects.fetch(address, at)
            if data is None:
                damaged.append(address)
                continue
            self._writer().copy(address, data)
            self.copied.add(address)
            if progress is not None:
                progress(at.share)
        return damaged

    def _writer(self) -> PackWriter:
        if not self._writers or self._writers[-1].length >= _LARGEST_BYTES:
            if self._writers:
                self._writers[-1].finish()
            self._writers.append(self._stack.enter_context(self.objects.writer()))
        return self._writers[-1]

    def finish(self) -> int:
        """Make the new packs durable; return how many there are."""
        if self._writers:
            self._writers[-1].finish()
        faults.reach("packs_rewritten")
        return len(self._writers)

    def show(self) -> None:
        """Make the new packs visible; the caller holds the exclusive lock."""
        for writer in self._writers:
            writer.show()
        faults.reach("packs_replaced")


def remove_packs(objects: Objects, packs: Collection[str]) -> None:
    """Remove packs; the caller holds the exclusive lock, and nothing in them is needed.

    The index goes first, so that what a crash leaves is a pack that the next open takes up again.
    """
    with store_writes(objects.path):
        for pack in sorted(packs):
            with contextlib.suppress(FileNotFoundError):
                _remove(objects, pack)
            faults.reach("pack_removed")
        if packs:
            sync_dir(objects.packs)
    objects.scan()


def _remove(objects: Objects, pack: str) -> None:
    body, index = objects.packs / f"{pack}.pack", objects.packs / f"{pack}.idx"
    if not body.exists():
        index.unlink()
        return
    with body.open("rb") as file:
        # Who opens the store right now must not take it for a pack that lost its index.
        fcntl.flock(file, fcntl.LOCK_EX)
        index.unlink(missing_ok=True)
        faults.reach("index_removed")
        body.unlink()
