"""Folding journals: what they hold becomes a pack and files of refs, and they are removed."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from autovibe.kernel import faults
from autovibe.store import journalfile
from autovibe.store.files import store_writes
from autovibe.store.journalfile import FIRST
from autovibe.store.journals import SUFFIX, VOIDS

if TYPE_CHECKING:
    from autovibe.store.guard import Guard
    from autovibe.store.journals import Journal
    from autovibe.store.packfile import Location
    from autovibe.store.packs import Objects
    from autovibe.store.refs import Refs


def fold_own(objects: Objects, refs: Refs, guard: Guard, *, all_: bool = False) -> None:
    """Fold the journals of this process that are full.

    Args:
        objects: the store.
        refs: its refs.
        guard: its locks.
        all_: the one that is being written, too.

    Raises:
        StoreFullError: no space is left; the journals stay, and nothing is lost.
        StoreReadOnlyError: the store cannot be written.
    """
    for own in objects.journals.take_full(all_=all_):
        try:
            _fold(objects, refs, guard, own.journal.name, own.file.fd)
        except BaseException:
            objects.journals.give_back(own)
            raise
        own.file.close()


def fold_dead(objects: Objects, refs: Refs, guard: Guard) -> None:
    """Fold the journals whose writers are dead; whoever opens the store meanwhile waits for it.

    Raises:
        StoreFullError: no space is left; the journals stay, and nothing is lost.
        StoreReadOnlyError: the store cannot be written.
    """
    journals = objects.journals
    if not any(journals.path.iterdir()):
        return
    with guard.recovering():
        objects.scan()
        names = {path.stem for path in journals.path.glob(f"*{SUFFIX}")}
        for name in sorted(names - journals.damaged()):
            try:
                fd = os.open(journals.path / f"{name}{SUFFIX}", os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # its writer lives
                continue
            else:
                journals.adopt(name, fd)
                objects.scan()
                _fold(objects, refs, guard, name, fd)
            finally:
                os.close(fd)
        _sweep_voids(objects)


def _fold(objects: Objects, refs: Refs, guard: Guard, name: str, fd: int) -> None:
    journals = objects.journals
    known = journals.get(name)
    if known is None:  # its last folding was cut short: it says of itself that it is void
        with journals.guarded(name), store_writes(objects.path):
            journals.remove(name, fd)
        return
    with guard.adding():
        with objects.writer() as writer:
            records = known.records | _left(known, fd)
            for address, at in sorted(records.items(), key=lambda record: record[1].offset):
                data = objects.fetch(address, at)
                if data is not None:
                    writer.copy(address, data)
            writer.finish()
            writer.show()
        faults.reach("journal_copied")
        with store_writes(objects.path), journals.guarded(name):
            known = journals.get(name) or known
            values = {ref: known.ref(ref) for ref in known.refs}
            refs.write_files({ref: value for ref, value in values.items() if value is not None})
            faults.reach("journal_folded")
            journals.remove(name, fd)
    objects.scan()


def _left(known: Journal, fd: int) -> dict[bytes, Location]:
    """Return where objects of damaged transactions may lie; each is hashed before it is used."""
    size = os.fstat(fd).st_size
    found = journalfile.read_transactions(fd, known, FIRST, size)
    left: dict[bytes, Location] = {}
    for each in found:
        if not each.whole:
            left |= {a: at for a, at in each.records.items() if a not in known.records}
    return left


def _sweep_voids(objects: Objects) -> None:
    """Remove what somebody noted of a journal that was being removed."""
    names = {path.name for path in objects.journals.path.iterdir()}
    for name in names:
        if name.endswith(VOIDS) and name.removesuffix(VOIDS) + SUFFIX not in names:
            (objects.journals.path / name).unlink(missing_ok=True)
