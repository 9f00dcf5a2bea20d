"""The files of a pack: their bytes, and finding the objects of one whose index is unusable."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from autovibe.store.files import create_temporary, write_all

if TYPE_CHECKING:
    from pathlib import Path

PACK_MAGIC: Final = b"AVPACK1\n"
INDEX_MAGIC: Final = b"AVINDX1\n"
RECORD: Final = struct.Struct("<32sQQ")  # id, uncompressed length, stored length
INDEX_HEAD: Final = struct.Struct("<8sQQ")  # magic, number of records, length of the pack
INDEX_RECORD: Final = struct.Struct("<32sQQQ")  # id, offset, stored length, uncompressed length
HASH_BYTES: Final = 32


class Location(NamedTuple):
    """Where the frame of an object lies; in a journal it is `plain`, not compressed."""

    pack: str
    offset: int
    stored: int
    raw: int
    plain: bool = False


def sha256(data: bytes) -> bytes:
    """Return the id of an object with these bytes."""
    return hashlib.sha256(data).digest()


def encode_index(records: dict[bytes, Location], pack_bytes: int) -> bytes:
    """Write the index of one pack (docs/formats/store.md, Packs)."""
    body = INDEX_HEAD.pack(INDEX_MAGIC, len(records), pack_bytes) + b"".join(
        INDEX_RECORD.pack(digest, at.offset, at.stored, at.raw)
        for digest, at in sorted(records.items())
    )
    return body + sha256(body)


def decode_index(pack: str, data: bytes, pack_bytes: int) -> dict[bytes, Location] | None:
    """Read an index; None when it is damaged or does not belong to a pack of this length."""
    body, checksum = data[:-HASH_BYTES], data[-HASH_BYTES:]
    if len(body) < INDEX_HEAD.size or sha256(body) != checksum:
        return None
    magic, count, length = INDEX_HEAD.unpack_from(body)
    expected = INDEX_HEAD.size + count * INDEX_RECORD.size
    if magic != INDEX_MAGIC or length != pack_bytes or len(body) != expected:
        return None
    return {
        digest: Location(pack, offset, stored, raw)
        for digest, offset, stored, raw in INDEX_RECORD.iter_unpack(body[INDEX_HEAD.size :])
    }


def walk_pack(pack: str, path: Path) -> dict[bytes, Location]:
    """Find the records of a pack whose index is damaged, as far as their lengths make sense."""
    found: dict[bytes, Location] = {}
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(len(PACK_MAGIC)) != PACK_MAGIC:
            return found
        at = len(PACK_MAGIC)
        while len(head := file.read(RECORD.size)) == RECORD.size:
            digest, raw, stored = RECORD.unpack(head)
            offset = at + RECORD.size
            if offset + stored > size:
                break
            found[digest] = Location(pack, offset, stored, raw)
            at = offset + stored
            file.seek(at)
    return found


def adopt(packs: Path, tmp: Path) -> int:
    """Write the index of each pack whose writer died between its two renames.

    The pack was synced before it was renamed, so its objects are whole and are not thrown away.

    Returns:
        How many packs were adopted.
    """
    adopted = 0
    names = {path.name for path in packs.iterdir()}
    for name in sorted(names):
        pack, dot, suffix = name.rpartition(".")
        index = packs / f"{pack}.idx"
        if not dot or suffix != "pack" or index.name in names:
            continue
        with (packs / name).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # its writer lives and is about to rename the index
                continue
            if index.exists():
                continue
            written = create_temporary(tmp, ".idx")
            try:
                records = walk_pack(pack, packs / name)
                write_all(written.fd, encode_index(records, os.fstat(file.fileno()).st_size))
                os.fsync(written.fd)
                written.rename(index)
            finally:
                written.close()
            adopted += 1
    return adopted
