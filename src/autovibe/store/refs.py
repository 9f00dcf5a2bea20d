"""Refs: durable names of snapshots."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from autovibe.kernel import faults
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.store.errors import ObjectCorruptError, ObjectMissingError, StoreFullError
from autovibe.store.files import create_temporary, store_writes, sync_dir, write_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from autovibe.store.journals import Journals
    from autovibe.store.sealing import Seal

_PART: Final = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}"
_NAME: Final = re.compile(rf"{_PART}(?:/{_PART})+")
_ROOT: Final = re.compile(r"[0-9a-f]{64}")
_SEALED: Final = "sealed "
_NOTE_LIMIT: Final = 4_000


def parse_root(root: str) -> bytes:
    """Return the id that a caller gave as 64 hexadecimal digits.

    Raises:
        ObjectMissingError: it is no id, so nothing in the store has it.
    """
    if not _ROOT.fullmatch(root):
        msg = f"{root!r} is not the root of a snapshot: give its 64 hexadecimal digits."
        raise ObjectMissingError(msg, object=root)
    return bytes.fromhex(root)


@dataclass(frozen=True, slots=True)
class Ref:
    """What a ref says: the snapshot, those it was made from, when it was written, and a note.

    `at_ns` counts nanoseconds since 1970; of a ref of format 1 it is the time of the file.
    """

    name: str
    root: str
    parents: tuple[str, ...] = ()
    at_ns: int = 0
    note: str = ""


class NewRef(NamedTuple):
    """The name to be given to a snapshot that is about to be taken (see `Store.write_ref`)."""

    name: str
    parents: tuple[str, ...] = ()
    note: str = ""


def _encode(ref: Ref) -> bytes:
    """Write a ref: the root, then what is known besides, a line each."""
    lines = [ref.root]
    lines += [f"parent {parent}" for parent in ref.parents]
    if ref.at_ns:
        lines.append(f"at {ref.at_ns}")
    if ref.note:
        lines.append(f"note {json.dumps(ref.note)}")
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def _decode(name: str, text: str, at_ns: int) -> Ref | None:
    """Read a ref; None when it is damaged."""
    if not text.endswith("\n"):
        text += "\n"  # format 1 did not look at it either
    root, *lines = text[:-1].split("\n")
    parents: list[str] = []
    note: object = ""
    if not _ROOT.fullmatch(root):
        return None
    for line in lines:
        word, _, value = line.partition(" ")
        if word == "parent" and _ROOT.fullmatch(value):
            parents.append(value)
        elif word == "at" and value.isascii() and value.isdecimal():
            at_ns = int(value)
        elif word == "note":
            try:
                note = json.loads(value)
            except ValueError:
                return None
        else:
            return None
    return Ref(name, root, tuple(parents), at_ns, cast("str", note))


class Refs:
    """The refs of a store.

    Each is one small file that is replaced as a whole, or stands in a journal. The journal comes
    first, in all respects: when it is folded, the file is there before the journal goes.
    """

    def __init__(self, path: Path, journals: Journals, seal: Seal | None = None) -> None:
        """Take the store at `path`."""
        self._journals = journals
        self._path = path
        self._refs = path / "refs"
        self._seal = seal

    def _file(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            msg = f"{name!r} is not the name of a ref; it looks like checkpoints/ID."
            raise InvalidArgumentError(msg, what="ref", value=name)
        return self._refs / name

    def check_name(self, name: str) -> None:
        """Refuse a malformed name.

        Raises:
            InvalidArgumentError: malformed name.
        """
        self._file(name)

    def encode(self, ref: Ref) -> tuple[str, bytes]:
        """Return the name of a ref and the bytes that are stored of it.

        Raises:
            InvalidArgumentError: malformed name, parent or note.
        """
        self._file(ref.name)
        if len(ref.note) > _NOTE_LIMIT or not all(map(_ROOT.fullmatch, ref.parents)):
            msg = f"A note has {_NOTE_LIMIT:,} characters at most, a parent is the root of a tree."
            raise InvalidArgumentError(msg, what="ref", value=ref.name)
        return ref.name, self._sealed(ref.name, _encode(ref))

    def write(self, ref: Ref) -> None:
        """Point a ref at a root, durably; the caller holds the shared lock of the store.

        Raises:
            InvalidArgumentError: malformed name, parent or note.
            StoreFullError: no space is left.
            StoreReadOnlyError: the store cannot be written.
        """
        name, value = self.encode(ref)
        if self._journals.enabled:
            # Without room for another journal there may be some for a file.
            with contextlib.suppress(StoreFullError):
                self._journals.commit((), ((name, value),))
                return
        with store_writes(self._path), self._journals.replacing(name):
            self.write_files({name: value})

    def write_files(self, values: Mapping[str, bytes]) -> None:
        """Write the files of refs, durably."""
        directories: set[Path] = set()
        for name, value in values.items():
            target = self._file(name)
            self._make_dirs(target.parent)
            directories.add(target.parent)
            file = create_temporary(self._path / "tmp", ".ref")
            try:
                write_all(file.fd, value)
                os.fsync(file.fd)
                faults.reach("ref_synced")
                file.rename(target)
                faults.reach("ref_renamed")
            finally:
                file.close()
        for directory in directories:
            sync_dir(directory)

    def _make_dirs(self, directory: Path) -> None:
        if directory == self._refs or directory.is_dir():
            return
        self._make_dirs(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
        sync_dir(directory.parent)

    def _sealed(self, name: str, data: bytes) -> bytes:
        if self._seal is None:
            return data
        sealed = self._seal.seal(data, name.encode("ascii"))
        return f"{_SEALED}{base64.b64encode(sealed).decode('ascii')}\n".encode("ascii")

    def _opened(self, name: str, text: str) -> str:
        """Return the lines of a ref; nothing when they cannot be opened."""
        if self._seal is None:
            return text
        if not text.startswith(_SEALED):
            return ""
        try:
            sealed = base64.b64decode(text.removeprefix(_SEALED).strip(), validate=True)
        except (binascii.Error, ValueError):
            return ""
        opened = self._seal.open(sealed, name.encode("ascii"))
        return "" if opened is None else opened.decode("ascii", "replace")

    def find(self, name: str) -> Ref | None:
        """Return a ref; None when there is no such ref.

        Raises:
            InvalidArgumentError: malformed name.
            ObjectCorruptError: the file is damaged.
        """
        file = self._file(name)
        self._journals.refresh()
        value = self._journals.ref(name)
        try:
            if value is not None:
                text, at_ns = value.decode("ascii", "replace"), 0
            else:
                text = file.read_text("ascii", "replace")
                at_ns = file.stat().st_mtime_ns
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        ref = _decode(name, self._opened(name, text), at_ns)
        if ref is None:
            msg = f"The ref {name} of {self._path} is damaged: write it again."
            raise ObjectCorruptError(msg, ref=name)
        return ref

    def delete(self, name: str) -> None:
        """Remove a ref, durably; one that is not there is no error. Its objects stay.

        Raises:
            InvalidArgumentError: malformed name.
            StoreReadOnlyError: the store cannot be written.
        """
        target = self._file(name)
        with store_writes(self._path), self._journals.replacing(name):
            try:
                target.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return
            sync_dir(target.parent)

    def names(self, prefix: str = "") -> list[str]:
        """Return the names that begin with `prefix`, sorted."""
        self._journals.refresh()
        found = self._journals.ref_names()
        found |= {
            file.relative_to(self._refs).as_posix()
            for file in self._refs.rglob("*")
            if file.is_file()
        }
        return sorted(name for name in found if name.startswith(prefix) and _NAME.fullmatch(name))

    def iterate(self, prefix: str = "") -> Iterator[Ref]:
        """Yield every ref whose name begins with `prefix`, sorted by name.

        Raises:
            ObjectCorruptError: a ref is damaged.
        """
        for name in self.names(prefix):
            ref = self.find(name)
            if ref is not None:  # deleted since it was listed
                yield ref
