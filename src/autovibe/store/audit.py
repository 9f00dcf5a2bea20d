"""Auditing every ref: what is damaged, and which snapshots that concerns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from autovibe.store import tree
from autovibe.store.errors import ObjectCorruptError, ObjectMissingError, UnsafeTreeError
from autovibe.store.model import AuditResult, RefDamage
from autovibe.store.reading import check_depth
from autovibe.store.refs import parse_root
from autovibe.store.tree import decode_directory, decode_list, to_text
from autovibe.store.verify import verify_share

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from autovibe.store.model import Progress
    from autovibe.store.packs import Objects
    from autovibe.store.refs import Ref, Refs
    from autovibe.store.tree import TreeEntry

PATHS_KEPT: Final = 20
"""How many damaged paths of one snapshot are named."""


def audit_refs(
    objects: Objects, refs: Refs, progress: Callable[[Progress], None] | None
) -> AuditResult:
    """Read and hash all that refs need, each object once, and tell which refs damage concerns."""
    readable: list[Ref] = []
    unreadable: list[str] = []
    for name in refs.names():
        try:
            ref = refs.find(name)
        except ObjectCorruptError:
            unreadable.append(name)
        else:
            if ref is not None:
                readable.append(ref)
    found = verify_share(objects, {ref.root for ref in readable}, 1.0, 0, progress, alone=True)
    bad = {bytes.fromhex(damage.object) for damage in (*found.missing, *found.corrupt)}
    damaged: list[RefDamage] = []
    if bad:
        below = _Below(objects, bad)
        for ref in readable:
            harm = below.tree(parse_root(ref.root), 0)
            if harm.number:
                damaged.append(RefDamage(ref.name, ref.root, harm.number, harm.paths))
    return AuditResult(
        ok=not bad and not unreadable,
        refs=len(readable) + len(unreadable),
        objects=found.objects,
        bytes=found.bytes,
        damaged_objects=len(bad),
        damaged=tuple(damaged),
        unreadable=tuple(unreadable),
    )


class _Harm(NamedTuple):
    """How many paths below a directory are damaged, and the first of them."""

    number: int
    paths: tuple[str, ...]


@dataclass(slots=True)
class _Below:
    """Finds damaged paths; a directory that many snapshots share is opened once."""

    objects: Objects
    bad: Collection[bytes]
    _trees: dict[bytes, _Harm] = field(default_factory=dict[bytes, _Harm])
    _lists: dict[bytes, bool] = field(default_factory=dict[bytes, bool])

    def tree(self, digest: bytes, depth: int) -> _Harm:
        """Return what is damaged in a directory and below."""
        if digest == tree.EMPTY_TREE:
            return _Harm(0, ())
        if digest not in self._trees:
            self._trees[digest] = self._look(digest, depth)
        return self._trees[digest]

    def _look(self, digest: bytes, depth: int) -> _Harm:
        if digest in self.bad:
            return _Harm(1, ("",))
        try:
            check_depth(depth)
            entries = decode_directory(self.objects.get(digest), self.objects.get)
        except (ObjectMissingError, ObjectCorruptError, UnsafeTreeError):
            return _Harm(1, ("",))
        number = 0
        paths: list[str] = []
        for entry in entries:
            harm = self._entry(entry, depth)
            number += harm.number
            name = to_text(entry.name)
            paths += [f"{name}/{path}" if path else name for path in harm.paths]
        return _Harm(number, tuple(paths[:PATHS_KEPT]))

    def _entry(self, entry: TreeEntry, depth: int) -> _Harm:
        if entry.kind == tree.DIR:
            return self.tree(entry.digest, depth + 1)
        if entry.kind != tree.FILE or entry.flags & tree.UNREADABLE:
            return _Harm(0, ())
        damaged = self._list(entry) if entry.chunks else entry.digest in self.bad
        return _Harm(1, ("",)) if damaged else _Harm(0, ())

    def _list(self, entry: TreeEntry) -> bool:
        if entry.chunks in self.bad:
            return True
        if entry.chunks not in self._lists:
            try:
                chunks = decode_list(self.objects.get(entry.chunks), entry.size)
            except (ObjectMissingError, ObjectCorruptError, UnsafeTreeError):
                self._lists[entry.chunks] = True
            else:
                self._lists[entry.chunks] = any(chunk in self.bad for chunk in chunks)
        return self._lists[entry.chunks]
