"""The directory of a store: making it, reading and raising its format."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Final, NamedTuple

from autovibe.store.errors import (
    NotAStoreError,
    StoreKeyError,
    StoreNewerFormatError,
    StoreNotFoundError,
)
from autovibe.store.files import create_temporary, store_writes, sweep, sync_dir, write_all
from autovibe.store.guard import new_epoch
from autovibe.store.packfile import adopt
from autovibe.store.sealing import CIPHER, Seal

if TYPE_CHECKING:
    from pathlib import Path

FORMAT: Final = 3
_NAME: Final = "autovibe-store"
_PARTS: Final = ("tmp", "packs", "refs", "pins", "journals", "resident")
_FILES: Final = ("lock", "maintenance", "recovery", "epoch")
_PLAIN_WORDS: Final = 3
_SEALED_WORDS: Final = 5


class Opened(NamedTuple):
    """What the format file says: the id, and the cipher when the store is encrypted."""

    store_id: str
    seal: Seal | None
    writable: bool


def open_directory(path: Path, key: bytes | None, *, create: bool) -> Opened:
    """Open or create a store, raise an older format, and remove what dead writers left.

    Raises:
        StoreNotFoundError: there is none and `create` is False.
        NotAStoreError: the directory holds something else.
        StoreNewerFormatError: written by a newer version.
        StoreKeyError: the key is missing, wrong or one too many.
        StoreFullError: no space is left to create it.
        StoreReadOnlyError: it may not be created here.
    """
    with store_writes(path):
        if not (path / "format").exists():
            if not create:
                msg = (
                    f"There is no checkpoint store at {path}: check the path, or make one by "
                    "`autovibe store init`."
                )
                raise StoreNotFoundError(msg, path=str(path))
            _create(path, key)
        words = _read_format(path)
        writable = os.access(path / "tmp", os.W_OK) and os.access(path / "packs", os.W_OK)
        opened = Opened(words[2], _seal(path, words, key), writable)
        if writable:
            sweep(path / "tmp")
            if int(words[1]) < FORMAT:
                _raise_format(path, words)
            adopt(path / "packs", path / "tmp")
    return opened


def _create(path: Path, key: bytes | None) -> None:
    """Create a store; of two creators at once one wins and the other finds it."""
    if path.exists() and not path.is_dir():
        msg = f"{path} is no directory: choose another path for the checkpoint store."
        raise NotAStoreError(msg, path=str(path))
    with store_writes(path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        others = sorted({child.name for child in path.iterdir()} - {*_PARTS, *_FILES, "format"})
        if others:
            msg = (
                f"{path} is no checkpoint store, it holds {others[0]!r}: choose another directory."
            )
            raise NotAStoreError(msg, path=str(path))
        _make_parts(path)
        store_id = uuid.uuid4().hex
        file = create_temporary(path / "tmp", ".format")
        try:
            write_all(file.fd, _format_line(store_id, key))
            os.fsync(file.fd)
            try:
                os.link(file.path, path / "format")
            except FileExistsError:
                return
            sync_dir(path)
            sync_dir(path.parent)
        finally:
            file.close()


def _make_parts(path: Path) -> None:
    """Make all directories, and the files that must be there when no space is left for them."""
    for part in _PARTS:
        (path / part).mkdir(mode=0o700, exist_ok=True)
    for name in _FILES:
        try:
            fd = os.open(path / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        try:
            if name == "epoch":
                write_all(fd, new_epoch())
                os.fsync(fd)
        finally:
            os.close(fd)


def _format_line(store_id: str, key: bytes | None) -> bytes:
    words = [_NAME, str(FORMAT), store_id]
    if key is not None:
        words += [CIPHER, Seal(key, store_id).check]
    return f"{' '.join(words)}\n".encode("ascii")


def _raise_format(path: Path, words: list[str]) -> None:
    """Write the present format: from now on an older program refuses the store."""
    _make_parts(path)
    file = create_temporary(path / "tmp", ".format")
    try:
        line = " ".join([_NAME, str(FORMAT), *words[2:]])
        write_all(file.fd, f"{line}\n".encode("ascii"))
        os.fsync(file.fd)
        file.rename(path / "format")
        sync_dir(path)
    finally:
        file.close()


def _read_format(path: Path) -> list[str]:
    words = (path / "format").read_text("ascii", "replace").split()
    if len(words) < 2 or words[0] != _NAME or not words[1].isdecimal():
        msg = f"{path}/format is not that of a checkpoint store: choose another directory."
        raise NotAStoreError(msg, path=str(path))
    if int(words[1]) > FORMAT:
        msg = (
            f"The checkpoint store {path} has format {words[1]}, this autovibe knows {FORMAT}: "
            "use the version that wrote it."
        )
        raise StoreNewerFormatError(msg, path=str(path), format=int(words[1]), known=FORMAT)
    if len(words) not in {_PLAIN_WORDS, _SEALED_WORDS}:
        msg = f"{path}/format is damaged: write back '{_NAME} {FORMAT} ID' with any ID."
        raise NotAStoreError(msg, path=str(path))
    return words


def _seal(path: Path, words: list[str], key: bytes | None) -> Seal | None:
    if len(words) == _PLAIN_WORDS:
        if key is not None:
            msg = f"The checkpoint store {path} is not encrypted: open it without a key."
            raise StoreKeyError(msg, path=str(path))
        return None
    store_id, cipher, check = words[2:]
    if cipher != CIPHER:
        msg = f"The checkpoint store {path} uses the cipher {cipher!r}, which is not known here."
        raise StoreNewerFormatError(msg, path=str(path), cipher=cipher)
    if key is None:
        msg = f"The checkpoint store {path} is encrypted: give its key."
        raise StoreKeyError(msg, path=str(path))
    seal = Seal(key, store_id)
    if not seal.matches(check):
        msg = f"This is not the key of the checkpoint store {path}: give the one it was made with."
        raise StoreKeyError(msg, path=str(path))
    return seal
