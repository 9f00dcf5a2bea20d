"""The files of a pack: their bytes, and finding the objects of one whose index is unusable."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, Final, NamedTuple

from autovibe.store.files import create_temporary, write_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

PACK_MAGIC: Final = b"AVPACK2\n"
INDEX_MAGIC: Final = b"AVINDX2\n"
OLD_PACK_MAGIC: Final = b"AVPACK1\n"
OLD_INDEX_MAGIC: Final = b"AVINDX1\n"
RECORD: Final = struct.Struct("<32sQQ")  # address, uncompressed length, stored length
INDEX_HEAD: Final = struct.Struct("<8sQQ")  # magic, number of records, length of the pack
OLD_INDEX_RECORD: Final = struct.Struct("<32sQQQ")  # address, offset, stored, uncompressed
BLOCK: Final = struct.Struct("<QQI")  # stored length, uncompressed length, number of objects
OBJECT: Final = struct.Struct("<32sQ")  # address, length
INDEX_BLOCKS: Final = struct.Struct("<Q")  # number of blocks
INDEX_BLOCK: Final = struct.Struct("<QQQ")  # offset of the frame, stored, uncompressed length
INDEX_RECORD: Final = struct.Struct("<32sIQQ")  # address, number of its block, begin there, length
HASH_BYTES: Final = 32
_ALONE: Final = -1


class Location(NamedTuple):
    """Where an object lies: `raw` bytes from `start` on of a block of `size` bytes uncompressed.

    `offset` and `stored` are those of the block in its pack. In a journal an object is `plain`, not
    compressed; there and in packs of older formats it is alone, and `start` is negative.
    """

    pack: str
    offset: int
    stored: int
    raw: int
    plain: bool = False
    start: int = _ALONE
    size: int = 0

    @property
    def alone(self) -> bool:
        """Whether a frame holds this object and nothing else, and is bound to its address."""
        return self.start < 0

    @property
    def share(self) -> int:
        """How many bytes this object takes of what is stored."""
        if self.start < 0 or not self.size:
            return self.stored
        return self.stored * self.raw // self.size


def sha256(data: bytes | bytearray) -> bytes:
    """Return the id of an object with these bytes."""
    return hashlib.sha256(data).digest()


def encode_index(blocks: Sequence[bytes], records: bytes | bytearray, pack_bytes: int) -> bytearray:
    """Write the index of one pack (docs/formats/store.md, Packs).

    Args:
        blocks: an `INDEX_BLOCK` each, in order.
        records: an `INDEX_RECORD` each, in any order.
        pack_bytes: length of the pack.
    """
    count = len(records) // INDEX_RECORD.size
    index = bytearray(INDEX_HEAD.pack(INDEX_MAGIC, count, pack_bytes))
    index += INDEX_BLOCKS.pack(len(blocks))
    index += b"".join(blocks)
    view = memoryview(records)
    # Sorted in parts by the first byte: an object for each record takes far more memory.
    places: list[list[int]] = [[] for _ in range(256)]
    for at in range(0, len(view), INDEX_RECORD.size):
        places[view[at]].append(at)
    for part in places:
        index += b"".join(sorted([bytes(view[at : at + INDEX_RECORD.size]) for at in part]))
    index += sha256(index)
    return index


def decode_index(pack: str, data: bytes, pack_bytes: int) -> dict[bytes, Location] | None:
    """Read an index; None when it is damaged or does not belong to a pack of this length."""
    body, checksum = data[:-HASH_BYTES], data[-HASH_BYTES:]
    if len(body) < INDEX_HEAD.size or sha256(body) != checksum:
        return None
    magic, count, length = INDEX_HEAD.unpack_from(body)
    if length != pack_bytes:
        return None
    if magic == OLD_INDEX_MAGIC and len(body) == INDEX_HEAD.size + count * OLD_INDEX_RECORD.size:
        old = OLD_INDEX_RECORD.iter_unpack(body[INDEX_HEAD.size :])
        return {a: Location(pack, offset, stored, raw) for a, offset, stored, raw in old}
    return _decode_blocks(pack, body, count) if magic == INDEX_MAGIC else None


def _decode_blocks(pack: str, body: bytes, count: int) -> dict[bytes, Location] | None:
    at = INDEX_HEAD.size + INDEX_BLOCKS.size
    if len(body) < at:
        return None
    end = at + INDEX_BLOCKS.unpack_from(body, INDEX_HEAD.size)[0] * INDEX_BLOCK.size
    if len(body) != end + count * INDEX_RECORD.size:
        return None
    blocks = list(INDEX_BLOCK.iter_unpack(body[at:end]))
    found: dict[bytes, Location] = {}
    number: int
    for address, number, start, raw in INDEX_RECORD.iter_unpack(body[end:]):
        if number >= len(blocks):
            return None
        offset, stored, size = blocks[number]
        found[address] = Location(pack, offset, stored, raw, False, start, size)  # noqa: FBT003 - a field
    return found


def walk_pack(pack: str, path: Path) -> dict[bytes, Location]:
    """Find the objects of a pack whose index is damaged, as far as their lengths make sense."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        magic = file.read(len(PACK_MAGIC))
        if magic == OLD_PACK_MAGIC:
            return dict(_walk_records(pack, file, size))
        return dict(_walk_blocks(pack, file, size)) if magic == PACK_MAGIC else {}


def _walk_records(pack: str, file: BinaryIO, size: int) -> Iterator[tuple[bytes, Location]]:
    while len(head := file.read(RECORD.size)) == RECORD.size:
        address, raw, stored = RECORD.unpack(head)
        offset = file.tell()
        if offset + stored > size:
            return
        yield address, Location(pack, offset, stored, raw)
        file.seek(offset + stored)


def _walk_blocks(pack: str, file: BinaryIO, size: int) -> Iterator[tuple[bytes, Location]]:
    while len(head := file.read(BLOCK.size)) == BLOCK.size:
        stored, content, count = BLOCK.unpack(head)
        offset = file.tell() + count * OBJECT.size
        if offset + stored > size:
            return
        start = 0
        for address, raw in OBJECT.iter_unpack(file.read(count * OBJECT.size)):
            yield address, Location(pack, offset, stored, raw, False, start, content)  # noqa: FBT003 - a field
            start += raw
        file.seek(offset + stored)


def block_context(size: int) -> bytes:
    """Return what a sealed block is bound to, beside pack and offset: its uncompressed length."""
    return INDEX_BLOCKS.pack(size)


def encode_objects(addresses: Sequence[bytes], lengths: Sequence[int]) -> bytes:
    """Write the table of the objects of a block, which stands before its frame."""
    return b"".join(map(OBJECT.pack, addresses, lengths))


def index_records(number: int, addresses: Sequence[bytes], lengths: Sequence[int]) -> bytes:
    """Return the records of an index for the objects of a block."""
    starts = accumulate(lengths, initial=0)
    return b"".join(map(INDEX_RECORD.pack, addresses, repeat(number), starts, lengths))


def _index_of(found: dict[bytes, Location], pack_bytes: int) -> bytes:
    """Write the index of a pack that was walked."""
    if any(at.alone for at in found.values()):
        body = INDEX_HEAD.pack(OLD_INDEX_MAGIC, len(found), pack_bytes) + b"".join(
            OLD_INDEX_RECORD.pack(address, at.offset, at.stored, at.raw)
            for address, at in sorted(found.items())
        )
        return body + sha256(body)
    places = sorted({(at.offset, at.stored, at.size) for at in found.values()})
    number = {place: number for number, place in enumerate(places)}
    records = b"".join(
        INDEX_RECORD.pack(address, number[at.offset, at.stored, at.size], at.start, at.raw)
        for address, at in found.items()
    )
    return bytes(encode_index([INDEX_BLOCK.pack(*place) for place in places], records, pack_bytes))


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
                write_all(written.fd, _index_of(records, os.fstat(file.fileno()).st_size))
                os.fsync(written.fd)
                written.rename(index)
            finally:
                written.close()
            adopted += 1
    return adopted
