"""Refs: durable names of snapshots."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from autovibe.kernel import faults
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.store.errors import ObjectCorruptError, ObjectMissingError
from autovibe.store.files import create_temporary, store_writes, sync_dir, write_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PART: Final = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}"
_NAME: Final = re.compile(rf"{_PART}(?:/{_PART})+")
_ROOT: Final = re.compile(r"[0-9a-f]{64}")


def parse_root(root: str) -> bytes:
    """Return the id that a caller gave as 64 hexadecimal digits.

    Raises:
        ObjectMissingError: it is no id, so nothing in the store has it.
    """
    if not _ROOT.fullmatch(root):
        msg = f"{root!r} is not the root of a snapshot: give its 64 hexadecimal digits."
        raise ObjectMissingError(msg, object=root)
    return bytes.fromhex(root)


class Refs:
    """The refs of a store; each is one small file that is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        """Take the store at `path`."""
        self._path = path
        self._refs = path / "refs"

    def _file(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            msg = f"{name!r} is not the name of a ref; it looks like checkpoints/ID."
            raise InvalidArgumentError(msg, what="ref", value=name)
        return self._refs / name

    def write(self, name: str, root: str) -> None:
        """Point a ref at a root, durably.

        Raises:
            InvalidArgumentError: malformed name.
            StoreFullError: no space is left.
            StoreReadOnlyError: the store cannot be written.
        """
        target = self._file(name)
        with store_writes(self._path):
            self._make_dirs(target.parent)
            file = create_temporary(self._path / "tmp", ".ref")
            try:
                write_all(file.fd, f"{root}\n".encode("ascii"))
                os.fsync(file.fd)
                faults.reach("ref_synced")
                file.rename(target)
                faults.reach("ref_renamed")
                sync_dir(target.parent)
            finally:
                file.close()

    def _make_dirs(self, directory: Path) -> None:
        if directory == self._refs or directory.is_dir():
            return
        self._make_dirs(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
        sync_dir(directory.parent)

    def read(self, name: str) -> str | None:
        """Return the root that a ref points at; None when there is no such ref.

        Raises:
            InvalidArgumentError: malformed name.
            ObjectCorruptError: the file is damaged.
        """
        try:
            text = self._file(name).read_text("ascii", "replace")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        root = text.removesuffix("\n")
        if not _ROOT.fullmatch(root):
            msg = f"The ref {name} of {self._path} is damaged: write it again."
            raise ObjectCorruptError(msg, ref=name)
        return root

    def delete(self, name: str) -> None:
        """Remove a ref, durably; one that is not there is no error. Its objects stay.

        Raises:
            InvalidArgumentError: malformed name.
            StoreReadOnlyError: the store cannot be written.
        """
        target = self._file(name)
        with store_writes(self._path):
            try:
                target.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return
            sync_dir(target.parent)

    def iterate(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Yield name and root of every ref whose name begins with `prefix`, sorted.

        Raises:
            ObjectCorruptError: a ref is damaged.
        """
        names = sorted(
            file.relative_to(self._refs).as_posix()
            for file in self._refs.rglob("*")
            if file.is_file()
        )
        for name in names:
            if name.startswith(prefix) and _NAME.fullmatch(name):
                root = self.read(name)
                if root is not None:  # deleted since it was listed
                    yield name, root
