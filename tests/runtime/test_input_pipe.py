from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from autovibe.runtime.input_pipe import InputPipe


async def _read_all(path: Path) -> bytes:
    """Read a pipe to its end, as the program of an agent does."""

    def read() -> bytes:
        with path.open("rb") as file:
            return file.read()

    return await asyncio.to_thread(read)


async def test_a_reader_gets_everything_in_order_and_then_the_end(tmp_path: Path):
    pipe = InputPipe.make(tmp_path)
    reading = asyncio.create_task(_read_all(pipe.path))
    # More than a pipe holds: the rest waits until something was read.
    parts = [bytes([number]) * 100_000 for number in range(5)]
    for part in parts:
        assert await pipe.write(part)
    pipe.close()
    pipe.close()
    assert await reading == b"".join(parts)
    assert not await pipe.write(b"late")
    assert not pipe.is_open


async def test_writing_waits_for_the_reader_and_can_be_given_up(tmp_path: Path):
    pipe = InputPipe.make(tmp_path)
    writing = asyncio.create_task(pipe.write(b"x" * 1_000_000))
    await asyncio.sleep(0)
    assert not writing.done()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    pipe.close()


async def test_only_this_side_may_write(tmp_path: Path):
    pipe = InputPipe.make(tmp_path)
    mode = pipe.path.stat().st_mode
    assert stat.S_ISFIFO(mode)
    assert stat.S_IMODE(mode) == 0o400
    pipe.close()
