"""Writing a snapshot as a tar archive (POSIX pax), piece by piece.

What pax has no field for is written as GNU tar and star do: holes as `GNU.sparse` 1.0, attributes
as `SCHILY.xattr`. Flags of the snapshot are `AUTOVIBE.flags`.
"""

from __future__ import annotations

import io
import os
import tarfile
from itertools import islice
from typing import TYPE_CHECKING, Final, cast

from autovibe.store import reading, tree
from autovibe.store.model import ExportResult, Progress, Skipped
from autovibe.store.tree import TreeEntry, to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO

    from autovibe.store.packs import Objects

ROOTS_HEADER: Final = "AUTOVIBE.roots"
FLAGS_HEADER: Final = "AUTOVIBE.flags"
XATTR_HEADER: Final = "SCHILY.xattr."
_BLOCK: Final = 512
_SECOND_NS: Final = 1_000_000_000
_TYPES: Final = {
    tree.FILE: tarfile.REGTYPE,
    tree.DIR: tarfile.DIRTYPE,
    tree.SYMLINK: tarfile.SYMTYPE,
    tree.FIFO: tarfile.FIFOTYPE,
    tree.CHAR: tarfile.CHRTYPE,
    tree.BLOCK: tarfile.BLKTYPE,
}


class Exporter:
    """Writes one archive."""

    def __init__(
        self, objects: Objects, file: IO[bytes], progress: Callable[[Progress], None] | None
    ) -> None:
        """Write to `file`, which need not be able to seek."""
        self._objects = objects
        self._file = file
        self._progress = progress
        self._skipped: list[Skipped] = []
        self._files = 0
        self._bytes = 0
        self._leaders: dict[tuple[bytes, bytes], str] = {}

    def export(self, found: reading.Located) -> ExportResult:
        """Write what is at a path: of a directory what is in it, else the one entry."""
        headers = {} if found.path else {ROOTS_HEADER: "1"}
        with tarfile.open(
            fileobj=self._file,
            mode="w|",
            format=tarfile.PAX_FORMAT,
            encoding="utf-8",
            errors="surrogateescape",
            pax_headers=headers,
        ) as archive:
            if found.entry.kind == tree.DIR:
                for path, entry in reading.walk_entries(self._objects, found.entry):
                    self._add(archive, path, entry, b"" if found.path else path.split(b"/")[0])
            else:
                self._add(archive, found.entry.name, found.entry, b"")
        return ExportResult(self._files, self._bytes, tuple(self._skipped))

    def _add(self, archive: tarfile.TarFile, path: bytes, entry: TreeEntry, root: bytes) -> None:
        name = to_text(path)
        if entry.kind == tree.SOCKET:
            self._skipped.append(Skipped(name, "a tar archive holds no sockets"))
            return
        if entry.kind == tree.FILE and entry.flags & tree.UNREADABLE:
            self._skipped.append(Skipped(name, "the snapshot could not read this file"))
            return
        member = _member(name, entry)
        leader = self._leaders.setdefault((root, entry.link), name) if entry.link else name
        if leader != name:
            member.type, member.linkname, member.size = tarfile.LNKTYPE, leader, 0
            archive.addfile(member)
        elif entry.kind == tree.FILE:
            archive.addfile(member, cast("IO[bytes]", self._content(member, entry)))
            self._bytes += entry.size
        else:
            archive.addfile(member)
        self._files += entry.kind != tree.DIR
        if self._progress is not None:
            self._progress(Progress("export", self._files, self._bytes, name))

    def _content(self, member: tarfile.TarInfo, entry: TreeEntry) -> _Pieces:
        pieces = reading.read_content(self._objects, entry)
        if not entry.holes:
            member.size = entry.size
            return _Pieces(pieces)
        data = list(_data_regions(entry.holes, entry.size))
        table = "".join(
            f"{number}\n" for number in (len(data), *(n for pair in data for n in pair))
        )
        head = table.encode("ascii")
        head += bytes(-len(head) % _BLOCK)
        member.size = len(head) + sum(length for _, length in data)
        member.pax_headers = {
            **member.pax_headers,
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": member.name,
            "GNU.sparse.realsize": str(entry.size),
        }
        return _Pieces(_with_head(head, _cut(pieces, data)))


def _member(name: str, entry: TreeEntry) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = _TYPES[entry.kind]
    member.mode = entry.mode
    member.uid, member.gid = entry.uid, entry.gid
    member.mtime = max(0, entry.mtime_ns // _SECOND_NS)
    headers = {"mtime": _seconds(entry.mtime_ns)}
    headers |= {XATTR_HEADER + to_text(key): to_text(value) for key, value in entry.xattrs}
    if entry.flags:
        headers[FLAGS_HEADER] = str(entry.flags)
    member.pax_headers = headers
    if entry.kind == tree.SYMLINK:
        member.linkname = to_text(entry.target)
    if entry.kind in {tree.CHAR, tree.BLOCK}:
        member.devmajor, member.devminor = _device(entry.size)
    return member


def _device(number: int) -> tuple[int, int]:
    return os.major(number), os.minor(number)


def _seconds(ns: int) -> str:
    """Write nanoseconds as seconds with all their digits, which a float would lose."""
    sign = "-" if ns < 0 else ""
    return f"{sign}{abs(ns) // _SECOND_NS}.{abs(ns) % _SECOND_NS:09d}"


def _data_regions(holes: tree.Holes, size: int) -> Iterator[tuple[int, int]]:
    at = 0
    for offset, length in holes:
        if offset > at:
            yield at, offset - at
        at = offset + length
    # GNU tar wants the end of the file said, even where it is a hole.
    yield at, size - at


def _with_head(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest


def _cut(pieces: Iterable[bytes], regions: list[tuple[int, int]]) -> Iterator[bytes]:
    """Yield what of the content lies in the regions; all of it is read, so that it is checked."""
    at = region = 0
    for piece in pieces:
        while region < len(regions) and sum(regions[region]) <= at:
            region += 1
        for offset, length in islice(regions, region, None):
            if offset >= at + len(piece):
                break
            start, end = max(offset, at), min(offset + length, at + len(piece))
            if start < end:
                yield piece[start - at : end - at]
        at += len(piece)


class _Pieces(io.RawIOBase):
    """A file to read from pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left: bytes = b""

    def read(self, size: int = -1, /) -> bytes:
        """Read exactly `size` bytes, fewer only at the end."""
        parts: list[bytes] = []
        wanted = size
        while wanted:
            if not self._left:
                more = next(self._pieces, None)
                if more is None:
                    break
                self._left = more
            part, self._left = self._left[:wanted], self._left[wanted:]
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)
