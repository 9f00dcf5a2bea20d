"""Reading a tar archive into a snapshot, piece by piece; what it says is not trusted."""

from __future__ import annotations

import hashlib
import lzma
import os
import tarfile
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from autovibe.store import tree
from autovibe.store.errors import UnreadableArchiveError
from autovibe.store.exporting import FLAGS_HEADER, ROOTS_HEADER, XATTR_HEADER
from autovibe.store.model import Progress
from autovibe.store.packfile import sha256
from autovibe.store.parts import put_directory
from autovibe.store.tree import CHUNK_BYTES, MAX_DEPTH, TreeEntry, is_safe_name, to_bytes, to_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from autovibe.store.packwriter import PackWriter
    from autovibe.store.tree import Holes

_SECOND_NS: Final = 1_000_000_000
_NO_DIR: Final = TreeEntry(b"", tree.DIR, 0o755, 0, 0, 0)
_MOST_NS: Final = (1 << 63) - 1
_KINDS: Final = {
    tarfile.DIRTYPE: tree.DIR,
    tarfile.SYMTYPE: tree.SYMLINK,
    tarfile.FIFOTYPE: tree.FIFO,
    tarfile.CHRTYPE: tree.CHAR,
    tarfile.BLKTYPE: tree.BLOCK,
}


@dataclass(slots=True)
class _Node:
    """A name of the archive; names of one hard-linked file share their `names`."""

    entry: TreeEntry
    children: dict[bytes, _Node] = field(default_factory=dict[bytes, "_Node"])
    names: list[tuple[bytes, ...]] = field(default_factory=list[tuple[bytes, ...]])


class Importer:
    """Reads one archive."""

    def __init__(
        self, writer: PackWriter, name: str, progress: Callable[[Progress], None] | None
    ) -> None:
        """Store through `writer`; an archive without named roots becomes the root `name`."""
        self.root = b""
        self.files = 0
        self.bytes = 0
        self._writer = writer
        self._name = to_bytes(name)
        self._progress = progress
        self._top = _Node(_NO_DIR)

    def read(self, file: IO[bytes]) -> None:
        """Read everything and store it; `root` is the snapshot.

        Raises:
            UnreadableArchiveError: it is damaged, no archive, or holds names that are not safe.
            StoreFullError: no space is left.
            StoreReadOnlyError: the store cannot be written.
        """
        try:
            self._read(file)
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
            msg = f"The archive cannot be read ({error}): nothing of it was taken."
            raise UnreadableArchiveError(msg) from error

    def _read(self, file: IO[bytes]) -> None:
        with tarfile.open(
            fileobj=file, mode="r|*", encoding="utf-8", errors="surrogateescape"
        ) as archive:
            for member in archive:
                self._take(archive, member)
                # Nothing is kept of what was read.
                archive.members = []  # pyright: ignore[reportAttributeAccessIssue]  # no stub
            named = ROOTS_HEADER in archive.pax_headers
        if not named:
            self._top.entry = self._top.entry._replace(name=self._name)
            self._top = _Node(_NO_DIR, {self._name: self._top})
        roots = [self._store(node, 0) for _, node in sorted(self._top.children.items())]
        if any(root.kind != tree.DIR for root in roots):
            msg = "The archive has something else than directories for roots: it was changed."
            raise UnreadableArchiveError(msg)
        data = tree.encode_tree(roots)
        self.root = sha256(data)
        self._writer.put(self.root, data)

    def _take(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = _parts(member.name)
        if not parts:
            if member.isdir():  # "./", the directory itself
                self._top.entry = _entry(b"", tree.DIR, member)
            return
        parent = self._parent(parts)
        name = parts[-1]
        if member.islnk():
            node = self._linked(parts, member)
        elif member.isreg():
            node = _Node(self._file(archive, name, member), names=[tuple(parts)])
        elif member.type in _KINDS:
            node = _Node(_other(name, member))
        else:
            msg = f"The archive holds {member.name!r} of an unknown type: nothing of it was taken."
            raise UnreadableArchiveError(msg, path=member.name)
        before = parent.children.get(name)
        if before is not None and node.entry.kind == before.entry.kind == tree.DIR:
            before.entry = node.entry
            return
        if before is not None and tuple(parts) in before.names and not member.islnk():
            before.names.remove(tuple(parts))
        parent.children[name] = node
        if node.entry.kind != tree.DIR:
            self.files += 1
            self.bytes += node.entry.size if node.entry.kind == tree.FILE else 0
        if self._progress is not None:
            self._progress(Progress("import", self.files, self.bytes, member.name))

    def _parent(self, parts: list[bytes]) -> _Node:
        node = self._top
        for part in parts[:-1]:
            child = node.children.get(part)
            if child is None:
                child = node.children[part] = _Node(_NO_DIR._replace(name=part))
            if child.entry.kind != tree.DIR:
                msg = f"The archive holds {to_text(b'/'.join(parts))!r} below what is no directory."
                raise UnreadableArchiveError(msg)
            node = child
        return node

    def _linked(self, parts: list[bytes], member: tarfile.TarInfo) -> _Node:
        target = _parts(member.linkname)
        node: _Node | None = self._top
        for part in target:
            node = node.children.get(part) if node is not None else None
        if node is None or node.entry.kind != tree.FILE:
            msg = f"The archive links {member.name!r} to {member.linkname!r}, which is not in it."
            raise UnreadableArchiveError(msg, path=member.name)
        if tuple(parts) not in node.names:
            node.names.append(tuple(parts))
        return _Node(node.entry._replace(name=parts[-1]), names=node.names)

    def _file(self, archive: tarfile.TarFile, name: bytes, member: tarfile.TarInfo) -> TreeEntry:
        content = archive.extractfile(member)
        assert content is not None  # it is a regular file
        whole = hashlib.sha256()
        ids: list[bytes] = []
        size = 0
        while size < member.size:
            data = content.read(min(CHUNK_BYTES, member.size - size))
            if not data:
                msg = f"The archive ends inside {member.name!r}: nothing of it was taken."
                raise UnreadableArchiveError(msg, path=member.name)
            whole.update(data)
            ids.append(sha256(data))
            self._writer.put(ids[-1], data)
            size += len(data)
        if not ids:
            self._writer.put(whole.digest(), b"")
        chunks = b""
        if len(ids) > 1:
            encoded = tree.encode_list(ids)
            chunks = sha256(encoded)
            self._writer.put(chunks, encoded)
        return _entry(name, tree.FILE, member)._replace(
            size=size, digest=whole.digest(), chunks=chunks, holes=_holes(member)
        )

    def _store(self, node: _Node, depth: int) -> TreeEntry:
        """Store the trees from the leaves up."""
        if node.entry.kind != tree.DIR:
            if len(node.names) > 1:
                # Relative to the named root, which is the first part of a path with roots.
                skip = 1 if self._name not in self._top.children else 0
                label = b"/".join(min(name[skip:] for name in node.names))
                return node.entry._replace(link=label)
            return node.entry
        if depth > MAX_DEPTH:
            msg = f"The archive is nested deeper than {MAX_DEPTH} levels: nothing of it was taken."
            raise UnreadableArchiveError(msg)
        children = [self._store(child, depth + 1) for _, child in sorted(node.children.items())]
        entries = {child.name: tree.encode_entry(child) for child in children}
        return node.entry._replace(digest=put_directory(self._writer, entries).digest)


def _parts(name: str) -> list[bytes]:
    """Split a path of the archive.

    Raises:
        UnreadableArchiveError: it leads out of the archive.
    """
    raw = to_bytes(name)
    parts = [part for part in raw.split(b"/") if part not in {b"", b"."}]
    if raw.startswith(b"/") or not all(map(is_safe_name, parts)):
        msg = f"The archive holds the path {name!r}, which leads out of it: nothing was taken."
        raise UnreadableArchiveError(msg, path=name)
    return parts


def _entry(name: bytes, kind: int, member: tarfile.TarInfo) -> TreeEntry:
    flags = member.pax_headers.get(FLAGS_HEADER, "0")
    kept = int(flags) & tree.INCOMPLETE & ~tree.UNREADABLE if flags.isdecimal() else 0
    xattrs = (
        (to_bytes(key.removeprefix(XATTR_HEADER)), to_bytes(value))
        for key, value in member.pax_headers.items()
        if key.startswith(XATTR_HEADER)
    )
    return TreeEntry(
        name,
        kind,
        member.mode & 0o7777,
        min(max(member.uid, 0), 0xFFFFFFFF),
        min(max(member.gid, 0), 0xFFFFFFFF),
        _mtime_ns(member),
        flags=kept,
        xattrs=tuple(sorted(xattrs)),
    )


def _other(name: bytes, member: tarfile.TarInfo) -> TreeEntry:
    kind = _KINDS[member.type]
    entry = _entry(name, kind, member)
    if kind == tree.SYMLINK:
        target = to_bytes(member.linkname)
        if not target or b"\0" in target:
            msg = f"The archive holds the link {member.name!r} without a target."
            raise UnreadableArchiveError(msg, path=member.name)
        return entry._replace(target=target, size=len(target))
    if kind in {tree.CHAR, tree.BLOCK}:
        return entry._replace(size=os.makedev(member.devmajor, member.devminor))
    return entry


def _mtime_ns(member: tarfile.TarInfo) -> int:
    """Read the time with all its digits; the number that tarfile makes of it has lost some."""
    text = member.pax_headers.get("mtime", "")
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    whole, _, part = digits.partition(".")
    if whole.isdecimal() and (part.isdecimal() or not part):
        ns = sign * (int(whole) * _SECOND_NS + int(part[:9].ljust(9, "0")))
    else:
        ns = int(member.mtime * _SECOND_NS)
    return max(-_MOST_NS, min(ns, _MOST_NS))


def _holes(member: tarfile.TarInfo) -> Holes:
    """Return what lies between the regions of a sparse file."""
    regions: list[tuple[int, int]] = getattr(member, "sparse", None) or []
    if not regions:
        return ()
    holes: list[tuple[int, int]] = []
    at = 0
    for offset, length in sorted(regions):
        if offset > at:
            holes.append((at, offset - at))
        at = max(at, offset + length)
    if at < member.size:
        holes.append((at, member.size - at))
    return tuple(holes)
