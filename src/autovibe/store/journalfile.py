"""The files of a journal: their bytes, and what counts (docs/formats/store.md, Journals)."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from autovibe.store.files import create_temporary, write_all
from autovibe.store.packfile import HASH_BYTES, RECORD, Location, sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from autovibe.store.files import TemporaryFile
    from autovibe.store.sealing import PackSeal

JOURNAL_BYTES: Final = 16 << 20
BLOCK: Final = 4096
FIRST: Final = 2 * BLOCK  # of the transactions; before them stand the head and the state
_MAGIC: Final = b"AVJRNL1\n"
_SALT_BYTES: Final = 16
_STATE: Final = struct.Struct("<Q8s")  # acknowledged up to here, and a word
_OPEN: Final = bytes(8)
_CLOSED: Final = b"closed\n\0"
_RETIRED: Final = b"retired\n"
_TRANSACTION: Final = b"AVTRAN1\n"
_HEAD: Final = struct.Struct("<8s16sQII")  # magic, salt, bytes of the body, objects, refs
_REF: Final = struct.Struct("<HI")  # lengths of name and value
_VOID: Final = struct.Struct("<HQ")  # length of the name, where the void part ends
_VOID_CHECK_BYTES: Final = 8


class Named(Protocol):
    """What transactions need to know of their journal."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def salt(self) -> bytes:
        """Random bytes that only this journal begins transactions with."""
        ...


class Fresh(NamedTuple):
    """An object that is not stored yet: its address and its bytes."""

    address: bytes
    data: bytes


class State(NamedTuple):
    """How much of a journal is durable for certain; whether it ends there; whether it is void."""

    acknowledged: int
    closed: bool
    retired: bool


class Transaction(NamedTuple):
    """What one transaction holds; `whole` says that its hash is right."""

    start: int
    end: int
    records: dict[bytes, Location]
    refs: dict[str, bytes]
    whole: bool


def create(tmp: Path, journal: str) -> tuple[TemporaryFile, bytes]:
    """Write an empty journal, durable but not shown yet; return it and its salt.

    It has its full length from the beginning, in written blocks, so that to sync a transaction
    waits for nothing but its data.
    """
    file = create_temporary(tmp, ".journal", journal)
    salt = os.urandom(_SALT_BYTES)
    try:
        write_all(file.fd, (_MAGIC + salt).ljust(BLOCK, b"\0"))
        write_all(file.fd, _STATE.pack(FIRST, _OPEN).ljust(BLOCK, b"\0"))
        zeros = bytes(1 << 20)
        for at in range(FIRST, JOURNAL_BYTES, len(zeros)):
            write_all(file.fd, zeros[: JOURNAL_BYTES - at])
        os.fsync(file.fd)
    except BaseException:
        file.close()
        raise
    return file, salt


def read_salt(fd: int) -> bytes | None:
    """Return the salt of a journal; None when its head is damaged."""
    data = os.pread(fd, len(_MAGIC) + _SALT_BYTES, 0)
    whole = len(data) == len(_MAGIC) + _SALT_BYTES and data.startswith(_MAGIC)
    return data[len(_MAGIC) :] if whole else None


def read_state(fd: int) -> State:
    """Return the state of a journal; one that makes no sense says nothing."""
    data = os.pread(fd, _STATE.size, BLOCK)
    if len(data) < _STATE.size:
        return State(FIRST, closed=False, retired=False)
    acknowledged, word = _STATE.unpack(data)
    return State(acknowledged, word == _CLOSED, word == _RETIRED)


def acknowledge(fd: int, end: int) -> None:
    """Tell other processes that everything before `end` is durable."""
    _write_at(fd, _STATE.pack(end, _OPEN), BLOCK)


def close(fd: int, end: int) -> None:
    """Say durably that nothing from `end` on counts."""
    _write_at(fd, _STATE.pack(end, _CLOSED), BLOCK)
    os.fdatasync(fd)


def retire(fd: int) -> None:
    """Say durably that nothing of a journal counts: all of it is elsewhere."""
    _write_at(fd, _STATE.pack(FIRST, _RETIRED), BLOCK)
    os.fdatasync(fd)


def _write_at(fd: int, data: bytes, at: int) -> None:
    os.lseek(fd, at, os.SEEK_SET)
    write_all(fd, data)


def length(objects: Sequence[Fresh], refs: Sequence[tuple[str, bytes]]) -> int:
    """Return the most that a transaction takes, whole blocks."""
    seal_bytes = 16
    size = _HEAD.size + HASH_BYTES
    size += sum(RECORD.size + len(data) + seal_bytes for _, data in objects)
    size += sum(_REF.size + len(name) + len(value) for name, value in refs)
    return -(-size // BLOCK) * BLOCK


def append(  # noqa: PLR0917 - what is written, where, and how
    fd: int,
    at: int,
    journal: Named,
    objects: Sequence[Fresh],
    refs: Sequence[tuple[str, bytes]],
    seal: PackSeal | None,
) -> Transaction:
    """Write a transaction at `at`; it is not durable yet."""
    records: dict[bytes, Location] = {}
    parts = [b""]  # the head, once it is known how much comes
    offset = at + _HEAD.size
    for address, plain in objects:
        offset += RECORD.size
        data = plain if seal is None else seal.seal(offset, address, plain)
        parts += (RECORD.pack(address, len(plain), len(data)), data)
        records[address] = Location(journal.name, offset, len(data), len(plain), True)  # noqa: FBT003 - a field
        offset += len(data)
    for name, value in refs:
        key = name.encode("ascii")
        parts += (_REF.pack(len(key), len(value)), key, value)
    size = sum(map(len, parts))
    parts[0] = _HEAD.pack(_TRANSACTION, journal.salt, size, len(objects), len(refs))
    data = b"".join(parts)
    size = len(data) + HASH_BYTES
    # Whole blocks: what is durable is never written again.
    whole = -(-size // BLOCK) * BLOCK
    _write_at(fd, b"".join((data, sha256(data), bytes(whole - size))), at)
    return Transaction(at, at + whole, records, dict(refs), whole=True)


def read_transactions(fd: int, journal: Named, start: int, stop: int) -> Iterator[Transaction]:
    """Yield the transactions in a part of a journal.

    After one that is damaged the next is looked for at each block: it may have been acknowledged.
    Nobody who does not know the salt can make the content of a file look like one.
    """
    at = start
    while at + _HEAD.size <= stop:
        found = _read_transaction(fd, journal, at, stop)
        if found is not None:
            yield found
        at = found.end if found is not None and found.whole else at + BLOCK


def _read_transaction(fd: int, journal: Named, at: int, stop: int) -> Transaction | None:
    head = os.pread(fd, _HEAD.size, at)
    if len(head) < _HEAD.size:
        return None
    magic, salted, size, objects, refs = _HEAD.unpack(head)
    end = at + _HEAD.size + size + HASH_BYTES
    if magic != _TRANSACTION or salted != journal.salt or end > stop:
        return None
    data = os.pread(fd, size + HASH_BYTES, at + _HEAD.size)
    body, check = data[:size], data[size:]
    whole = sha256(head + body) == check
    records: dict[bytes, Location] = {}
    named: dict[str, bytes] = {}
    try:
        place = 0
        for _ in range(objects):
            address, raw, stored = RECORD.unpack_from(body, place)
            place += RECORD.size
            if place + stored > size:
                break
            offset = at + _HEAD.size + place
            records[address] = Location(journal.name, offset, stored, raw, True)  # noqa: FBT003 - a field
            place += stored
        for _ in range(refs if whole else 0):
            name_bytes, value_bytes = _REF.unpack_from(body, place)
            place += _REF.size
            name = body[place : place + name_bytes].decode("ascii")
            place += name_bytes
            named[name] = body[place : place + value_bytes]
            place += value_bytes
    except struct.error:  # a damaged one: what was found is looked at before it is used
        whole = False
    return Transaction(at, -(-end // BLOCK) * BLOCK, records, named, whole)


def read_voids(data: bytes) -> tuple[dict[str, int], int]:
    """Return up to where each ref of a journal is void, and the bytes that make sense."""
    voids: dict[str, int] = {}
    at = 0
    while at + _VOID.size + _VOID_CHECK_BYTES <= len(data):
        size, end = _VOID.unpack_from(data, at)
        done = at + _VOID.size + size
        check = data[done : done + _VOID_CHECK_BYTES]
        if sha256(data[at:done])[:_VOID_CHECK_BYTES] != check:
            break
        voids[data[at + _VOID.size : done].decode("ascii")] = end
        at = done + _VOID_CHECK_BYTES
    return voids, at


def encode_void(name: str, end: int) -> bytes:
    """Write that a ref is void in all transactions before `end`."""
    data = _VOID.pack(len(name), end) + name.encode("ascii")
    return data + sha256(data)[:_VOID_CHECK_BYTES]
