"""Compressing objects in threads of their own, while the next ones are read."""

from __future__ import annotations

import os
import threading
from collections import deque
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

import zstandard

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of sources level 3 makes 7 % less, and a first capture takes a fifth longer. Of large binaries it
# makes 7 % less, too, and without it other tools would need less space.
LEVEL: Final = 1
LARGE_LEVEL: Final = 3
LARGE_BYTES: Final = 1 << 19
# Small files are compressed together, which makes them a fifth smaller.
BLOCK_BYTES: Final = 1 << 18
# One of this size gains nothing from company.
ALONE_BYTES: Final = 1 << 17
# More than this waits for nobody's memory.
_MOST_WAITING: Final = 4 << 20
_MOST_THREADS: Final = 4
# What all objects of the store's own begin with. A directory is never in a block with others: so
# one is read without them, and what damages it damages nothing else. A file that begins so is
# treated likewise, and nothing else follows from it.
_OWN: Final = b"autovibe-"


@dataclass(slots=True)
class Block:
    """Objects that are compressed together: their addresses and bytes, then their frame."""

    addresses: list[bytes] = field(default_factory=list[bytes])
    size: int = 0
    lengths: list[int] = field(default_factory=list[int])
    frame: bytes = b""
    _parts: list[bytes] = field(default_factory=list[bytes])

    def add(self, address: bytes, data: bytes) -> int:
        """Take one more object; return how many bytes there are now."""
        self.addresses.append(address)
        self._parts.append(data)
        self.size += len(data)
        return self.size

    def squeeze(self, compressors: _Compressors) -> None:
        """Make the frame of the objects, and let go of them."""
        parts, self._parts = self._parts, []
        self.lengths = [len(part) for part in parts]
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self.frame = compressors[self.size >= LARGE_BYTES].compress(data)


_Compressors = tuple[zstandard.ZstdCompressor, zstandard.ZstdCompressor]


def _compressors() -> _Compressors:
    """Return what compresses small blocks, then large ones; not for two threads at once."""
    return zstandard.ZstdCompressor(level=LEVEL), zstandard.ZstdCompressor(level=LARGE_LEVEL)


@dataclass(slots=True)
class _Batch:
    """Blocks that are worth handing over to another thread."""

    blocks: list[Block] = field(default_factory=list[Block])
    size: int = 0
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def add(self, block: Block) -> None:
        self.blocks.append(block)
        self.size += block.size

    def squeeze(self, compressors: _Compressors) -> None:
        """Compress; what goes wrong is raised by whoever takes the blocks."""
        try:
            for block in self.blocks:
                block.squeeze(compressors)
        except BaseException as error:  # noqa: BLE001 - it belongs to the other thread
            self.error = error
        self.done.set()

    def take(self) -> list[Block]:
        """Wait for the frames."""
        self.done.wait()
        if self.error is not None:
            raise self.error
        return self.blocks


class Squeezer:
    """Takes objects and gives back blocks. The first full batch starts the threads."""

    def __init__(self) -> None:
        """Wait for objects."""
        self._files = Block()
        self._own = _Batch()
        self._waiting: deque[_Batch] = deque()
        self._waiting_bytes = 0
        self._queue: SimpleQueue[_Batch | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._most_threads = min(_MOST_THREADS, len(os.sched_getaffinity(0)))

    def put(self, address: bytes, data: bytes) -> list[Block]:
        """Take an object; return earlier blocks that are to be written."""
        if len(data) >= ALONE_BYTES or data.startswith(_OWN):
            block = Block()
            block.add(address, data)
            self._own.add(block)
            if self._own.size < BLOCK_BYTES:
                return []
            batch, self._own = self._own, _Batch()
            return self._submit(batch)
        if self._files.add(address, data) < BLOCK_BYTES:
            return []
        batch = _Batch()
        batch.add(self._files)
        self._files = Block()
        return self._submit(batch)

    def _submit(self, batch: _Batch) -> list[Block]:
        if len(self._threads) < self._most_threads:
            thread = threading.Thread(target=self._work, name="compress", daemon=True)
            thread.start()
            self._threads.append(thread)
        self._queue.put(batch)
        self._waiting.append(batch)
        self._waiting_bytes += batch.size
        return list(self._take(_MOST_WAITING))

    def _take(self, most: int) -> Iterator[Block]:
        """Yield blocks that are done, and so many more that no more bytes than `most` wait."""
        while self._waiting and (self._waiting_bytes > most or self._waiting[0].done.is_set()):
            batch = self._waiting.popleft()
            self._waiting_bytes -= batch.size
            yield from batch.take()

    def finish(self) -> list[Block]:
        """Return what is left."""
        last, self._own = self._own, _Batch()
        if self._files.addresses:
            last.add(self._files)
            self._files = Block()
        # The threads may be at work with their own compressors.
        last.squeeze(_compressors())
        return [*self._take(-1), *last.take()]

    def close(self) -> None:
        """End the threads. Calling twice is allowed."""
        for _ in self._threads:
            self._queue.put(None)
        while self._threads:
            self._threads.pop().join()

    def _work(self) -> None:
        compressors = _compressors()
        while (batch := self._queue.get()) is not None:
            batch.squeeze(compressors)
