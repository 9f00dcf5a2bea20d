"""Which objects are compressed together, and that none is lost or out of order."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import pytest
import zstandard

from autovibe.store.squeeze import ALONE_BYTES, BLOCK_BYTES, Block, Squeezer


@pytest.fixture
def squeezer() -> Iterator[Squeezer]:
    made = Squeezer()
    yield made
    made.close()


def contents(blocks: list[Block]) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    for block in blocks:
        data = zstandard.ZstdDecompressor().decompress(block.frame)
        assert len(data) == block.size == sum(block.lengths)
        at = 0
        for address, length in zip(block.addresses, block.lengths, strict=True):
            found.append((address, data[at : at + length]))
            at += length
    return found


def test_every_object_comes_out_once_with_its_bytes(squeezer: Squeezer):
    rng = random.Random(7)
    sizes = [0, 1, 5000, 70_000, ALONE_BYTES - 1, ALONE_BYTES, 1 << 20]
    given = [
        (number.to_bytes(32, "big"), rng.randbytes(rng.choice(sizes)) + b"x")
        for number in range(90)
    ]
    blocks: list[Block] = []
    for address, data in given:
        blocks += squeezer.put(address, data)
    blocks += squeezer.finish()
    assert sorted(contents(blocks)) == given


def test_small_files_share_a_block_in_order_and_large_ones_are_alone(squeezer: Squeezer):
    given = [(bytes([number]) * 32, bytes([number]) * 100) for number in range(10)]
    for address, data in given:
        assert squeezer.put(address, data) == []
    squeezer.put(b"L" * 32, b"large" * ALONE_BYTES)
    squeezer.put(b"T" * 32, b"autovibe-tree 2\nentries")
    blocks = squeezer.finish()
    shared = [block for block in blocks if len(block.addresses) > 1]
    assert [contents([block]) for block in shared] == [given]
    assert sorted(block.addresses for block in blocks if block not in shared) == [
        [b"L" * 32],
        [b"T" * 32],
    ]


def test_block_ends_soon_after_it_is_full(squeezer: Squeezer):
    blocks: list[Block] = []
    for number in range(200):
        blocks += squeezer.put(number.to_bytes(32, "big"), bytes(10_000))
    blocks += squeezer.finish()
    assert len(blocks) == 8
    assert all(BLOCK_BYTES <= block.size < BLOCK_BYTES + ALONE_BYTES for block in blocks[:-1])


def test_failure_in_a_thread_is_raised_where_the_blocks_are_taken(
    squeezer: Squeezer, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Block, "squeeze", fail)
    squeezer.put(b"a" * 32, bytes(1 << 20))
    with pytest.raises(MemoryError):
        squeezer.finish()


def test_threads_end_when_the_squeezer_is_closed():
    before = set(threading.enumerate())
    squeezer = Squeezer()
    for number in range(8):
        squeezer.put(number.to_bytes(32, "big"), bytes(1 << 20))
    assert set(threading.enumerate()) - before
    squeezer.close()
    assert set(threading.enumerate()) <= before
    squeezer.close()
