"""Restoring into an empty directory: two processes, and few calls for each file."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from autovibe.kernel import faults
from autovibe.store import tree
from autovibe.store.bulk import ALONE, BadPieceError, DirChain, umask, write_file
from autovibe.store.model import Progress
from autovibe.store.opening import closing, open_dir
from autovibe.store.partner import Partner, is_worthwhile
from autovibe.store.places import QuickReader
from autovibe.store.reading import check_depth
from autovibe.store.restore import EXACT_PERMISSIONS, PERMISSIONS, TreeWriter
from autovibe.store.tree import TreeEntry, decode_directory, to_text

if TYPE_CHECKING:
    from autovibe.store.bulk import File, Piece

_BATCH_FILES: Final = 128
_BATCH_BYTES: Final = 4 << 20
# More than these wait for nobody's memory: then this process writes before it looks further.
_MOST_WAITING: Final = 128
# Below that the other process would not be at work before this one is done.
_FEW_BATCHES: Final = 5
_FOR_OTHERS: Final = 0o022
_INHERITED: Final = ("user.", "trusted.", "system.posix_acl_")
Share = list[tuple[bytes, list[TreeEntry]]]


def passes_on(fd: int) -> bool:
    """Say whether a directory gives attributes of its own to what is made in it."""
    try:
        names = os.listxattr(fd)
    except OSError:  # a file system without any
        names = []
    return bool(os.fstat(fd).st_mode & stat.S_ISGID) or any(n.startswith(_INHERITED) for n in names)


@dataclass(slots=True)
class FreshWriter(TreeWriter):
    """Writes into an empty directory of ours that passes nothing on.

    All directories are made while the trees are read; plain files are written in batches, by this
    process and by another one; everything else is written as in place.
    """

    _mask: int = field(default_factory=umask)
    _quick: QuickReader = field(init=False)
    _share: Share = field(default_factory=Share)
    _share_files: int = 0
    _share_bytes: int = 0
    _waiting: deque[Share] = field(default_factory=deque[Share])
    _batches: int = 0
    _partner: Partner[Share] | None = None
    _chain: DirChain | None = None
    _uneven: set[bytes] = field(default_factory=set[bytes])

    def __post_init__(self) -> None:
        """Know where objects lie."""
        self._quick = QuickReader(self.objects)

    def close(self) -> None:
        """Let go of the other process and of what is open. Calling twice is allowed."""
        if self._partner is not None:
            self._partner.close()
        if self._chain is not None:
            self._chain.close()
        self._quick.close()
        TreeWriter.close(self)

    def _load(self, digest: bytes) -> list[TreeEntry]:
        found = self.trees.get(digest)
        if found is not None or digest == tree.EMPTY_TREE:
            return found or []
        return decode_directory(self._quick.get(digest), self._quick.get)

    def _contents(
        self, fd: int, path: bytes, old: TreeEntry | None, new: TreeEntry, depth: int
    ) -> None:
        del old  # nothing is there
        check_depth(depth)
        prefix = path + b"/" if path else b""
        plain: list[TreeEntry] = []
        for entry in self._load(new.digest):
            if entry.kind == tree.DIR:
                self._enter(fd, prefix + entry.name, None, entry, depth)
            elif (
                entry.kind == tree.FILE
                and not entry.flags
                and entry.holes == ()
                and not entry.link
                and not entry.xattrs
            ):
                plain.append(entry)
            else:
                self._create(fd, prefix + entry.name, None, entry)
        for at in range(0, len(plain), _BATCH_FILES):
            self._take(path, plain[at : at + _BATCH_FILES])

    def _enter(
        self, fd: int, path: bytes, old: TreeEntry | None, new: TreeEntry, depth: int
    ) -> None:
        del old
        if new.flags:
            self._skip(path, "the snapshot did not enter this directory")
        mode = new.mode & (EXACT_PERMISSIONS if self.exact else PERMISSIONS)
        # One that we could not write into, or that others can, gets its mode at the end.
        even = mode & stat.S_IRWXU == stat.S_IRWXU and not mode & (_FOR_OTHERS | self._mask)
        even = even and mode <= stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO
        if not even or self.exact or new.xattrs:
            self._uneven.add(path)
            mode = stat.S_IRWXU
        os.mkdir(new.name, mode, dir_fd=fd)
        with closing(open_dir(new.name, fd)) as child:
            self._contents(child, path, None, new, depth + 1)
        self._dirs.append((path, new))

    def _take(self, path: bytes, entries: list[TreeEntry]) -> None:
        self._share.append((path, entries))
        self._share_files += len(entries)
        self._share_bytes += sum(entry.size for entry in entries)
        if self._share_files >= _BATCH_FILES or self._share_bytes >= _BATCH_BYTES:
            self._hand_over()

    def _hand_over(self) -> None:
        self._waiting.append(self._share)
        self._share, self._share_files, self._share_bytes = [], 0, 0
        self._batches += 1
        if self._batches == _FEW_BATCHES and self.objects.seal is None and is_worthwhile():
            with contextlib.suppress(OSError):  # no process can be had: this one does it all
                self._partner = Partner(self.dest)
        self._feed(wait=False)
        while len(self._waiting) > _MOST_WAITING:
            self._write_share(self._waiting.popleft())
            self._feed(wait=False)

    def _feed(self, *, wait: bool) -> None:
        """Take what the other process has done, and give it more to do."""
        partner = self._partner
        if partner is None:
            return
        for share, (size, *failed) in partner.answers(wait=wait):
            for number, at in zip(failed[::2], failed[1::2], strict=True):
                path, entries = share[number]
                self._write_slowly(path, entries[at])
            self._count(share, sum(len(entries) for _, entries in share) - len(failed) // 2, size)
        while self._waiting and partner.waits:
            share = self._waiting.popleft()
            partner.send(share, [(path, self._files(entries)) for path, entries in share])
        while partner.lost:
            self._write_again(partner.lost.pop())

    def _files(self, entries: list[TreeEntry]) -> list[File]:
        return [self._file_of(entry) for entry in entries]

    def _file_of(self, entry: TreeEntry) -> File:
        pieces: list[Piece] = []
        for digest in tree.chunk_ids(self.objects, entry):
            piece = self._quick.places.find(digest)
            # Nobody has a file without a name: what has no place is looked for at the end.
            pieces.append(piece or (digest, 0, "", 0, 0, ALONE, 0))
        uid, gid = (entry.uid, entry.gid) if self.exact else (-1, -1)
        mode = entry.mode & (EXACT_PERMISSIONS if self.exact else PERMISSIONS)
        return entry.name, mode, uid, gid, entry.mtime_ns, entry.digest, pieces

    def _write_share(self, share: Share) -> None:
        for path, entries in share:
            fd = self._open(path)
            for entry in entries:
                try:
                    size = write_file(fd, self._file_of(entry), self._quick.pieces, self._mask)
                except BadPieceError:
                    self._write_slowly(path, entry)
                else:
                    self.files += 1
                    self.written += size
                    self._tell(path, entry)
                    faults.reach("file_restored")

    def _write_slowly(self, path: bytes, entry: TreeEntry) -> None:
        """Write what the short way could not: with all copies of its content, or with an error."""
        below = path + b"/" + entry.name if path else entry.name
        self._file(self._open(path), below, entry, replace=False)

    def _write_again(self, share: Share) -> None:
        """Write a share that the other process may have begun before it died."""
        for path, entries in share:
            fd = self._open(path)
            for entry in entries:
                try:
                    os.unlink(entry.name, dir_fd=fd)
                except FileNotFoundError:
                    continue
        self._write_share(share)

    def _open(self, path: bytes) -> int:
        if self._chain is None:
            self._chain = DirChain(self.dest)
        return self._chain.open(path)

    def _count(self, share: Share, files: int, size: int) -> None:
        self.files += files
        self.written += size
        path, entries = share[-1]
        self._tell(path, entries[-1])

    def _tell(self, path: bytes, entry: TreeEntry) -> None:
        if self.progress is not None:
            below = path + b"/" + entry.name if path else entry.name
            self.progress(Progress("restore", self.files, self.written, to_text(below)))

    def _finish(self) -> None:
        if self._share:
            self._waiting.append(self._share)
            self._share = []
        while self._waiting:
            self._feed(wait=False)
            if self._waiting:
                self._write_share(self._waiting.popleft())
        while self._partner is not None and self._partner.busy:
            self._feed(wait=True)
        self._make_links()
        for path, entry in self._dirs:  # what is inside comes first
            parent, _, name = path.rpartition(b"/")
            if path in self._uneven:
                self._attributes(self._open(path), path, entry)
            elif path:
                times = (entry.mtime_ns, entry.mtime_ns)
                os.utime(name, ns=times, dir_fd=self._open(parent), follow_symlinks=False)
            else:
                self._attributes(self.dest, path, entry)
