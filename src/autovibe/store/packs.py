"""Packs: where objects lie, how they are added, how they are read back."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import threading
import uuid
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import zstandard

from autovibe.kernel import faults
from autovibe.store.errors import ObjectCorruptError, ObjectMissingError
from autovibe.store.files import create_temporary, store_writes, sync_dir, write_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from autovibe.store.files import TemporaryFile

PACK_MAGIC: Final = b"AVPACK1\n"
INDEX_MAGIC: Final = b"AVINDX1\n"
RECORD: Final = struct.Struct("<32sQQ")  # id, uncompressed length, stored length
INDEX_HEAD: Final = struct.Struct("<8sQQ")  # magic, number of records, length of the pack
INDEX_RECORD: Final = struct.Struct("<32sQQQ")  # id, offset, stored length, uncompressed length
HASH_BYTES: Final = 32
_LEVEL: Final = 1
_BUFFER_BYTES: Final = 1 << 20


class Location(NamedTuple):
    """Where the frame of an object lies."""

    pack: str
    offset: int
    stored: int
    raw: int


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


class Objects:
    """All objects of a store, from the packs of every process.

    Thread-safe. Knows the packs it has seen; looks for new ones when an object is missing.
    """

    def __init__(self, path: Path) -> None:
        """Take the store at `path`; nothing is read before the first look-up."""
        self.path = path
        self.packs = path / "packs"
        self.tmp = path / "tmp"
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._local = threading.local()
        self._where: dict[bytes, Location] = {}
        self._seen: set[str] = set()
        self._damaged: set[str] = set()
        self._unsynced = False

    def scan(self) -> None:
        """Read the indexes of packs that appeared since the last scan."""
        with self._lock:
            for name in os.listdir(self.packs):  # noqa: PTH208 - thousands of names, no Paths
                pack, dot, suffix = name.rpartition(".")
                if dot and suffix == "idx" and pack not in self._seen:
                    self._load(pack)

    def _load(self, pack: str) -> None:
        self._seen.add(pack)
        self._unsynced = True
        data = (self.packs / f"{pack}.idx").read_bytes()
        body = self.packs / f"{pack}.pack"
        try:
            length = body.stat().st_size
        except FileNotFoundError:
            self._damaged.add(pack)
            return
        records = decode_index(pack, data, length)
        if records is None:
            self._damaged.add(pack)
            records = walk_pack(pack, body)
        for digest, at in records.items():
            self._where.setdefault(digest, at)

    def has(self, digest: bytes) -> bool:
        """Say whether an object is in a pack that was seen."""
        return digest in self._where

    def locate(self, digest: bytes) -> Location | None:
        """Find an object, scanning for new packs when it is not known."""
        at = self._where.get(digest)
        if at is None:
            self.scan()
            at = self._where.get(digest)
        return at

    def get(self, digest: bytes, *, from_disk: bool = False) -> bytes:
        """Read an object and check its hash.

        Args:
            digest: the id.
            from_disk: drop the cached pages first, so that the disk itself is read.

        Raises:
            ObjectMissingError: no pack has it.
            ObjectCorruptError: the bytes are not those of the id.
        """
        at = self.locate(digest)
        if at is None:
            msg = f"Object {digest.hex()} is not in the checkpoint store {self.path}: verify it."
            raise ObjectMissingError(msg, object=digest.hex(), store=str(self.path))
        try:
            frame = self._read(at, from_disk=from_disk)
        except FileNotFoundError:
            msg = f"Pack {at.pack} of the checkpoint store {self.path} is gone: verify the store."
            raise ObjectMissingError(msg, object=digest.hex(), store=str(self.path)) from None
        data = self._decompress(frame, at.raw)
        if data is None or sha256(data) != digest:
            msg = (
                f"Object {digest.hex()} in pack {at.pack} of {self.path} is damaged: "
                "verify the store and restore it from a copy."
            )
            raise ObjectCorruptError(msg, object=digest.hex(), pack=at.pack, store=str(self.path))
        return data

    def _read(self, at: Location, *, from_disk: bool) -> bytes:
        fd = os.open(self.packs / f"{at.pack}.pack", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if from_disk:
                os.posix_fadvise(fd, at.offset, at.stored, os.POSIX_FADV_DONTNEED)
            return os.pread(fd, at.stored, at.offset)
        finally:
            os.close(fd)

    def _decompress(self, frame: bytes, raw: int) -> bytes | None:
        decompressor: zstandard.ZstdDecompressor | None = getattr(self._local, "zstd", None)
        if decompressor is None:
            decompressor = self._local.zstd = zstandard.ZstdDecompressor()
        try:
            # The frame may be damaged: its own idea of the size must not decide on memory.
            if zstandard.frame_content_size(frame) != raw:
                return None
            return decompressor.decompress(frame, max_output_size=raw)
        except zstandard.ZstdError:
            return None

    def writer(self) -> PackWriter:
        """Begin a new pack; nothing is created before the first new object."""
        return PackWriter(self)

    def publish(self, pack: str, records: dict[bytes, Location]) -> None:
        """Make the objects of a pack known that this process has just written."""
        with self._lock:
            self._seen.add(pack)
            for digest, at in records.items():
                self._where.setdefault(digest, at)

    def sync_packs(self, *, force: bool) -> None:
        """Make the names of all packs durable that a snapshot may rely on, others' too."""
        # Whoever comes second waits: it may rely on what the first is about to sync.
        with self._sync_lock:
            with self._lock:
                needed, self._unsynced = self._unsynced or force, False
            if needed:
                try:
                    sync_dir(self.packs)
                except BaseException:
                    self._unsynced = True
                    raise

    def damaged(self) -> tuple[str, ...]:
        """Return the packs whose index was unusable."""
        with self._lock:
            return tuple(sorted(self._damaged))

    def locations(self) -> Iterator[Location]:
        """Yield where each known object lies."""
        with self._lock:
            known = list(self._where.values())
        yield from known


class PackWriter:
    """One new pack: objects are appended, then made durable and visible at once by `commit`.

    Not thread-safe: one snapshot has one writer. Use as a context manager, so that a failure leaves
    nothing in `tmp/`.
    """

    def __init__(self, objects: Objects) -> None:
        """Write into the store of `objects`."""
        self._objects = objects
        self._id = uuid.uuid4().hex
        self._records: dict[bytes, Location] = {}
        self._file: TemporaryFile | None = None
        self._buffer = bytearray()
        self._length = 0
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def put(self, digest: bytes, data: bytes) -> None:
        """Add an object unless the store has it.

        Raises:
            StoreFullError: no space is left.
            StoreReadOnlyError: the store cannot be written.
        """
        if digest in self._records or self._objects.has(digest):
            return
        frame = self._compressor.compress(data)
        if self._file is None:
            with store_writes(self._objects.path):
                self._file = create_temporary(self._objects.tmp, ".pack", self._id)
            self._buffer += PACK_MAGIC
            faults.reach("pack_created")
        at = self._length + len(self._buffer) + RECORD.size
        self._records[digest] = Location(self._id, at, len(frame), len(data))
        self._buffer += RECORD.pack(digest, len(data), len(frame))
        self._buffer += frame
        if len(self._buffer) >= _BUFFER_BYTES:
            self._flush(self._file)
        faults.reach("pack_appended")

    def _flush(self, file: TemporaryFile) -> None:
        with store_writes(self._objects.path):
            write_all(file.fd, self._buffer)
        self._length += len(self._buffer)
        self._buffer.clear()

    def commit(self) -> tuple[tuple[bytes, ...], int]:
        """Make the pack durable, then visible.

        Returns:
            The ids of the new objects, in the order they were added, and the bytes they take.

        Raises:
            StoreFullError: no space is left.
            StoreReadOnlyError: the store cannot be written.
        """
        file = self._file
        if file is None:
            with store_writes(self._objects.path):
                self._objects.sync_packs(force=False)
            return (), 0
        self._flush(file)
        index = encode_index(self._records, self._length)
        with store_writes(self._objects.path):
            os.fsync(file.fd)
            faults.reach("pack_synced")
            index_file = create_temporary(self._objects.tmp, ".idx", self._id)
            try:
                write_all(index_file.fd, index)
                os.fsync(index_file.fd)
                faults.reach("index_synced")
                file.rename(self._objects.packs / f"{self._id}.pack")
                faults.reach("pack_renamed")
                index_file.rename(self._objects.packs / f"{self._id}.idx")
                faults.reach("index_renamed")
                self._objects.sync_packs(force=True)
                faults.reach("packs_synced")
            finally:
                index_file.close()
        self._objects.publish(self._id, self._records)
        return tuple(self._records), self._length + len(index)
