"""Packs: where objects lie, how they are added, how they are read back."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING, Final

import zstandard

from autovibe.store.errors import ObjectCorruptError, ObjectMissingError
from autovibe.store.files import sync_dir
from autovibe.store.journals import SUFFIX, Journals
from autovibe.store.packfile import (
    Location,
    block_context,
    decode_index,
    sha256,
    walk_pack,
)
from autovibe.store.packwriter import PackWriter
from autovibe.store.recent import RecentBlocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from autovibe.store.sealing import PackSeal, Seal

_FAILING_DISK: Final = frozenset({errno.EIO, errno.EBADMSG, errno.EUCLEAN})


class Objects:
    """All objects of a store, from the packs of every process.

    Thread-safe. Knows the packs it has seen; looks again when an object or a pack is missing.
    Callers name objects by the hash of their bytes; the address is what stands on disk.
    """

    def __init__(self, path: Path, seal: Seal | None = None) -> None:
        """Take the store at `path`; nothing is read before the first look-up."""
        self.path = path
        self.packs = path / "packs"
        self.tmp = path / "tmp"
        self.seal = seal
        self.journals = Journals(path, seal)
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._local = threading.local()
        self._where: dict[bytes, Location] = {}
        self._copies: dict[bytes, list[Location]] = {}
        self._seen: set[str] = set()
        self._damaged: set[str] = set()
        self._pack_seals: dict[str, PackSeal] = {}
        self._rotten: set[bytes] = set()  # found damaged: a snapshot that has them stores them anew
        self._unsynced = False
        self._expected: set[str] = set()

    def address(self, digest: bytes) -> bytes:
        """Return the id under which an object lies on disk."""
        return digest if self.seal is None else self.seal.address(digest)

    def scan(self) -> None:
        """Read what appeared since the last scan in packs and journals; forget those removed."""
        with self._lock:
            # First the journals: what is folded meanwhile is in a pack that is listed then.
            self.journals.refresh()
            for journal, records in self.journals.take_new().items():
                self._seen.add(journal)
                self._add(records)
            journals = self.journals.names()
            found = {
                name[:-4]
                for name in os.listdir(self.packs)  # noqa: PTH208 - thousands of names, no Paths
                if name.endswith(".idx")
            }
            gone = self._seen - found - journals
            if gone:
                self._forget(gone)
            for pack in found - self._seen:
                self._load(pack)

    def _load(self, pack: str) -> None:
        try:
            data = (self.packs / f"{pack}.idx").read_bytes()
        except FileNotFoundError:  # pruned since it was listed
            return
        self._seen.add(pack)
        if pack in self._expected:  # its name is durable
            self._expected.discard(pack)
        else:
            self._unsynced = True
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
        self._add(records)

    def _add(self, records: dict[bytes, Location]) -> None:
        for address, at in records.items():
            if self._where.setdefault(address, at) is not at:
                self._copies.setdefault(address, []).append(at)

    def _forget(self, packs: set[str]) -> None:
        self._seen -= packs
        self._damaged -= packs
        copies = {
            address: kept
            for address, places in self._copies.items()
            if (kept := [at for at in places if at.pack not in packs])
        }
        where: dict[bytes, Location] = {}
        for address, at in self._where.items():
            if at.pack not in packs:
                where[address] = at
            elif places := copies.get(address):
                where[address] = places.pop(0)
        self._copies = {address: places for address, places in copies.items() if places}
        self._where = where
        for pack in packs:
            self._pack_seals.pop(pack, None)

    def has(self, digest: bytes) -> bool:
        """Say whether an object is in a pack that was seen, and was not found damaged there."""
        return self.has_at(self.address(digest))

    def has_at(self, address: bytes) -> bool:
        """Say so of the object with an address."""
        return address in self._where and address not in self._rotten

    def locate(self, digest: bytes) -> Location | None:
        """Find an object, scanning for new packs when it is not known."""
        address = self.address(digest)
        at = self._where.get(address)
        if at is None:
            self.scan()
            at = self._where.get(address)
        return at

    def places(self, address: bytes) -> list[Location]:
        """Return where the copies of an object are known to lie."""
        with self._lock:
            first = self._where.get(address)
            return [] if first is None else [first, *self._copies.get(address, ())]

    def get(self, digest: bytes, *, from_disk: bool = False) -> bytes:
        """Read an object and check its hash; of several copies any that is whole will do.

        Args:
            digest: the id.
            from_disk: drop the cached pages first, so that the disk itself is read.

        Raises:
            ObjectMissingError: no pack has it.
            ObjectCorruptError: the bytes are not those of the id.
        """
        address = self.address(digest)
        bad: Location | None = None
        for again in (False, True):
            if again:  # packs may have been merged or repaired by another process
                self.scan()
            for at in self.places(address):
                there, data = self._object(at, address, from_disk=from_disk)
                if data is not None and sha256(data) == digest:
                    self._rotten.discard(address)
                    return data
                bad = at if there else bad
        if bad is None:
            msg = f"Object {digest.hex()} is not in the checkpoint store {self.path}: verify it."
            raise ObjectMissingError(msg, object=digest.hex(), store=str(self.path))
        self._rotten.add(address)
        msg = (
            f"Object {digest.hex()} in pack {bad.pack} of {self.path} is damaged: "
            "check the store and repair it from a copy."
        )
        raise ObjectCorruptError(msg, object=digest.hex(), pack=bad.pack, store=str(self.path))

    def fetch(self, address: bytes, at: Location) -> bytes | None:
        """Read the copy of an object at one place from the disk; None when it is not whole."""
        _, data = self._object(at, address, from_disk=True)
        return data if data is not None and self.address(sha256(data)) == address else None

    def _object(
        self, at: Location, address: bytes, *, from_disk: bool
    ) -> tuple[bool, bytes | None]:
        """Read what lies at a place: whether its pack is there, and the bytes unless damaged."""
        if at.alone:
            frame = self._read(at, from_disk=from_disk)
            return frame is not None, self._content(at, address, frame or b"", at.raw)
        recent: RecentBlocks | None = getattr(self._local, "recent", None)
        if recent is None:
            recent = self._local.recent = RecentBlocks()
        block = recent.find(at, address, from_disk=from_disk)
        if block is None:
            frame = self._read(at, from_disk=from_disk)
            if frame is None:
                return False, None
            block = self._content(at, block_context(at.size), frame, at.size)
            if block is None:
                return True, None
            if at.raw != at.size:
                recent.keep(at, address, block, from_disk=from_disk)
        return True, block[at.start : at.start + at.raw]

    def _read(self, at: Location, *, from_disk: bool) -> bytes | None:
        """Read a frame: None when its pack is gone, nothing when the disk fails."""
        try:
            fd = os.open(self._file(at), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            if from_disk:
                os.posix_fadvise(fd, at.offset, at.stored, os.POSIX_FADV_DONTNEED)
            return os.pread(fd, at.stored, at.offset)
        except OSError as error:
            if error.errno not in _FAILING_DISK:
                raise
            return b""
        finally:
            os.close(fd)

    def _file(self, at: Location) -> str:
        if at.plain:
            return f"{self.journals.path}/{at.pack}{SUFFIX}"
        return f"{self.packs}/{at.pack}.pack"

    def _content(self, at: Location, context: bytes, frame: bytes, size: int) -> bytes | None:
        """Open and decompress a frame; None when it is damaged."""
        if self.seal is not None:
            opened = self._pack_seal(at.pack).open(at.offset, context, frame)
            if opened is None:
                return None
            frame = opened
        if at.plain:
            return frame
        decompressor: zstandard.ZstdDecompressor | None = getattr(self._local, "zstd", None)
        if decompressor is None:
            decompressor = self._local.zstd = zstandard.ZstdDecompressor()
        try:
            # The frame may be damaged: its own idea of the size must not decide on memory.
            if zstandard.frame_content_size(frame) != size:
                return None
            return decompressor.decompress(frame, max_output_size=size)
        except zstandard.ZstdError:
            return None

    def _pack_seal(self, pack: str) -> PackSeal:
        assert self.seal is not None
        found = self._pack_seals.get(pack)
        if found is None:
            found = self._pack_seals[pack] = self.seal.pack(pack)
        return found

    def writer(self) -> PackWriter:
        """Begin a new pack; nothing is created before the first new object."""
        return PackWriter(self)

    def publish(self, journal: str, records: dict[bytes, Location]) -> None:
        """Make the objects known that this process has just written to its journal."""
        with self._lock:
            self._seen.add(journal)
            self._add(records)
            self._rotten -= records.keys()

    def expect(self, pack: str, addresses: set[bytes]) -> None:
        """Take note of a durable pack of ours; the next scan reads its index like any other."""
        with self._lock:
            self._expected.add(pack)
            self._rotten -= addresses

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
            return tuple(sorted(self._damaged | self.journals.damaged()))

    def known_packs(self) -> dict[str, dict[bytes, Location]]:
        """Return the objects by pack, each copy in its own, packs without objects too."""
        with self._lock:
            packs: dict[str, dict[bytes, Location]] = {pack: {} for pack in self._seen}
            for address, at in self._where.items():
                packs[at.pack][address] = at
            for address, places in self._copies.items():
                for at in places:
                    packs[at.pack][address] = at
        return packs

    def locations(self) -> Iterator[Location]:
        """Yield where each known object lies."""
        with self._lock:
            known = list(self._where.values())
        yield from known
