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
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

LARGEST_WHOLE: Final = 256
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


def put_directory(
    sink: Sink,
    entries: Mapping[bytes, bytes],
    *,
    before: Parts = (),
    touched: Collection[bytes] = (),
) -> Directory:
    """Store a directory.

    Args:
        sink: where it goes.
        entries: name to encoded entry.
        before: the parts that it had, when they are known.
        touched: all names whose entries came, went or changed since.
    """
    if not entries:
        return Directory(EMPTY_TREE, ())
    if len(entries) <= LARGEST_WHOLE:
        return Directory(_put(sink, [entries[name] for name in sorted(entries)]), ())
    runs = _split_again(entries, before, touched) if before else _split(sorted(entries))
    parts = tuple(
        run
        if isinstance(run, Part)
        else Part(tuple(run), _put(sink, [entries[name] for name in run]))
        for run in runs
    )
    data = PARTS_MAGIC + b"".join([part.digest for part in parts])
    digest = sha256(data)
    sink.put(digest, data)
    return Directory(digest, parts)


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


def _split_again(
    entries: Mapping[bytes, bytes], before: Parts, touched: Collection[bytes]
) -> Iterator[list[bytes] | Part]:
    """Cut as `_split` would, keeping parts in which nothing was touched."""
    firsts = [part.names[0] for part in before]
    changed: dict[int, set[bytes]] = {}
    for name in touched:
        changed.setdefault(max(0, bisect_right(firsts, name) - 1), set()).add(name)
    carried: list[bytes] = []  # names of parts that lost the one which ended them
    for index, part in enumerate(before):
        fresh = changed.get(index)
        if fresh is None and not carried:
            yield part
            continue
        names = carried + list(part.names)
        if fresh is not None:
            names = sorted(name for name in fresh.union(names) if name in entries)
        carried = []
        for run in _split(names):
            if _ends_part(run[-1]):
                yield run
            else:
                carried = run
    if carried:
        yield carried
