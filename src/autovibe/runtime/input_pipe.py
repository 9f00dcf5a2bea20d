"""The pipe through which a running agent is spoken to."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PIPE_NAME: Final = "input"
_READ_ONLY: Final = 0o400


@dataclass
class InputPipe:
    """A named pipe in a directory that a machine sees read-only; only this side can write.

    This side keeps it open for reading too, so that opening never waits; the agent sees the end of
    its input when this side closes it.
    """

    path: Path
    _handle: int | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    def make(cls, directory: Path) -> InputPipe:
        """Make the pipe in a directory."""
        path = directory / PIPE_NAME
        os.mkfifo(path, 0o600)
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        # A read-only mount does not keep programs from writing to a pipe; its mode does.
        path.chmod(_READ_ONLY)
        return cls(path, handle)

    @property
    def is_open(self) -> bool:
        """Whether it can still be written to."""
        return self._handle is not None

    async def write(self, data: bytes) -> bool:
        """Write everything, however long the agent takes to read; return False once it is closed.

        What is written may be in the pipe still: that it was read, only the agent can say.
        """
        async with self._lock:
            rest = memoryview(data)
            while rest:
                if self._handle is None:
                    return False
                try:
                    rest = rest[os.write(self._handle, rest) :]
                except BlockingIOError:
                    await self._writable(self._handle)
        return True

    def close(self) -> None:
        """Let the agent see the end of its input; does nothing the second time."""
        if self._handle is not None:
            asyncio.get_running_loop().remove_writer(self._handle)
            os.close(self._handle)
            self._handle = None

    @staticmethod
    async def _writable(handle: int) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_writer(handle, lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_writer(handle)
