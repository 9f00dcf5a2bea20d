"""The second process of a look at every entry: `python -m autovibe.store.sweeper FD`.

It keeps the stamps of its share of a tree, and says which no longer hold. It decides nothing: what
it says is looked at by the process that started it (see `sweeping.py`).
"""

from __future__ import annotations

import array
import marshal
import os
import socket
import sys
from typing import Final

from autovibe.store.stamps import STAMP_BYTES, stamp_of

# Path, stamp of the directory, names of its files joined by NUL, their stamps in this order.
Share = tuple[bytes, bytes, bytes, bytes]
Request = tuple[int, list[bytes], list[Share]]
"""Number of the request, directories to forget, directories to know from now on."""
Answer = tuple[int, int, list[bytes], list[bytes], list[tuple[bytes, bytes, bool]]]
"""Number of the request, entries looked at, directories that cannot be entered, that have changed;
directory and name of files that have changed, and whether the kernel tells of it by this name."""

HEAD_BYTES: Final = 8
_LOOK: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Sweeper:
    """Knows a share of a tree."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._shares: dict[bytes, tuple[bytes, bytes, bytes]] = {}
        self._order: list[tuple[list[bytes], bytes]] = []

    def learn(self, gone: list[bytes], shares: list[Share]) -> None:
        """Forget directories, then take what is known of others."""
        before = len(self._shares)
        for path in gone:
            self._shares.pop(path, None)
        fresh = not shares or any(path not in self._shares for path, *_ in shares)
        self._shares.update((path, (own, names, stamps)) for path, own, names, stamps in shares)
        if fresh or len(self._shares) != before:
            # Each directory before those below it, one subtree after the other.
            self._order = sorted((path.split(b"/"), path) for path in self._shares)

    def sweep(self, root: int, number: int) -> Answer:
        """Compare everything with the tree that is open at `root`."""
        answer: Answer = (0, 0, [], [], [])
        _, _, lost, listed, files = answer
        looked = 0
        chain: list[tuple[bytes, int]] = []
        away: list[bytes] = []
        try:
            for parts, path in self._order:
                if away and parts[: len(away)] == away:  # below one that cannot be entered
                    continue
                fd = _enter(root, chain, parts)
                if fd < 0:
                    away = parts[: len(chain) + 1]
                    lost.append(b"/".join(away))
                    continue
                own, names, stamps = self._shares[path]
                looked += 1
                if stamp_of(os.fstat(fd)) != own:
                    listed.append(path)
                elif names:
                    looked += _compare(fd, path, names, stamps, files)
        finally:
            for _, fd in chain:
                os.close(fd)
        return number, looked, lost, listed, files


def _enter(root: int, chain: list[tuple[bytes, int]], parts: list[bytes]) -> int:
    """Open a directory by way of those that are open already; -1 when one cannot be entered."""
    same = 0
    while same < len(chain) and same < len(parts) and chain[same][0] == parts[same]:
        same += 1
    while len(chain) > same:
        os.close(chain.pop()[1])
    for part in parts[same:]:
        try:
            fd = os.open(part, _LOOK, dir_fd=chain[-1][1] if chain else root)
        except OSError:
            return -1
        chain.append((part, fd))
    return chain[-1][1]


def _compare(
    fd: int, path: bytes, names: bytes, stamps: bytes, files: list[tuple[bytes, bytes, bool]]
) -> int:
    look, at = os.stat, 0
    for name in names.split(b"\0"):
        try:
            st = look(name, dir_fd=fd, follow_symlinks=False)
        except OSError:
            files.append((path, name, True))
        else:
            if not stamps.startswith(stamp_of(st), at):
                # Of several names of a file the kernel tells one only.
                files.append((path, name, st.st_nlink == 1))
        at += STAMP_BYTES
    return at // STAMP_BYTES


def _receive(peer: socket.socket) -> tuple[Request, int] | None:
    """Wait for a request and the root that comes with it; None when there will be none."""
    room = socket.CMSG_SPACE(array.array("i").itemsize)
    head, ancillary, _, _ = peer.recvmsg(HEAD_BYTES, room)
    fds = array.array("i")
    for _, _, data in ancillary:
        fds.frombytes(data)
    missing = HEAD_BYTES - len(head)
    head += _read(peer, missing) if head else b""
    if not head or not fds:
        return None
    return marshal.loads(_read(peer, int.from_bytes(head, "little"))), fds[0]  # noqa: S302 - from the process that started this one


def _read(peer: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = peer.recv(min(size - len(data), 1 << 20))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def main() -> int:
    """Answer until the other process is gone."""
    sweeper = Sweeper()
    with socket.socket(fileno=int(sys.argv[1])) as peer:
        try:
            while (found := _receive(peer)) is not None:
                (number, gone, shares), root = found
                try:
                    sweeper.learn(gone, shares)
                    data = marshal.dumps(sweeper.sweep(root, number))
                finally:
                    os.close(root)
                peer.sendall(len(data).to_bytes(HEAD_BYTES, "little") + data)
        except (EOFError, ConnectionError):
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
