"""Writing directories: a large one in parts, of which a change touches one.

Where a part ends depends on names alone, so that equal directories have equal ids whatever their
history (docs/formats/store.md, Parts).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol
from zlib import crc32

from autovibe.store.packfile import HASH_BYTES, sha256
from autovibe.store.tree import EMPTY_TREE, PARTS_MAGIC, TREE_MAGIC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

LARGEST_WHOLE: Final = 256
_LAST_OF_PART: Final = 63  # of the checksum of a name: one name in 64 ends a part


Run = tuple[bytes, ...]


class Sink(Protocol):
    """Where objects go."""

    def put(self, digest: bytes, data: bytes) -> None:
        """Keep an object."""
        ...


class Parts(NamedTuple):
    """The parts of a large directory: the names in each, and the ids of all in a row."""

    runs: tuple[Run, ...]
    digests: bytes


class Directory(NamedTuple):
    """A stored directory; `parts` is None when it is a single tree."""

    digest: bytes
    parts: Parts | None


def put_directory(sink: Sink, entries: Mapping[bytes, bytes]) -> Directory:
    """Store a directory.

    Args:
        sink: where it goes.
        entries: name to encoded entry.
    """
    if not entries:
        return Directory(EMPTY_TREE, None)
    names = sorted(entries)
    if len(names) <= LARGEST_WHOLE:
        return Directory(_put(sink, map(entries.__getitem__, names)), None)
    runs = list(map(tuple, _split(names)))
    return _put_parts(sink, runs, [_put(sink, map(entries.__getitem__, run)) for run in runs])


def put_again(
    sink: Sink,
    before: Parts,
    changes: Mapping[bytes, bytes | None],
    kept: Callable[[Run], list[bytes]],
) -> Directory:
    """Store a directory that had parts and still has so many entries that it needs some.

    Parts in which nothing has changed are not looked at.

    Args:
        sink: where it goes.
        before: the parts that it had.
        changes: encoded entries that came or changed since; None for those that went.
        kept: returns the encoded entries of other names.
    """
    touched: dict[int, list[bytes]] = {}
    for name in sorted(changes):
        index = max(0, bisect_right(before.runs, name, key=_first_name) - 1)
        touched.setdefault(index, []).append(name)
    again = _Again(sink, before, changes, kept)
    at = 0
    for index in sorted(touched):
        if index >= at:  # else it was cut anew together with the one before it
            again.keep(at, index)
            at = again.cut(index, touched)
    again.keep(at, len(before.runs))
    return _put_parts(sink, again.runs, again.digests)


class _Again:
    """The parts that a directory gets."""

    def __init__(
        self,
        sink: Sink,
        before: Parts,
        changes: Mapping[bytes, bytes | None],
        kept: Callable[[Run], list[bytes]],
    ) -> None:
        self.runs: list[Run] = []
        self.digests: list[bytes] = []
        self._sink = sink
        self._before = before
        self._changes = changes
        self._kept = kept

    def keep(self, start: int, stop: int) -> None:
        """Take parts as they are."""
        self.runs += self._before.runs[start:stop]
        self.digests.append(self._before.digests[start * HASH_BYTES : stop * HASH_BYTES])

    def cut(self, at: int, touched: Mapping[int, list[bytes]]) -> int:
        """Cut a part anew, and those after it until one ends where it did; return the next."""
        changes, before = self._changes, self._before.runs
        carried: Run = ()  # names of parts that lost the one which ended them
        while at < len(before) and (carried or at in touched):
            names, fresh = before[at], touched.get(at, [])
            at += 1
            if not carried and all(changes[n] is not None and _has(names, n) for n in fresh):
                self._put(names, fresh)  # the same names are cut at the same places
                continue
            present = {*carried, *names, *fresh}
            whole = sorted(n for n in present if changes.get(n, n) is not None)
            runs = list(map(tuple, _split(whole)))
            carried = runs.pop() if runs and not _ends_part(runs[-1][-1]) else ()
            for run in runs:
                self._put(run, [name for name in run if name in changes])
        if carried:
            self._put(carried, [name for name in carried if name in changes])
        return at

    def _put(self, names: Run, fresh: Iterable[bytes]) -> None:
        """Store a part of which these names, in order, have changed."""
        entries: list[bytes] = []
        at = 0
        for name in fresh:
            data = self._changes[name]
            assert data is not None
            index = bisect_left(names, name)
            entries += self._kept(names[at:index])
            entries.append(data)
            at = index + 1
        entries += self._kept(names[at:])
        self.runs.append(names)
        self.digests.append(_put(self._sink, entries))


def _first_name(run: Run) -> bytes:
    return run[0]


def _has(run: Run, name: bytes) -> bool:
    index = bisect_left(run, name)
    return index < len(run) and run[index] == name


def _put_parts(sink: Sink, runs: Sequence[Run], digests: Iterable[bytes]) -> Directory:
    ids = b"".join(digests)
    data = PARTS_MAGIC + ids
    digest = sha256(data)
    sink.put(digest, data)
    return Directory(digest, Parts(tuple(runs), ids))


def _put(sink: Sink, entries: Iterable[bytes]) -> bytes:
    data = TREE_MAGIC + b"".join(entries)
    digest = sha256(data)
    sink.put(digest, data)
    return digest


def _ends_part(name: bytes) -> bool:
    return crc32(name) & _LAST_OF_PART == _LAST_OF_PART


def _split(names: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Cut sorted names after each that ends a part; the last run may lack such a name."""
    run: list[bytes] = []
    for name in names:
        run.append(name)
        if _ends_part(name):
            yield run
            run = []
    if run:
        yield run
