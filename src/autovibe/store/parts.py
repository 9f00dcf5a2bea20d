"""Writing directories: a large one in parts, of which a change touches one.

Where a part ends depends on names alone, so that equal directories have equal ids whatever their
history (docs/formats/store.md, Parts).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol
from zlib import crc32

from autovibe.store.packfile import sha256
from autovibe.store.tree import EMPTY_TREE, PARTS_MAGIC, TREE_MAGIC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

LARGEST_WHOLE: Final = 256
_NOTHING: Final = frozenset[bytes]()
_LAST_OF_PART: Final = 63  # of the checksum of a name: one name in 64 ends a part


class Sink(Protocol):
    """Where objects go."""

    def put(self, digest: bytes, data: bytes) -> None:
        """Keep an object."""
        ...


class Part(NamedTuple):
    """One part of a large directory."""

    names: tuple[bytes, ...]
    digest: bytes


Parts = tuple[Part, ...]


class Directory(NamedTuple):
    """A stored directory; `parts` is empty when it is a single tree."""

    digest: bytes
    parts: Parts


def put_directory(sink: Sink, entries: Mapping[bytes, bytes]) -> Directory:
    """Store a directory.

    Args:
        sink: where it goes.
        entries: name to encoded entry.
    """
    if not entries:
        return Directory(EMPTY_TREE, ())
    names = sorted(entries)
    if len(names) <= LARGEST_WHOLE:
        return Directory(_put(sink, [entries[name] for name in names]), ())
    return _put_parts(
        sink,
        [Part(tuple(run), _put(sink, [entries[name] for name in run])) for run in _split(names)],
    )


def put_again(
    sink: Sink,
    before: Parts,
    changes: Mapping[bytes, bytes | None],
    kept: Callable[[Iterable[bytes]], list[bytes]],
) -> Directory:
    """Store a directory that had parts and still has so many entries that it needs some.

    Parts in which nothing has changed are not looked at.

    Args:
        sink: where it goes.
        before: the parts that it had.
        changes: encoded entries that came or changed since; None for those that went.
        kept: returns the encoded entries of other names.
    """
    touched: dict[int, set[bytes]] = {}
    for name in changes:
        index = max(0, bisect_right(before, name, key=_first_name) - 1)
        touched.setdefault(index, set()).add(name)

    def put(names: Sequence[bytes]) -> Part:
        entries: list[bytes] = []
        at = 0
        for index, name in enumerate(names):
            fresh = changes.get(name)
            if fresh is not None:
                entries += kept(names[at:index])
                entries.append(fresh)
                at = index + 1
        return Part(tuple(names), _put(sink, [*entries, *kept(names[at:])]))

    parts: list[Part] = []
    at = 0
    for index in sorted(touched):
        if index < at:  # it was cut anew together with the one before it
            continue
        parts += before[at:index]
        at = index
        carried: list[bytes] = []  # names of parts that lost the one which ended them
        while at < len(before) and (carried or at in touched):
            names = before[at].names
            fresh = touched.get(at, _NOTHING)
            at += 1
            if not carried and all(map(changes.get, fresh)) and fresh.issubset(names):
                parts.append(put(names))  # the same names, and so the same cuts
                continue
            runs = list(_split(_still_there(fresh.union(carried, names), changes)))
            carried = runs.pop() if runs and not _ends_part(runs[-1][-1]) else []
            parts += map(put, runs)
        if carried:
            parts.append(put(carried))
    return _put_parts(sink, [*parts, *before[at:]])


def _first_name(part: Part) -> bytes:
    return part.names[0]


def _still_there(names: Iterable[bytes], changes: Mapping[bytes, bytes | None]) -> list[bytes]:
    return sorted(name for name in names if changes.get(name, name) is not None)


def _put_parts(sink: Sink, parts: Sequence[Part]) -> Directory:
    data = PARTS_MAGIC + b"".join([part.digest for part in parts])
    digest = sha256(data)
    sink.put(digest, data)
    return Directory(digest, tuple(parts))


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
