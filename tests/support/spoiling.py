"""Damaging a checkpoint store, as a disk would."""

from __future__ import annotations

import hashlib

import zstandard

from autovibe.store import Store
from autovibe.store.packfile import Location


def spoil(store: Store, content: bytes) -> None:
    """Change one byte of what the store has of a file, and of nothing else."""
    spoil_object(store, hashlib.sha256(content).digest())


def spoil_object(store: Store, digest: bytes) -> None:
    """Change one byte of an object, in a block such that no other object there is affected."""
    at = store.objects.locate(digest)
    assert at is not None
    pack = store.path / "packs" / f"{at.pack}.pack"
    data = bytearray(pack.read_bytes())
    frame = bytes(data[at.offset : at.offset + at.stored])
    data[at.offset + (len(frame) - 1 if at.alone else _only_byte_of(frame, at))] ^= 0xFF
    pack.write_bytes(data)


def _only_byte_of(frame: bytes, at: Location) -> int:
    """Find the place in the frame of a block that this object alone depends on."""
    whole = zstandard.ZstdDecompressor().decompress(frame, max_output_size=at.size)
    begin, end = at.start, at.start + at.raw
    for place in reversed(range(len(frame))):
        changed = bytearray(frame)
        changed[place] ^= 0xFF
        try:
            got = zstandard.ZstdDecompressor().decompress(bytes(changed), max_output_size=at.size)
        except zstandard.ZstdError:
            continue
        if got != whole and (got[:begin], got[end:]) == (whole[:begin], whole[end:]):
            return place
    raise AssertionError("every byte of the frame concerns other objects, too")
