"""Trees and chunk lists: their bytes, and the refusal of what no snapshot writes."""

from __future__ import annotations

import stat
import struct
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from autovibe.store.errors import ObjectCorruptError, UnsafeTreeError
from autovibe.store.model import Entry, Kind
from autovibe.store.packfile import HASH_BYTES, sha256

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from autovibe.store.packs import Objects

TREE_MAGIC: Final = b"autovibe-tree 2\n"
_OLD_TREE_MAGIC: Final = b"autovibe-tree 1\n"
LIST_MAGIC: Final = b"autovibe-list 1\n"
PARTS_MAGIC: Final = b"autovibe-part 1\n"
CHUNK_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 200

FILE: Final = ord("f")
DIR: Final = ord("d")
SYMLINK: Final = ord("l")
FIFO: Final = ord("p")
SOCKET: Final = ord("s")
CHAR: Final = ord("c")
BLOCK: Final = ord("b")
SPECIAL: Final = {FIFO: "fifo", SOCKET: "socket", CHAR: "char", BLOCK: "block"}
TYPE_OF: Final = {
    FILE: stat.S_IFREG,
    DIR: stat.S_IFDIR,
    SYMLINK: stat.S_IFLNK,
    FIFO: stat.S_IFIFO,
    SOCKET: stat.S_IFSOCK,
    CHAR: stat.S_IFCHR,
    BLOCK: stat.S_IFBLK,
}
KIND_OF: Final = {file_type: kind for kind, file_type in TYPE_OF.items()}

TORN: Final = 1
UNREADABLE: Final = 2
MOUNT: Final = 4
TOO_DEEP: Final = 8
INCOMPLETE: Final = TORN | UNREADABLE | MOUNT | TOO_DEEP
_HAS_CHUNKS: Final = 16
_HAS_LINK: Final = 32
_HAS_XATTRS: Final = 64
_HAS_HOLES: Final = 128

NO_CONTENT: Final = bytes(HASH_BYTES)
# Spelled as format 1 did, so that an empty directory is the same in every store.
EMPTY_TREE: Final = sha256(_OLD_TREE_MAGIC)
ZERO_CHUNK: Final = bytes(CHUNK_BYTES)
ZERO_CHUNK_ID: Final = sha256(ZERO_CHUNK)
_HEAD: Final = struct.Struct("<BBHIIqQH")  # kind flags mode uid gid mtime size name-length
_SIZE: Final = struct.Struct("<Q")
_SIZE_AT: Final = 20  # of the size in the head
_U16: Final = struct.Struct("<H")
_U32: Final = struct.Struct("<I")
_HOLE: Final = struct.Struct("<QQ")
_MAX_MODE: Final = 0o7777
_PLAIN: Final = frozenset({FILE, DIR})
# Of the years 1677 to 2262; some file systems know others, which must not end a snapshot.
_FIRST_NS: Final = -(1 << 63)
_LAST_NS: Final = (1 << 63) - 1

Xattrs = tuple[tuple[bytes, bytes], ...]
Holes = tuple[tuple[int, int], ...]


class TreeEntry(NamedTuple):
    """One entry of a directory, as it is stored; every field takes part in equality."""

    name: bytes
    kind: int
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    flags: int = 0
    digest: bytes = b""  # file: sha256 of the content; directory: id of its tree
    chunks: bytes = b""  # id of the chunk list, when the content has more than one chunk
    target: bytes = b""
    link: bytes = b""
    xattrs: Xattrs = ()
    holes: Holes | None = ()  # offset and length of each; None: format 1 did not look


def encode_entry(entry: TreeEntry) -> bytes:
    """Write one entry."""
    name, kind, mode, uid, gid, mtime_ns, size, flags = entry[:8]
    digest, chunks, target, link, xattrs, holes = entry[8:]
    if chunks:
        flags |= _HAS_CHUNKS
    if link or xattrs or holes:
        flags |= (
            (_HAS_LINK if link else 0)
            | (_HAS_XATTRS if xattrs else 0)
            | (_HAS_HOLES if holes else 0)
        )
    mtime_ns = max(_FIRST_NS, min(mtime_ns, _LAST_NS))
    head = _HEAD.pack(kind, flags, mode, uid, gid, mtime_ns, size, len(name))
    data = head + name + digest + chunks + target
    return data + _encode_rare(link, xattrs, holes) if link or xattrs or holes else data


def encode_plain_file(st: os.stat_result, name: bytes, digest: bytes) -> bytes:
    """Write the entry of a file that has a content and nothing unusual about it."""
    mtime_ns = max(_FIRST_NS, min(st.st_mtime_ns, _LAST_NS))
    mode = stat.S_IMODE(st.st_mode)
    head = _HEAD.pack(FILE, 0, mode, st.st_uid, st.st_gid, mtime_ns, st.st_size, len(name))
    return head + name + digest


def _encode_rare(link: bytes, xattrs: Xattrs, holes: Holes | None) -> bytes:
    parts: list[bytes] = []
    if link:
        parts += (_U16.pack(len(link)), link)
    if xattrs:
        parts.append(_U16.pack(len(xattrs)))
        for name, value in xattrs:
            parts += (_U16.pack(len(name)), name, _U32.pack(len(value)), value)
    if holes:
        parts.append(_U32.pack(len(holes)))
        parts += [_HOLE.pack(*hole) for hole in holes]
    return b"".join(parts)


def encode_tree(entries: Iterable[TreeEntry]) -> bytes:
    """Write a tree; the caller gives the entries sorted by name."""
    return TREE_MAGIC + b"".join(map(encode_entry, entries))


def decode_entry(data: bytes) -> TreeEntry:
    """Read one entry that `encode_entry` wrote."""
    return _decode_entry(_Cursor(data, 0), old=False)


def with_digest(data: bytes, digest: bytes) -> bytes:
    """Return an encoded entry of a directory with another id of its tree."""
    at = _HEAD.size + _U16.unpack_from(data, _HEAD.size - _U16.size)[0]
    return data[:at] + digest + data[at + HASH_BYTES :]


def file_size(data: bytes, at: int = 0) -> int:
    """Return the size in the encoded entry that begins at `at`, 0 of anything but a file."""
    return _SIZE.unpack_from(data, at + _SIZE_AT)[0] if data[at] == FILE else 0


def _unsafe(why: str) -> NoReturn:
    msg = f"The tree is not one that autovibe writes ({why}); it is not used. Verify the store."
    raise UnsafeTreeError(msg, why=why)


class _Cursor:
    """Reads fields and refuses to read past the end."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            _unsafe("it is cut short")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def u16(self) -> int:
        return _U16.unpack(self.take(2))[0]

    def u32(self) -> int:
        return _U32.unpack(self.take(4))[0]


def is_safe_name(name: bytes) -> bool:
    """Say whether a name is one component that stays inside its directory."""
    return name not in {b"", b".", b".."} and b"/" not in name and b"\0" not in name


def decode_tree(data: bytes) -> list[TreeEntry]:
    """Read a tree.

    Raises:
        UnsafeTreeError: a name or a value is one that no snapshot writes.
    """
    old = data.startswith(_OLD_TREE_MAGIC)
    if not old and not data.startswith(TREE_MAGIC):
        _unsafe("it has no header")
    cursor = _Cursor(data, len(TREE_MAGIC))
    entries: list[TreeEntry] = []
    before = b""
    while cursor.at < len(data):
        entry = (None if old else _decode_plain(cursor)) or _decode_entry(cursor, old=old)
        if not is_safe_name(entry.name):
            _unsafe(f"the name {entry.name!r}")
        if entry.name <= before:
            _unsafe(f"the name {entry.name!r} repeats or is out of order")
        before = entry.name
        entries.append(entry)
    return entries


def split_tree(data: bytes) -> dict[bytes, bytes] | None:
    """Return the entries of a tree by their names, still encoded; None of one of format 1.

    What is in an entry, and whether its name is safe, is for whoever decodes it.

    Raises:
        UnsafeTreeError: it is no tree, or a name repeats or is out of order.
    """
    if not data.startswith(TREE_MAGIC):
        return None
    entries: dict[bytes, bytes] = {}
    before, at, length = b"", len(TREE_MAGIC), len(data)
    while at < length:
        begin = at + _HEAD.size
        if begin > length:
            _unsafe("it is cut short")
        kind, flags, *_, name_length = _HEAD.unpack_from(data, at)
        middle = begin + name_length
        end = middle + HASH_BYTES
        if kind not in _PLAIN or flags & ~INCOMPLETE:
            cursor = _Cursor(data, at)
            _decode_entry(cursor, old=False)
            end = cursor.at
        name = data[begin:middle]
        if end > length or name <= before:
            _unsafe("a name repeats or is out of order, or it is cut short")
        entries[name] = data[at:end]
        before, at = name, end
    return entries


def _decode_plain(cursor: _Cursor) -> TreeEntry | None:
    """Read a file or directory with nothing unusual about it; None of any other entry."""
    data, at = cursor.data, cursor.at
    begin = at + _HEAD.size
    if begin > len(data):
        return None
    kind, flags, mode, uid, gid, mtime_ns, size, name_length = _HEAD.unpack_from(data, at)
    middle = begin + name_length
    end = middle + HASH_BYTES
    if kind not in _PLAIN or flags & ~INCOMPLETE or mode > _MAX_MODE or end > len(data):
        return None
    cursor.at = end
    name, digest = data[begin:middle], data[middle:end]
    return TreeEntry(name, kind, mode, uid, gid, mtime_ns, size, flags, digest)


def _decode_entry(cursor: _Cursor, *, old: bool) -> TreeEntry:
    kind, flags, mode, uid, gid, mtime_ns, size, name_length = _HEAD.unpack(cursor.take(_HEAD.size))
    if kind not in TYPE_OF or (old and flags & _HAS_HOLES) or mode > _MAX_MODE:
        _unsafe("an unknown kind, flag or mode")
    if flags & (_HAS_CHUNKS | _HAS_LINK | _HAS_HOLES) and kind != FILE:
        _unsafe("chunks, a link group or holes in something that is no file")
    name = cursor.take(name_length)
    digest = cursor.take(HASH_BYTES) if kind in {FILE, DIR} else b""
    chunks = cursor.take(HASH_BYTES) if flags & _HAS_CHUNKS else b""
    target = cursor.take(size) if kind == SYMLINK else b""
    if kind == SYMLINK and (not target or b"\0" in target):
        _unsafe("a link without a possible target")
    link = cursor.take(cursor.u16()) if flags & _HAS_LINK else b""
    if flags & _HAS_LINK and not all(is_safe_name(part) for part in link.split(b"/")):
        _unsafe("a link group that is no path")
    xattrs: Xattrs = ()
    if flags & _HAS_XATTRS:
        xattrs = tuple(
            (cursor.take(cursor.u16()), cursor.take(cursor.u32())) for _ in range(cursor.u16())
        )
    holes = None if old and kind == FILE else ()
    if flags & _HAS_HOLES:
        holes = _decode_holes(cursor, size)
    return TreeEntry(
        name,
        kind,
        mode,
        uid,
        gid,
        mtime_ns,
        size,
        flags & INCOMPLETE,
        digest,
        chunks,
        target,
        link,
        xattrs,
        holes,
    )


def _decode_holes(cursor: _Cursor, size: int) -> Holes:
    count = cursor.u32()
    holes = tuple(_HOLE.iter_unpack(cursor.take(count * _HOLE.size)))
    end = -1
    for offset, length in holes:
        if not length or offset <= end or offset + length > size:
            _unsafe("holes that overlap or lie outside the file")
        end = offset + length
    return holes


def part_ids(data: bytes) -> list[bytes]:
    """Return the ids of the parts of a large directory; none of one that is a single tree.

    Raises:
        UnsafeTreeError: it is no list of parts.
    """
    if not data.startswith(PARTS_MAGIC):
        return []
    body = data[len(PARTS_MAGIC) :]
    if not body or len(body) % HASH_BYTES:
        _unsafe("a list of parts that is cut short")
    return [body[at : at + HASH_BYTES] for at in range(0, len(body), HASH_BYTES)]


def decode_directory(data: bytes, get: Callable[[bytes], bytes]) -> list[TreeEntry]:
    """Read a directory, of which `get` returns the parts by their ids.

    Raises:
        ObjectMissingError: a part is not in the store.
        ObjectCorruptError: the bytes of a part are wrong.
        UnsafeTreeError: it is no directory that a snapshot writes.
    """
    parts = part_ids(data)
    if not parts:
        return decode_tree(data)
    entries: list[TreeEntry] = []
    for part in parts:
        found = decode_tree(get(part))
        if not found or (entries and found[0].name <= entries[-1].name):
            _unsafe("its parts are empty or out of order")
        entries += found
    return entries


def load_tree(objects: Objects, digest: bytes) -> list[TreeEntry]:
    """Read a directory from the store.

    Raises:
        ObjectMissingError: it is not in the store.
        ObjectCorruptError: its bytes are wrong.
        UnsafeTreeError: it is no tree that a snapshot writes.
    """
    # Known without being stored: a directory that was not entered refers to it, too.
    return [] if digest == EMPTY_TREE else decode_directory(objects.get(digest), objects.get)


def encode_list(chunks: Iterable[bytes]) -> bytes:
    """Write the list of the chunks of a large file."""
    return LIST_MAGIC + b"".join(chunks)


def decode_list(data: bytes, size: int) -> list[bytes]:
    """Read the list of the chunks of a file of `size` bytes.

    Raises:
        UnsafeTreeError: it is no list, or not one for this size.
    """
    body = data[len(LIST_MAGIC) :]
    count = -(-size // CHUNK_BYTES)
    if not data.startswith(LIST_MAGIC) or len(body) != count * HASH_BYTES:
        _unsafe("a chunk list that does not fit its file")
    return [body[at : at + HASH_BYTES] for at in range(0, len(body), HASH_BYTES)]


def chunk_ids(objects: Objects, entry: TreeEntry) -> list[bytes]:
    """Return the ids of the blobs of a file in order; none for a file without content.

    Raises:
        ObjectMissingError: the list is not in the store.
        ObjectCorruptError: its bytes are wrong.
        UnsafeTreeError: it is no list for this file.
    """
    if entry.flags & UNREADABLE:
        return []
    if entry.chunks:
        return decode_list(objects.get(entry.chunks), entry.size)
    return [entry.digest]


def check_whole(entry: TreeEntry, digest: bytes, size: int) -> None:
    """Compare what was read with the size and the hash of the whole file.

    Raises:
        ObjectCorruptError: they differ.
    """
    if digest != entry.digest or size != entry.size:
        msg = (
            f"The content of {to_text(entry.name)!r} is not what its snapshot recorded: "
            "verify the store."
        )
        raise ObjectCorruptError(msg, object=entry.digest.hex())


def to_text(path: bytes) -> str:
    """Decode a path for the API; bytes that are not UTF-8 survive as surrogates."""
    return path.decode("utf-8", "surrogateescape")


def to_bytes(path: str) -> bytes:
    """Encode a path of the API; the reverse of `to_text`."""
    return path.encode("utf-8", "surrogateescape")


def public(entry: TreeEntry, path: bytes) -> Entry:
    """Show a stored entry at a path."""
    kind = {FILE: Kind.FILE, DIR: Kind.DIR, SYMLINK: Kind.SYMLINK}.get(entry.kind, Kind.SPECIAL)
    has_hash = entry.kind == FILE and not entry.flags & UNREADABLE
    return Entry(
        path=to_text(path),
        kind=kind,
        mode=entry.mode,
        size=entry.size if kind is Kind.FILE or kind is Kind.SYMLINK else 0,
        sha256=entry.digest.hex() if has_hash else None,
        mtime_ns=entry.mtime_ns,
        target=to_text(entry.target),
        uid=entry.uid,
        gid=entry.gid,
        link=to_text(entry.link),
        special=SPECIAL.get(entry.kind, ""),
        complete=not entry.flags & INCOMPLETE,
    )
