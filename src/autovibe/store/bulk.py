"""Reading many objects and writing many files, with as few calls for each as there can be.

Also a program, `python -m autovibe.store.bulk`: the second process of a large restore or
verification (see `partner.py`). It imports next to nothing, so that it is at work before the first
process has found out what there is to do.
"""

from __future__ import annotations

import gc
import hashlib
import marshal
import os
import stat
import sys
from typing import TYPE_CHECKING, Final

import zstandard

from autovibe.store.opening import open_dir

if TYPE_CHECKING:
    from typing import BinaryIO

# What is sent to the other process is made of tuples, lists, numbers and bytes only.
Piece = tuple[bytes, int, str, int, int, int, int]
"""Id of an object and its length; then its file, and there offset and stored length of its block;
then where it begins in the block and how long that is uncompressed, or `ALONE` or `PLAIN` and 0."""
File = tuple[bytes, int, int, int, int, bytes, list[Piece]]
"""Name, mode, owner and group (-1: leave them), mtime, id of the whole content, pieces in order."""
Batch = list[tuple[bytes, list[File]]]
"""Directories by their path below the top, and what is to be written into them."""
Content = tuple[bytes, list[Piece]]
"""Id of the whole content, pieces in order."""
Failed = list[tuple[int, int]]
"""Places in a batch (or a list of contents, with 0) of what has to be done another way."""

ALONE: Final = -1  # as in a `Location`
PLAIN: Final = -2
LENGTH_BYTES: Final = 4
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL_BITS: Final = stat.S_ISUID | stat.S_ISGID
_AHEAD: Final = 1 << 18
_NEAR: Final = 1 << 16
_MOST_OPEN: Final = 16
_MOST_BLOCKS: Final = 32


class BadPieceError(Exception):
    """An object is damaged, or not to be had, at the place where it was looked for."""


def umask() -> int:
    """Return the mask of this process for new files; setting it is nothing for threads."""
    try:
        with open("/proc/self/status", "rb") as file:  # noqa: PTH123 - pathlib takes 3 ms to load
            for line in file:
                if line.startswith(b"Umask:"):
                    return int(line[6:], 8)
    except OSError:  # without /proc every mode is set once more
        pass
    return 0o777


class PieceReader:
    """Reads objects by their places; neighbours are read ahead in one go.

    With `from_disk` the cached pages of each file are dropped first.
    """

    def __init__(self, *, from_disk: bool = False) -> None:
        """Open nothing yet."""
        self._from_disk = from_disk
        self._files: dict[str, int] = {}
        self._blocks: dict[tuple[str, int], bytes] = {}
        self._zstd = zstandard.ZstdDecompressor()
        self._path: str = ""
        self._start = 0
        self._end = 0
        self._window = b""

    def close(self) -> None:
        """Close what is open."""
        while self._files:
            os.close(self._files.popitem()[1])

    def read(self, piece: Piece, *, trusting: bool = False) -> bytes:
        """Return the bytes of an object.

        Args:
            piece: where it lies.
            trusting: leave out the hash, because that of the whole file will be compared.

        Raises:
            BadPieceError: they are damaged, or the file is gone, or the disk fails.
        """
        digest, raw, path, offset, stored, start, size = piece
        if start >= 0:
            data = self._block(path, offset, stored, size)[start : start + raw]
        elif start == PLAIN:
            data = self._frame(path, offset, stored)
        else:
            data = self._decompress(self._frame(path, offset, stored), raw)
        if len(data) != raw or not (trusting or hashlib.sha256(data).digest() == digest):
            raise BadPieceError
        return data

    def _block(self, path: str, offset: int, stored: int, size: int) -> bytes:
        key = path, offset
        found = self._blocks.pop(key, None)
        if found is None:
            found = self._decompress(self._frame(path, offset, stored), size)
            if len(self._blocks) >= _MOST_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
        self._blocks[key] = found  # the last one now
        return found

    def _decompress(self, frame: bytes, size: int) -> bytes:
        try:
            # The frame may be damaged: its own idea of the size must not decide on memory.
            if zstandard.frame_content_size(frame) != size:
                raise BadPieceError
            return self._zstd.decompress(frame, max_output_size=size)
        except zstandard.ZstdError:
            raise BadPieceError from None

    def _frame(self, path: str, offset: int, stored: int) -> bytes:
        begin = offset - self._start
        if path != self._path or begin < 0 or offset + stored > self._end:
            self._fill(path, offset, stored)
            begin = 0
        return self._window[begin : begin + stored]

    def _fill(self, path: str, offset: int, stored: int) -> None:
        near = path == self._path and 0 <= offset - self._end < _NEAR
        try:
            fd = self._files.get(path)
            if fd is None:
                fd = self._open(path)
            self._window = os.pread(fd, max(stored, _AHEAD) if near else stored, offset)
        except OSError:  # the file is gone, or the disk fails
            raise BadPieceError from None
        self._path, self._start, self._end = path, offset, offset + len(self._window)

    def _open(self, path: str) -> int:
        if len(self._files) >= _MOST_OPEN:
            os.close(self._files.pop(next(iter(self._files))))
        fd = self._files[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if self._from_disk:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        return fd

    def check(self, content: Content) -> int:
        """Read one content and compare its hash; return its length.

        Raises:
            BadPieceError: it is damaged, or the file is gone, or the disk fails.
        """
        digest, pieces = content
        if len(pieces) == 1:
            return len(self.read(pieces[0]))
        whole = hashlib.sha256()
        size = 0
        for piece in pieces:
            data = self.read(piece, trusting=True)
            whole.update(data)
            size += len(data)
        if whole.digest() != digest:
            raise BadPieceError
        return size


class DirChain:
    """Opens directories below one by their paths, following no link.

    Those on the way to the last one stay open, so that its neighbours cost one call each.
    """

    def __init__(self, top: int) -> None:
        """Begin at the directory open at `top`, which stays the caller's."""
        self._fds = [top]
        self._parts: list[bytes] = []

    def open(self, path: bytes) -> int:
        """Return the descriptor of a directory, which is good until the next call."""
        parts = path.split(b"/") if path else []
        same = 0
        for ours, theirs in zip(self._parts, parts, strict=False):
            if ours != theirs:
                break
            same += 1
        self._close_to(same)
        for part in parts[same:]:
            self._fds.append(open_dir(part, self._fds[-1]))
            self._parts.append(part)
        return self._fds[-1]

    def _close_to(self, depth: int) -> None:
        while len(self._parts) > depth:
            self._parts.pop()
            os.close(self._fds.pop())

    def close(self) -> None:
        """Close what this has opened."""
        self._close_to(0)


def write_file(fd: int, file: File, reader: PieceReader, mask: int) -> int:
    """Create a file in the directory open at `fd`; return its length. A failure leaves nothing.

    Raises:
        BadPieceError: the content is damaged, or not to be had, where it was looked for.
        OSError: the file cannot be written, or is there already.
    """
    name, mode, uid, gid, mtime_ns, digest, pieces = file
    alone = reader.read(pieces[0]) if len(pieces) == 1 else None
    out = os.open(name, _CREATE, mode & 0o1777, dir_fd=fd)
    try:
        size = _write_many(out, digest, pieces, reader) if alone is None else _write(out, alone)
        if uid >= 0:
            st = os.fstat(out)
            if (st.st_uid, st.st_gid) != (uid, gid):
                os.fchown(out, uid, gid)
        if mode & (mask | _SPECIAL_BITS):
            os.fchmod(out, mode)
        os.utime(out, ns=(mtime_ns, mtime_ns))
    except BaseException:
        os.unlink(name, dir_fd=fd)
        raise
    finally:
        os.close(out)
    return size


def _write(out: int, data: bytes) -> int:
    size = len(data)
    if size:
        done = os.write(out, data)
        while done < size:  # the reason of a short write comes out as an error
            done += os.write(out, memoryview(data)[done:])
    return size


def _write_many(out: int, digest: bytes, pieces: list[Piece], reader: PieceReader) -> int:
    whole = hashlib.sha256()
    size = 0
    for piece in pieces:
        data = reader.read(piece, trusting=True)
        whole.update(data)
        size += _write(out, data)
    if whole.digest() != digest:
        raise BadPieceError
    return size


def write_batch(chain: DirChain, batch: Batch, reader: PieceReader, mask: int) -> tuple[int, ...]:
    """Write a batch; return the bytes written, then pairs of places of what could not be."""
    size = 0
    failed: list[int] = []
    for number, (path, files) in enumerate(batch):
        fd = chain.open(path)
        for at, file in enumerate(files):
            try:
                size += write_file(fd, file, reader, mask)
            except (BadPieceError, OSError):
                failed += (number, at)
    return (size, *failed)


def check_all(contents: list[Content], reader: PieceReader) -> tuple[int, ...]:
    """Read contents; return the bytes read, then the places of those that are damaged."""
    size = 0
    failed: list[int] = []
    for at, content in enumerate(contents):
        try:
            size += reader.check(content)
        except BadPieceError:
            failed.append(at)
    return (size, *failed)


def serve(requests: BinaryIO, answers: int, top: int) -> None:
    """Do what is asked until nothing more can be asked.

    Args:
        requests: marshalled batches or lists of contents, each after its length.
        answers: where the marshalled answers go.
        top: the directory to write below; -1: read from the disk and compare only.
    """
    gc.disable()  # nothing here goes round in circles
    os.umask(0)
    reader = PieceReader(from_disk=top < 0)
    chain = DirChain(top)
    while len(head := requests.read(LENGTH_BYTES)) == LENGTH_BYTES:
        data = requests.read(int.from_bytes(head, "little"))
        asked = marshal.loads(data)  # noqa: S302 - it comes from the process that started this one
        answer = check_all(asked, reader) if top < 0 else write_batch(chain, asked, reader, 0)
        told = marshal.dumps(answer)
        os.write(answers, len(told).to_bytes(LENGTH_BYTES, "little") + told)


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.fileno(), int(sys.argv[1]))
