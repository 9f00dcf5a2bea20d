"""Pins: what keeps a snapshot that has no ref (yet, or any more) from being pruned.

One file a process, appended to without syncing: a power failure ends the process that would have
written the ref, too (docs/formats/store.md, Pins).
"""

from __future__ import annotations

import os
import struct
import threading
import uuid
from typing import TYPE_CHECKING, Final, NamedTuple

from autovibe.store.files import store_writes, write_all
from autovibe.store.packfile import HASH_BYTES, sha256

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from autovibe.store.sealing import Seal

TAKEN: Final = ord("s")
DELETED: Final = ord("d")
_HEAD: Final = struct.Struct("<BQ16s")  # kind, at, epoch
_BODY_BYTES: Final = 60  # root and a part of a hash, or sealed: nonce, root, tag
_RECORD_BYTES: Final = _HEAD.size + _BODY_BYTES
_CHECK_BYTES: Final = _BODY_BYTES - HASH_BYTES
_SUFFIX: Final = ".pins"
_FULL_BYTES: Final = 1 << 16


class Pin(NamedTuple):
    """One pin: a snapshot was taken, or its ref deleted, at this time in this epoch."""

    kind: int
    at_ns: int
    epoch: bytes
    root: bytes


def epoch_bytes(epoch: str) -> bytes:
    """Return the short form of an epoch that a pin holds."""
    return sha256(epoch.encode("ascii", "replace"))[:16]


class Pins:
    """The pins of one store; this process appends to a file of its own. Thread-safe."""

    def __init__(self, path: Path, seal: Seal | None) -> None:
        """Take the store at `path`."""
        self._path = path
        self._pins = path / "pins"
        self._seal = seal
        self._fd = -1
        self._lock = threading.Lock()

    def add(self, pin: Pin) -> None:
        """Append a pin; the caller holds the shared lock of the store.

        Raises:
            StoreFullError: no space is left.
            StoreReadOnlyError: the store cannot be written.
        """
        data = self._encode(pin)
        with self._lock, store_writes(self._path):
            # A prune may have removed the file, once all its pins were too old.
            if self._fd >= 0:
                st = os.fstat(self._fd)
                if not st.st_nlink or st.st_size >= _FULL_BYTES:
                    self.close()
            if self._fd < 0:
                self._pins.mkdir(mode=0o700, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
                self._fd = os.open(self._pins / f"{uuid.uuid4().hex}{_SUFFIX}", flags, 0o600)
            write_all(self._fd, data)

    def close(self) -> None:
        """Close the file; the next pin begins another."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        try:
            self.close()
        except TypeError:  # the interpreter is ending, and its modules are gone
            return

    def _encode(self, pin: Pin) -> bytes:
        head = _HEAD.pack(pin.kind, pin.at_ns, pin.epoch)
        if self._seal is None:
            return head + pin.root + sha256(head + pin.root)[:_CHECK_BYTES]
        return head + self._seal.seal(pin.root, head)

    def _decode(self, data: bytes) -> Pin | None:
        head, body = data[: _HEAD.size], data[_HEAD.size :]
        kind, at_ns, epoch = _HEAD.unpack(head)
        if self._seal is not None:
            root = self._seal.open(body, head)
            return None if root is None else Pin(kind, at_ns, epoch, root)
        root, check = body[:HASH_BYTES], body[HASH_BYTES:]
        whole = sha256(head + root)[:_CHECK_BYTES] == check
        return Pin(kind, at_ns, epoch, root) if whole else None

    def files(self) -> Iterator[tuple[Path, list[Pin]]]:
        """Yield each file with its pins; one that was cut short by a crash counts for nothing."""
        if not self._pins.is_dir():
            return
        for path in sorted(self._pins.glob(f"*{_SUFFIX}")):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            # A write that was cut short shifts what follows it: every byte is a possible begin.
            found: list[Pin] = []
            at = 0
            while at + _RECORD_BYTES <= len(data):
                pin = self._decode(data[at : at + _RECORD_BYTES])
                at += 1 if pin is None else _RECORD_BYTES
                if pin is not None:
                    found.append(pin)
            yield path, found
