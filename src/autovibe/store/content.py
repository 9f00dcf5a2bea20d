"""Writing the content of a file with the holes that it had."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from autovibe.store.errors import UnsafeTreeError
from autovibe.store.files import write_all

if TYPE_CHECKING:
    from autovibe.store.tree import Holes

_ZEROS: Final = bytes(1 << 16)


class ContentWriter:
    """Writes the pieces of a new file in order; holes are skipped, everything else is written.

    With unknown holes (a tree of format 1) runs of 64 KiB of zeros become holes.
    """

    def __init__(self, fd: int, holes: Holes | None) -> None:
        """Write into an empty file open at its beginning."""
        self.at = 0
        self._fd = fd
        self._guess = holes is None
        self._holes = holes or ()
        self._next = 0

    def write(self, data: bytes) -> None:
        """Write the next piece.

        Raises:
            UnsafeTreeError: what should be a hole holds something.
        """
        if self._guess:
            self._write_guessing(data)
        elif self._holes:
            self._write_around(data)
        else:
            write_all(self._fd, data)
        self.at += len(data)

    def _write_guessing(self, data: bytes) -> None:
        if len(data) < len(_ZEROS):
            write_all(self._fd, data)
            return
        view = memoryview(data)
        for at in range(0, len(data), len(_ZEROS)):
            block = view[at : at + len(_ZEROS)]
            if _is_zero(block):
                os.lseek(self._fd, len(block), os.SEEK_CUR)
            else:
                write_all(self._fd, block)

    def _write_around(self, data: bytes) -> None:
        view = memoryview(data)
        at = self.at
        while view:
            while self._next < len(self._holes) and sum(self._holes[self._next]) <= at:
                self._next += 1
            start, length = (
                self._holes[self._next] if self._next < len(self._holes) else (at + len(view), 0)
            )
            inside = start <= at
            count = min(len(view), (start + length if inside else start) - at)
            part, view = view[:count], view[count:]
            if not inside:
                write_all(self._fd, part)
            elif _is_zero(part):
                os.lseek(self._fd, count, os.SEEK_CUR)
            else:
                msg = "A hole of a file holds data: this tree was not written by autovibe."
                raise UnsafeTreeError(msg)
            at += count

    def finish(self) -> None:
        """Set the length, which a hole at the end leaves short."""
        if self._guess or self._holes:
            os.ftruncate(self._fd, self.at)


def _is_zero(block: memoryview) -> bool:
    return all(
        bytes(block[at : at + len(_ZEROS)]) == _ZEROS[: len(block) - at]
        for at in range(0, len(block), len(_ZEROS))
    )
