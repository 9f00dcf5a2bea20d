"""The program's standard output, by lines."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Final

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
_CHUNK: Final = 65536


class OutputPipe:
    """The reading end of the program's output.

    Nothing is read ahead: a program whose output nobody takes waits, as with any pipe.
    """

    def __init__(self, descriptor: int) -> None:
        """Own `descriptor`, the reading end of a pipe."""
        self._descriptor: int | None = descriptor
        self._rest = b""
        self._woken: asyncio.Future[None] | None = None
        os.set_blocking(descriptor, False)

    async def _read(self) -> bytes:
        """Return the next bytes, empty at the end."""
        while self._descriptor is not None:
            try:
                return os.read(self._descriptor, _CHUNK)
            except BlockingIOError:
                await self._readable(self._descriptor)
        rest, self._rest = self._rest, b""
        return rest

    async def _readable(self, descriptor: int) -> None:
        loop = asyncio.get_running_loop()
        self._woken = woken = loop.create_future()
        loop.add_reader(descriptor, lambda: woken.done() or woken.set_result(None))
        try:
            await woken
        finally:
            if self._descriptor is not None:
                loop.remove_reader(descriptor)

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield lines with their newline; longer ones than 16 MiB in pieces of that size."""
        pending = bytearray()
        scanned = 0
        while chunk := await self._read():
            pending += chunk
            while size := _first_size(pending, scanned):
                yield bytes(pending[:size])
                del pending[:size]
                scanned = 0
            scanned = len(pending)
        if pending:
            yield bytes(pending)

    async def read_all(self) -> bytes:
        """Return everything up to the end, which comes when no process holds the pipe any more."""
        pieces: list[bytes] = []
        while piece := await self._read():
            pieces.append(piece)
        return b"".join(pieces)

    def _take_rest(self) -> bytes:
        """Return what is in the pipe now, without waiting."""
        pieces: list[bytes] = []
        while self._descriptor is not None:
            try:
                piece = os.read(self._descriptor, _CHUNK)
            except BlockingIOError:
                break
            if not piece:
                break
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Release the descriptor; what the pipe still holds can be read afterwards."""
        if self._descriptor is None:
            return
        self._rest = self._take_rest()
        if self._woken is not None and not self._woken.done():
            asyncio.get_running_loop().remove_reader(self._descriptor)
            self._woken.set_result(None)
        os.close(self._descriptor)
        self._descriptor = None


def _first_size(pending: bytearray, scanned: int) -> int:
    """Return the size of the first line or piece, 0 when it is not complete.

    Args:
        pending: what has arrived.
        scanned: so many bytes of it are known to hold no newline.
    """
    end = pending.find(b"\n", scanned, MAX_LINE_BYTES)
    if end >= 0:
        return end + 1
    return MAX_LINE_BYTES if len(pending) >= MAX_LINE_BYTES else 0
