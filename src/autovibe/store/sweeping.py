"""Looking at every entry that is known, and planning to look again at what differs.

Of a large tree a second process does a share (`sweeper.py`): half of the time goes into Python, and
threads would wait for each other. It is started afresh, never forked (decision A9), keeps stamps
only, and dies with this process. One that is gone or answers wrongly costs a second look.
"""

from __future__ import annotations

import heapq
import marshal
import os
import socket
import subprocess
import sys
import weakref
from typing import TYPE_CHECKING, Final, cast

from autovibe.store.stamps import RESTLESS, STAMP_BYTES, stamp_of
from autovibe.store.sweeper import HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autovibe.store.revisit import Place, Plan
    from autovibe.store.statcache import DirRecord, Known
    from autovibe.store.sweeper import Answer, Request, Share

_LOOK: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A smaller tree is looked at before the other process would have woken up.
LEAST_ENTRIES: Final = 4000
_ENTERING: Final = 2  # to enter a directory takes as long as to look at so many files
_LEAST_SHARE: Final = 5  # a fifth of all, or it is not worth a process
_PATIENCE_S: Final = 30.0
_BROKEN: Final = (OSError, EOFError, ValueError, TypeError, KeyError)


def sweep(
    fd: int,
    records: Mapping[bytes, DirRecord],
    plan: Plan,
    *,
    audit: bool = False,
    but: frozenset[bytes] = frozenset(),
) -> list[Place]:
    """Compare every known entry with its stamp, and plan to look at what differs.

    No name is listed anew where the directory itself has not changed, which takes half the time;
    where it has, its files are compared when they are listed.

    Args:
        fd: the root.
        records: what is known of it.
        plan: is added to.
        audit: compare all files here, so that none that has changed is left out of the result.
        but: directories that are not entered.

    Returns:
        Directory and name of what has changed for certain; without a name the directory itself.
    """
    found: list[Place] = []
    _Sweep(records, plan, found, but, audit=audit).directory(fd, b"", records[b""])
    return found


class _Sweep:
    def __init__(
        self,
        records: Mapping[bytes, DirRecord],
        plan: Plan,
        found: list[Place],
        but: frozenset[bytes],
        *,
        audit: bool,
    ) -> None:
        self._records = records
        self._plan = plan
        self._found = found
        self._but = but
        self._audit = audit

    def directory(self, fd: int, path: bytes, record: DirRecord) -> None:
        plan, found = self._plan, self._found
        prefix = path + b"/" if path else b""
        own = stamp_of(os.fstat(fd))
        listed = own != record.own or not record.tree
        if listed:
            plan.listings.add(path)
            if record.own not in {RESTLESS, own}:
                found.append((path, None))
        if self._audit or not listed:
            self._files(fd, path, record)
        for name in record.dirs:
            if prefix + name in self._but:
                continue
            child = self._records.get(prefix + name)
            if child is None:
                plan.look(path, name, surely=False)
                continue
            try:
                below = os.open(name, _LOOK, dir_fd=fd)
            except OSError:
                plan.look(path, name, surely=True)
                found.append((path, name))
                continue
            try:
                self.directory(below, prefix + name, child)
            finally:
                os.close(below)

    def _files(self, fd: int, path: bytes, record: DirRecord) -> None:
        look = os.stat
        for name, seen in record.files.items():
            try:
                st = look(name, dir_fd=fd, follow_symlinks=False)
            except OSError:
                self._plan.look(path, name, surely=False)
                self._found.append((path, name))
                continue
            if not seen.startswith(stamp_of(st)):
                self._plan.look(path, name, surely=False)
                # Of several names of a file the kernel tells one only; the snapshot finds the rest.
                if st.st_nlink == 1:
                    self._found.append((path, name))


def sweep_together(fd: int, known: Known, plan: Plan) -> None:
    """Do as `sweep` does, together with a second process where that is worth it."""
    if known.second is None and known.file_count >= known.alone_below:
        known.second = SecondSweeper.begin(known.records)
        known.alone_below = 2 * known.file_count + 1  # unless it grows: then it is tried again
    second = known.second
    if second is not None:
        try:
            second.ask(fd, known.records)
            sweep(fd, known.records, plan, but=second.tops)
            second.answer(known.records, plan)
        except _BROKEN:
            second.close()
            known.second, known.alone_below = None, sys.maxsize
        else:
            return
    sweep(fd, known.records, plan)


class SecondSweeper:
    """The other process: it knows all directories below `tops`, and those themselves."""

    def __init__(self, tops: frozenset[bytes], records: Mapping[bytes, DirRecord]) -> None:
        """Start it; it is told what it has to know with the first request."""
        self.tops = tops
        self._files: dict[bytes, int] = {}  # how many it knows in each of its directories
        self._stale = {path for path in records if _is_below(path, tops)}
        self._number = 0
        ours, theirs = socket.socketpair()
        with theirs:
            program = [sys.executable, "-P", "-m", "autovibe.store.sweeper", str(theirs.fileno())]
            self.process = subprocess.Popen(
                program,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # what interrupts this process must not interrupt it
            )
        ours.settimeout(_PATIENCE_S)
        self._peer = ours
        self.close = weakref.finalize(self, _end, ours, self.process)

    @classmethod
    def begin(cls, records: Mapping[bytes, DirRecord]) -> SecondSweeper | None:
        """Start one if it can take a fair share of a large tree."""
        if len(os.sched_getaffinity(0)) < 2:
            return None
        tops = _half(records)
        try:
            return cls(tops, records) if tops else None
        except OSError:  # too many processes or descriptors: then without it
            return None

    def forget(self, path: bytes) -> None:
        """Note that what it knows of a directory holds no longer."""
        if _is_below(path, self.tops):
            self._stale.add(path)

    def ask(self, fd: int, records: Mapping[bytes, DirRecord]) -> None:
        """Have it begin, after it has learned what has changed since."""
        gone: list[bytes] = []
        shares: list[Share] = []
        for path in self._stale:
            record = records.get(path)
            if record is None:
                gone.append(path)
                self._files.pop(path, None)
                continue
            # One without a tree is listed in any case.
            own = record.own if record.own is not None and record.tree else RESTLESS
            stamps = b"".join([seen[:STAMP_BYTES] for seen in record.files.values()])
            shares.append((path, own, b"\0".join(record.files), stamps))
            self._files[path] = len(record.files)
        self._stale.clear()
        self._number += 1
        request: Request = (self._number, gone, shares)
        data = marshal.dumps(request)
        head = len(data).to_bytes(HEAD_BYTES, "little")
        sent = socket.send_fds(self._peer, [head], [fd])
        self._peer.sendall(head[sent:] + data)

    def answer(self, records: Mapping[bytes, DirRecord], plan: Plan) -> None:
        """Add to the plan what it has found.

        Raises:
            ValueError: it has not looked at all that it should know.
            OSError: it is gone, or does not answer.
        """
        size = int.from_bytes(self._read(HEAD_BYTES), "little")
        said = cast("Answer", marshal.loads(self._read(size)))  # noqa: S302 - our own process
        number, looked, lost, listed, files = said
        unseen = sum(self._files[path] for path in listed)
        if lost:
            away = frozenset(lost)
            below = [path for path in self._files if _is_below(path, away)]
            unseen += sum(1 + self._files[path] for path in below)
        if number != self._number or looked + unseen != len(self._files) + sum(
            self._files.values()
        ):
            msg = "the other process has not looked at everything"
            raise ValueError(msg)
        for path in lost:
            parent, _, name = path.rpartition(b"/")
            plan.look(parent, name, surely=True)
        plan.listings.update(listed)
        for path, name, _ in files:
            if name not in records[path].files:
                raise KeyError(name)
            plan.look(path, name, surely=False)

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self._peer.recv(min(size - len(data), 1 << 20))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)


def _end(peer: socket.socket, process: subprocess.Popen[bytes]) -> None:
    peer.close()
    process.kill()
    process.wait()


def _is_below(path: bytes, tops: frozenset[bytes]) -> bool:
    """Say whether a path is one of these directories, or leads into one."""
    while path and path not in tops:
        path = path.rpartition(b"/")[0]
    return bool(path)


def _half(records: Mapping[bytes, DirRecord]) -> frozenset[bytes]:
    """Choose subtrees that hold about half of all entries; none when that is not possible."""
    weights: dict[bytes, int] = {}
    total = 0
    for path, record in records.items():
        own = len(record.files) + _ENTERING
        total += own
        at = path
        while at:
            weights[at] = weights.get(at, 0) + own
            at = at.rpartition(b"/")[0]
    if total < LEAST_ENTRIES:
        return frozenset()
    tops: list[bytes] = []
    missing = total // 2

    def below(path: bytes) -> list[tuple[int, bytes]]:
        prefix = path + b"/" if path else b""
        paths = [prefix + name for name in records[path].dirs]
        return [(-weights[child], child) for child in paths if child in records]

    heaviest = below(b"")
    heapq.heapify(heaviest)
    while heaviest and missing > total // 50:
        weight, path = heapq.heappop(heaviest)
        if -weight <= missing:
            tops.append(path)
            missing += weight
        else:
            for each in below(path):
                heapq.heappush(heaviest, each)
    taken = total // 2 - missing
    return frozenset(tops) if taken * _LEAST_SHARE >= total else frozenset()
