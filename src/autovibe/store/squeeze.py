"""Compressing objects in a thread of its own, while the next ones are read."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Final

import zstandard

LEVEL: Final = 3
# A batch is worth handing over to the other thread; more than these wait for nobody's memory.
_BATCH_BYTES: Final = 1 << 20
_MOST_WAITING: Final = 4


@dataclass(slots=True)
class _Batch:
    """Objects on their way: their addresses and lengths, their bytes, then their frames."""

    heads: list[tuple[bytes, int]] = field(default_factory=list[tuple[bytes, int]])
    data: list[bytes] = field(default_factory=list[bytes])
    frames: list[bytes] = field(default_factory=list[bytes])
    bytes: int = 0
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def squeeze(self, compressor: zstandard.ZstdCompressor) -> None:
        """Compress; what goes wrong is raised by whoever takes the frames."""
        try:
            self.frames = [compressor.compress(data) for data in self.data]
        except BaseException as error:  # noqa: BLE001 - it belongs to the other thread
            self.error = error
        self.data = []
        self.done.set()


class Squeezer:
    """Takes objects and gives back frames, in order. The thread starts with the second batch."""

    def __init__(self) -> None:
        """Wait for objects."""
        self._filling = _Batch()
        self._waiting: list[_Batch] = []
        self._queue: SimpleQueue[_Batch | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)

    def put(self, address: bytes, data: bytes) -> list[tuple[bytes, int, bytes]]:
        """Take an object; return address, length and frame of earlier ones that must be taken."""
        batch = self._filling
        batch.heads.append((address, len(data)))
        batch.data.append(data)
        batch.bytes += len(data)
        if batch.bytes < _BATCH_BYTES:
            return []
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="compress", daemon=True)
            self._thread.start()
        self._queue.put(batch)
        self._waiting.append(batch)
        self._filling = _Batch()
        return self._take() if len(self._waiting) > _MOST_WAITING else []

    def _take(self) -> list[tuple[bytes, int, bytes]]:
        batch = self._waiting.pop(0)
        batch.done.wait()
        if batch.error is not None:
            raise batch.error
        return [(*head, frame) for head, frame in zip(batch.heads, batch.frames, strict=True)]

    def finish(self) -> list[tuple[bytes, int, bytes]]:
        """Return what is left."""
        last, self._filling = self._filling, _Batch()
        # The thread may be at work with its own compressor, which is not for two.
        last.squeeze(zstandard.ZstdCompressor(level=LEVEL))
        left: list[tuple[bytes, int, bytes]] = []
        while self._waiting:
            left += self._take()
        self._waiting.append(last)
        return left + self._take()

    def close(self) -> None:
        """End the thread. Calling twice is allowed."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (batch := self._queue.get()) is not None:
            batch.squeeze(self._compressor)
