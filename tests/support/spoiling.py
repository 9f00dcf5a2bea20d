"""Damaging a checkpoint store, as a disk would."""

from __future__ import annotations

import hashlib

from autovibe.store import Store


def spoil(store: Store, content: bytes) -> None:
    """Change one byte of what the store has of a file, and of nothing else."""
    spoil_object(store, hashlib.sha256(content).digest())


def spoil_object(store: Store, digest: bytes) -> None:
    """Change one byte of an object."""
    at = store.objects.locate(digest)
    assert at is not None
    pack = store.path / "packs" / f"{at.pack}.pack"
    data = bytearray(pack.read_bytes())
    data[at.offset + at.stored - 1] ^= 0xFF
    pack.write_bytes(data)
