"""Writing a pack: objects are appended, compressed elsewhere, and become visible all at once."""

from __future__ import annotations

import contextlib
import os
import uuid
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from autovibe.kernel import faults
from autovibe.store.errors import StoreFullError
from autovibe.store.files import create_temporary, store_writes, write_all
from autovibe.store.journalfile import Fresh
from autovibe.store.packfile import (
    BLOCK,
    INDEX_BLOCK,
    PACK_MAGIC,
    block_context,
    encode_index,
    encode_objects,
    index_records,
)
from autovibe.store.squeeze import Squeezer

if TYPE_CHECKING:
    from autovibe.store.files import TemporaryFile
    from autovibe.store.packs import Objects
    from autovibe.store.squeeze import Block

_BUFFER_BYTES: Final = 1 << 20


class Committed(NamedTuple):
    """The ids of new objects in the order they were added, their bytes, whether a ref came too."""

    new_objects: tuple[bytes, ...]
    stored_bytes: int
    named: bool


class PackWriter:
    """One new pack: objects are appended, then made durable and visible at once by `commit`.

    Where this process has a journal, and they are few, they go into the journal instead.

    Not thread-safe: one snapshot has one writer. Use as a context manager, so that a failure leaves
    nothing in `tmp/`.
    """

    def __init__(self, objects: Objects) -> None:
        """Write into the store of `objects`."""
        self.length = 0
        self._objects = objects
        self._id = uuid.uuid4().hex
        self._seal = None if objects.seal is None else objects.seal.pack(self._id)
        self._blocks: list[bytes] = []  # as in the index, and so are the records
        self._records = bytearray()
        self._addresses: set[bytes] = set()
        self._added: list[bytes] = []
        self._waiting: dict[bytes, bytes] = {}  # for the journal, by address
        self._waiting_bytes = 0
        self._file: TemporaryFile | None = None
        self._index: TemporaryFile | None = None
        self._buffer = bytearray()
        self._squeezer = Squeezer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._squeezer.close()
        for file in (self._file, self._index):
            if file is not None:
                file.close()

    def put(self, digest: bytes, data: bytes, *, again: bool = False) -> None:
        """Add an object unless the store has it.

        Args:
            digest: its id.
            data: its bytes.
            again: add it even so, because what the store has is damaged.

        Raises:
            StoreFullError: no space is left.
            StoreReadOnlyError: the store cannot be written.
        """
        objects = self._objects
        address = digest if self._seal is None else objects.address(digest)
        if address in self._addresses or address in self._waiting:
            return
        if not again and objects.has_at(address):
            return
        if self._file is None and objects.journals.fits(self._waiting_bytes + len(data)):
            self._waiting[address] = data
            self._waiting_bytes += len(data)
        else:
            if self._waiting:
                self._append_waiting()
            self._append(address, data)
        self._added.append(digest)
        faults.reach("pack_appended")

    def _append_waiting(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, {}, 0
        for address, data in waiting.items():
            self._append(address, data)

    def copy(self, address: bytes, data: bytes) -> None:
        """Add an object of the store again, by its address."""
        if address not in self._addresses and address not in self._waiting:
            self._append(address, data)

    def _append(self, address: bytes, data: bytes) -> None:
        if self._file is None:
            with store_writes(self._objects.path):
                self._file = create_temporary(self._objects.tmp, ".pack", self._id)
            self._buffer += PACK_MAGIC
            self.length = len(PACK_MAGIC)
            faults.reach("pack_created")
        self._addresses.add(address)
        done = self._squeezer.put(address, data)
        if done:
            self._write(self._file, done)

    def _write(self, file: TemporaryFile, blocks: list[Block]) -> None:
        for block in blocks:
            addresses, lengths, size = block.addresses, block.lengths, block.size
            table = encode_objects(addresses, lengths)
            at = self.length + BLOCK.size + len(table)
            frame = block.frame
            if self._seal is not None:
                frame = self._seal.seal(at, block_context(size), frame)
            self._records += index_records(len(self._blocks), addresses, lengths)
            self._blocks.append(INDEX_BLOCK.pack(at, len(frame), size))
            self._buffer += BLOCK.pack(len(frame), size, len(addresses))
            self._buffer += table
            self._buffer += frame
            self.length = at + len(frame)
        if len(self._buffer) >= _BUFFER_BYTES:
            self._flush(file)

    def _flush(self, file: TemporaryFile) -> None:
        with store_writes(self._objects.path):
            write_all(file.fd, self._buffer)
        self._buffer.clear()

    def commit(self, ref: tuple[str, bytes] | None = None) -> Committed:
        """Make the objects durable, then visible.

        Args:
            ref: name and value of a ref that is to come with them, if they go into the journal.

        Raises:
            StoreFullError: no space is left.
            StoreReadOnlyError: the store cannot be written.
        """
        added, journals = tuple(self._added), self._objects.journals
        if self._file is None and journals.enabled and (self._waiting or ref is not None):
            self._objects.sync_packs(force=False)
            fresh = [Fresh(address, data) for address, data in self._waiting.items()]
            # Without room for another journal there may be some for a pack.
            with contextlib.suppress(StoreFullError):
                journal, records = journals.commit(fresh, () if ref is None else (ref,))
                self._objects.publish(journal, records)
                return Committed(added, self._waiting_bytes, named=ref is not None)
            self._append_waiting()
        size = self.finish()
        self.show()
        return Committed(added, size, named=False)

    def finish(self) -> int:
        """Make the pack durable, yet invisible; return the bytes that it takes.

        Raises:
            StoreFullError: no space is left.
            StoreReadOnlyError: the store cannot be written.
        """
        file = self._file
        if file is None:
            return 0
        self._write(file, self._squeezer.finish())
        self._flush(file)
        index = encode_index(self._blocks, self._records, self.length)
        self._records = bytearray()  # of a large tree they take many megabytes
        with store_writes(self._objects.path):
            os.fsync(file.fd)
            faults.reach("pack_synced")
            self._index = create_temporary(self._objects.tmp, ".idx", self._id)
            write_all(self._index.fd, index)
            os.fsync(self._index.fd)
            faults.reach("index_synced")
        return self.length + len(index)

    def show(self) -> None:
        """Make a finished pack visible.

        Raises:
            StoreFullError: no space is left.
            StoreReadOnlyError: the store cannot be written.
        """
        with store_writes(self._objects.path):
            if self._file is None or self._index is None:
                self._objects.sync_packs(force=False)
                return
            self._file.rename(self._objects.packs / f"{self._id}.pack")
            faults.reach("pack_renamed")
            self._index.rename(self._objects.packs / f"{self._id}.idx")
            faults.reach("index_renamed")
            self._objects.sync_packs(force=True)
            faults.reach("packs_synced")
            self._index.close()
        self._objects.expect(self._id, self._addresses)
        self._addresses = set()
