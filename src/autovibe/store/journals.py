"""The journals of a store: one of this process, which is written to, and those of others.

A journal takes what is small: one synced write makes a snapshot and its ref durable. Later it is
folded, which is to say that what it holds is written as a pack and as files of refs.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from autovibe.kernel import faults
from autovibe.store import journalfile
from autovibe.store.files import store_writes, sync_dir, write_all
from autovibe.store.journalfile import FIRST, JOURNAL_BYTES, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from autovibe.store.files import TemporaryFile
    from autovibe.store.journalfile import Fresh
    from autovibe.store.packfile import Location
    from autovibe.store.sealing import PackSeal, Seal

SUFFIX: Final = ".journal"
VOIDS: Final = ".voids"
# The next journal is made when this one is half full, so that nobody waits for it.
_HALF: Final = JOURNAL_BYTES // 2
# A disk with less room than this gets no new journals: packs take what they hold and no more.
_SPARED: Final = 8 * JOURNAL_BYTES
# What is larger than this goes into a pack at once.
MOST_BYTES: Final = 2 << 20


@dataclass(slots=True)
class Journal:
    """What is known of one journal: `read` is how far, `refs` name to value and place.

    Of one whose writer is `dead` everything has been read.
    """

    name: str
    salt: bytes
    read: int = FIRST
    records: dict[bytes, Location] = field(default_factory=dict[bytes, "Location"])
    refs: dict[str, tuple[bytes, int]] = field(default_factory=dict[str, tuple[bytes, int]])
    voids: dict[str, int] = field(default_factory=dict[str, int])
    void_bytes: int = 0
    dead: bool = False

    def take(self, found: Transaction) -> None:
        """Take the next transaction."""
        self.records.update(found.records)
        self.refs.update({name: (value, found.start) for name, value in found.refs.items()})
        self.read = max(self.read, found.end)

    def ref(self, name: str) -> bytes | None:
        """Return the value of a ref; None when this journal does not say."""
        value, at = self.refs.get(name, (None, 0))
        return value if at >= self.voids.get(name, 0) else None


@dataclass(slots=True)
class Own:
    """The journal that this process writes."""

    journal: Journal
    file: TemporaryFile
    seal: PackSeal | None
    used: int = FIRST


class Journals:
    """All journals of a store. Thread-safe."""

    def __init__(self, path: Path, seal: Seal | None) -> None:
        """Take the store at `path`; this process writes no journal before `enabled` is set."""
        self.enabled = False
        self.path = path / "journals"
        self._store = path
        self._seal = seal
        self._lock = threading.RLock()  # of what is known
        self._writing = threading.Lock()  # of our own journal
        self._known: dict[str, Journal] = {}
        self._damaged: set[str] = set()
        self._new: dict[str, dict[bytes, Location]] = {}
        self._own: Own | None = None
        self._next: tuple[str, TemporaryFile, bytes] | None = None
        self._full: list[Own] = []
        # Weak: the store owns its journals, and must not be kept by them.
        self.on_full: Callable[[], Callable[[], None] | None] = lambda: None

    def __del__(self) -> None:
        """Let go of our journals, so that whoever opens the store next can fold them."""
        try:
            for own in (*self._full, *filter(None, (self._own,))):
                own.file.close()
            if self._next is not None:
                self._next[1].close()
        except TypeError:  # the interpreter is ending, and its modules are gone
            return

    def _tell_full(self) -> None:
        hear = self.on_full()
        if hear is not None:
            hear()

    # What is known of all journals.

    def refresh(self) -> None:
        """Look at every journal: read what has come, forget those that are gone."""
        with self._lock:
            try:
                names = {n[: -len(SUFFIX)] for n in os.listdir(self.path) if n.endswith(SUFFIX)}  # noqa: PTH208 - at each snapshot
            except FileNotFoundError:  # a store of an older format that cannot be written
                names = set[str]()
            for name in self._known.keys() - names:
                del self._known[name]
                self._new.pop(name, None)
            self._damaged &= names
            for name in names - self._damaged:
                self._look(name)

    def _look(self, name: str) -> None:
        known = self._known.get(name)
        if self._own is None or self._own.journal is not known:
            try:
                fd = os.open(self._file(name, SUFFIX), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:  # folded since it was listed
                self._known.pop(name, None)
                return
            try:
                known = self._read(fd, name, known)
            finally:
                os.close(fd)
        if known is not None:
            self._read_voids(known)

    def _read(self, fd: int, name: str, known: Journal | None) -> Journal | None:
        state = journalfile.read_state(fd)
        if state.retired:
            return known
        if known is None:
            salt = journalfile.read_salt(fd)
            if salt is None:
                self._damaged.add(name)
                return None
            known = self._known[name] = Journal(name, salt)
        if not (state.closed or known.dead) and _is_free(fd):
            self._read_to_end(fd, known)
        else:
            self._read_on(fd, known, state.acknowledged)
        return known

    def _read_to_end(self, fd: int, known: Journal) -> None:
        """Read all of a dead writer's journal.

        What he last said may not have reached the disk, nor what he last wrote.
        """
        os.fdatasync(fd)
        self._read_on(fd, known, os.fstat(fd).st_size)
        known.dead = True

    def _read_on(self, fd: int, known: Journal, stop: int) -> None:
        if stop > known.read:
            for each in journalfile.read_transactions(fd, known, known.read, stop):
                if each.whole:
                    known.take(each)
                    self._new.setdefault(known.name, {}).update(each.records)

    def take_new(self) -> dict[str, dict[bytes, Location]]:
        """Return the objects that others have written since the last call, by journal."""
        with self._lock:
            new, self._new = self._new, {}
            return new

    def _read_voids(self, known: Journal) -> None:
        path = self._file(known.name, VOIDS)
        try:
            size = os.stat(path).st_size  # noqa: PTH116 - at each snapshot
            if size != known.void_bytes:
                with open(path, "rb") as file:  # noqa: PTH123 - as above
                    data = file.read()
                known.voids, known.void_bytes = journalfile.read_voids(data)[0], len(data)
        except FileNotFoundError:
            return

    def _file(self, name: str, suffix: str) -> str:
        return f"{self.path}/{name}{suffix}"

    def is_journal(self, pack: str) -> bool:
        """Say whether objects lie in a journal of this name."""
        with self._lock:
            return pack in self._known

    def names(self) -> set[str]:
        """Return the journals that are known and not damaged."""
        with self._lock:
            return set(self._known)

    def damaged(self) -> set[str]:
        """Return the journals that cannot be read at all."""
        with self._lock:
            return set(self._damaged)

    def ref(self, name: str) -> bytes | None:
        """Return the value of a ref that stands in a journal; None when it stands in none."""
        with self._lock:
            for _, known in sorted(self._known.items()):
                value = known.ref(name)
                if value is not None:
                    return value
        return None

    def ref_names(self) -> set[str]:
        """Return the names of the refs that stand in journals."""
        with self._lock:
            return {
                name
                for known in self._known.values()
                for name in known.refs
                if known.ref(name) is not None
            }

    # Writing our own.

    def fits(self, size: int) -> bool:
        """Say whether objects of so many bytes go into the journal."""
        return self.enabled and size <= MOST_BYTES

    def commit(
        self, objects: Sequence[Fresh], refs: Sequence[tuple[str, bytes]] = ()
    ) -> tuple[str, dict[bytes, Location]]:
        """Make objects and refs durable together; the caller holds the shared lock of the store.

        Returns:
            The journal, and where in it the objects lie.

        Raises:
            StoreFullError: no space is left.
            StoreReadOnlyError: the store cannot be written.
        """
        with self._writing, store_writes(self._store):
            own = self._with_room(journalfile.length(objects, refs))
            # What others say of these refs now is over then; what they say from now on is not.
            stale = [(name, self.holding(name, but=own.journal.name)) for name, _ in refs]
            try:
                written = self._append(own, objects, refs)
            except BaseException:
                self._abandon(own)
                raise
            for name, places in stale:
                for journal, end in places:
                    with self.guarded(journal) as fd:
                        self._void(journal, fd, name, end)
            if own.used > _HALF and self._next is None:
                self._tell_full()
        return own.journal.name, written.records

    def _append(
        self, own: Own, objects: Sequence[Fresh], refs: Sequence[tuple[str, bytes]]
    ) -> Transaction:
        fd, known = own.file.fd, own.journal
        written = journalfile.append(fd, own.used, known, objects, refs, own.seal)
        faults.reach("journal_written")
        os.fdatasync(fd)
        faults.reach("journal_synced")
        journalfile.acknowledge(fd, written.end)
        own.used = written.end
        with self._lock:
            known.take(written)
        faults.reach("journal_acknowledged")
        return written

    def _with_room(self, size: int) -> Own:
        own = self._own
        if own is not None and own.used + size > JOURNAL_BYTES:
            journalfile.close(own.file.fd, own.used)
            self._full.append(own)
            self._own = own = None
            self._tell_full()
        if own is None:
            name, file, salt = self._next or self._make()
            self._next = None
            try:
                file.rename(self.path / f"{name}{SUFFIX}")
                faults.reach("journal_shown")
                sync_dir(self.path)
            except BaseException:
                file.close()
                raise
            seal = None if self._seal is None else self._seal.pack(name)
            own = self._own = Own(Journal(name, salt), file, seal)
            with self._lock:
                self._known[name] = own.journal
        return own

    def _make(self) -> tuple[str, TemporaryFile, bytes]:
        disk = os.statvfs(self._store)
        if disk.f_bavail * disk.f_frsize < _SPARED:
            # What asks for this much at once would fill the disk for everybody else on it.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        name = uuid.uuid4().hex
        made = (name, *journalfile.create(self._store / "tmp", name))
        faults.reach("journal_created")
        return made

    def prepare(self) -> None:
        """Make the next journal, so that nobody has to wait for it."""
        with self._writing:
            if self._next is not None:
                return
        with store_writes(self._store):
            made = self._make()
        with self._writing:
            if self._next is None:
                self._next = made
                return
        made[1].close()

    def _abandon(self, own: Own) -> None:
        """Write to a journal no more after a failure: what failed must not come back."""
        with contextlib.suppress(OSError):
            journalfile.close(own.file.fd, own.used)
        self._full.append(own)
        self._own = None

    def take_full(self, *, all_: bool = False) -> list[Own]:
        """Return our journals that are to be folded.

        Args:
            all_: end the one that is being written, too.
        """
        with self._writing:
            if all_ and self._own is not None:
                with store_writes(self._store):
                    journalfile.close(self._own.file.fd, self._own.used)
                self._full.append(self._own)
                self._own = None
            full, self._full = self._full, []
            return full

    def give_back(self, own: Own) -> None:
        """Keep a journal that could not be folded for another time."""
        with self._writing:
            self._full.append(own)

    # Folding, which `folding.py` does.

    def adopt(self, name: str, fd: int) -> None:
        """Read all of a journal of which the caller holds the lock, as its writer is dead."""
        with self._lock:
            known = self._known.get(name)
            state = journalfile.read_state(fd)
            if known is not None and not (known.dead or state.closed or state.retired):
                self._read_to_end(fd, known)

    def get(self, name: str) -> Journal | None:
        """Return what is known of a journal, with what has become void of late."""
        with self._lock:
            known = self._known.get(name)
            if known is not None:
                self._read_voids(known)
            return known

    def remove(self, name: str, fd: int) -> None:
        """Remove a journal of which everything is elsewhere; the caller holds `guarded`."""
        journalfile.retire(fd)
        faults.reach("journal_retired")
        os.unlink(self._file(name, SUFFIX))  # noqa: PTH108 - no Path at hand
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._file(name, VOIDS))  # noqa: PTH108 - as above
        with self._lock:
            self._known.pop(name, None)
            self._new.pop(name, None)

    # Refs that hold no longer.

    @contextlib.contextmanager
    def guarded(self, name: str) -> Generator[int]:
        """Hold the lock on the refs of a journal."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(self._file(name, VOIDS), flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield fd
        finally:
            os.close(fd)

    def holding(self, name: str, *, but: str = "") -> list[tuple[str, int]]:
        """Return the journals in which a ref stands, and up to where each was looked at."""
        with self._lock:
            self.refresh()
            return [
                # Of a dead writer's journal everything counts that is whole.
                (known.name, JOURNAL_BYTES if known.dead else known.read)
                for _, known in sorted(self._known.items())
                if known.name != but and known.ref(name) is not None
            ]

    @contextlib.contextmanager
    def replacing(self, name: str) -> Generator[None]:
        """Have what journals say of a ref hold until the end of the block, and not after it.

        Meanwhile no journal that has it is folded.
        """
        places = self.holding(name)
        with contextlib.ExitStack() as stack:
            fds = [stack.enter_context(self.guarded(journal)) for journal, _ in places]
            yield
            for (journal, end), fd in zip(places, fds, strict=True):
                self._void(journal, fd, name, end)

    def _void(self, journal: str, fd: int, name: str, end: int) -> None:
        if not os.path.exists(self._file(journal, SUFFIX)):  # noqa: PTH110 - no Path at hand
            with contextlib.suppress(FileNotFoundError):  # folded: its refs are files by now
                os.unlink(self._file(journal, VOIDS))  # noqa: PTH108 - as above
            return
        size = journalfile.read_voids(os.pread(fd, os.fstat(fd).st_size, 0))[1]
        os.ftruncate(fd, size)  # half a record of one who died
        os.lseek(fd, size, os.SEEK_SET)
        write_all(fd, journalfile.encode_void(name, end))
        os.fsync(fd)
        sync_dir(self.path)
        faults.reach("ref_voided")
        with self._lock:
            known = self._known.get(journal)
            if known is not None:
                self._read_voids(known)


def _is_free(fd: int) -> bool:
    """Say whether nobody alive writes to an open journal."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    fcntl.flock(fd, fcntl.LOCK_UN)
    return True
