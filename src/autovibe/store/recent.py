"""The blocks that a thread has read last: their other objects are asked for next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from autovibe.store.packfile import Location

_MOST_BLOCKS: Final = 8


@dataclass(slots=True)
class _Held:
    """A block; one that was read from the disk gives each of its objects once as such."""

    data: bytes
    from_disk: bool
    given: set[bytes] = field(default_factory=set[bytes])


class RecentBlocks:
    """Keeps a few uncompressed blocks of one thread, so that none is opened for each object."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._held: dict[tuple[str, int], _Held] = {}

    def find(self, at: Location, address: bytes, *, from_disk: bool) -> bytes | None:
        """Return the block in which an object lies, when it is here.

        Args:
            at: place of the object.
            address: its address.
            from_disk: only if it was read from the disk since the object was last asked for so.
        """
        key = (at.pack, at.offset)
        held = self._held.get(key)
        if held is None or (from_disk and (not held.from_disk or address in held.given)):
            return None
        if from_disk:
            held.given.add(address)
        self._held[key] = self._held.pop(key)  # now the last to go
        return held.data

    def keep(self, at: Location, address: bytes, data: bytes, *, from_disk: bool) -> None:
        """Keep a block of which an object was asked for, and forget the one used longest ago."""
        self._held.pop((at.pack, at.offset), None)
        while len(self._held) >= _MOST_BLOCKS:
            del self._held[next(iter(self._held))]
        self._held[at.pack, at.offset] = _Held(data, from_disk, {address} if from_disk else set())
