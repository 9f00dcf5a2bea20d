"""Where objects lie, in the form in which they are read one after the other, or sent elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autovibe.store.bulk import PLAIN, BadPieceError, PieceReader
from autovibe.store.journals import SUFFIX

if TYPE_CHECKING:
    from autovibe.store.bulk import Piece
    from autovibe.store.packfile import Location
    from autovibe.store.packs import Objects


class Places:
    """Where objects lie, in the form that `bulk` takes."""

    def __init__(self, objects: Objects) -> None:
        """Look in the packs and journals of `objects`."""
        self._objects = objects
        self._sealed = objects.seal is not None
        self._paths: dict[str, str] = {}

    def find(self, digest: bytes) -> Piece | None:
        """Return where an object lies; None when only the store itself can tell, or open it."""
        at = None if self._sealed else self._objects.locate(digest)
        return None if at is None else self.piece(digest, at)

    def piece(self, digest: bytes, at: Location) -> Piece:
        """Return one place of an object, of a store that is not encrypted."""
        pack, offset, stored, raw, plain, start, size = at
        path = self._paths.get(pack)
        if path is None:
            objects = self._objects
            path = (
                f"{objects.journals.path}/{pack}{SUFFIX}"
                if plain
                else f"{objects.packs}/{pack}.pack"
            )
            self._paths[pack] = path
        return digest, raw, path, offset, stored, PLAIN if plain else start, size


class QuickReader:
    """Reads objects one after the other, each where it was found first, else as the store does."""

    def __init__(self, objects: Objects, *, from_disk: bool = False) -> None:
        """Read from `objects`; with `from_disk` what is cached of them is dropped first."""
        self.places = Places(objects)
        self.pieces = PieceReader(from_disk=from_disk)
        self._objects = objects
        self._from_disk = from_disk

    def get(self, digest: bytes) -> bytes:
        """Read an object and check its hash (see `Objects.get`).

        Raises:
            ObjectMissingError: no pack has it.
            ObjectCorruptError: the bytes are not those of the id.
        """
        piece = self.places.find(digest)
        if piece is not None:
            try:
                return self.pieces.read(piece)
            except BadPieceError:  # the store may have another copy
                pass
        return self._objects.get(digest, from_disk=self._from_disk)

    def close(self) -> None:
        """Close what is open."""
        self.pieces.close()
