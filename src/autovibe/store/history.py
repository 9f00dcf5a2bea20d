"""The history of a path: the snapshots in which it is not what it was before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autovibe.store import reading, tree
from autovibe.store.diff import change_of
from autovibe.store.errors import (
    ObjectCorruptError,
    ObjectMissingError,
    PathNotFoundError,
    UnsafeTreeError,
)
from autovibe.store.model import LogEntry
from autovibe.store.refs import parse_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autovibe.store.model import ChangeKind
    from autovibe.store.packs import Objects
    from autovibe.store.refs import Ref
    from autovibe.store.tree import TreeEntry


class History:
    """Snapshots with their parents, from the refs that name them."""

    def __init__(self, objects: Objects, refs: list[Ref]) -> None:
        """Take the refs, the newest first."""
        self._objects = objects
        self._refs = refs
        self._by_root: dict[str, list[Ref]] = {}
        for ref in refs:
            self._by_root.setdefault(ref.root, []).append(ref)

    def log(self, path: str, start: str | None) -> Iterator[LogEntry]:
        """Yield the changes of a path, the newest first (see `Store.log`)."""
        chain = list(self._ancestry(start)) if start else list(self._by_root)
        for position, root in enumerate(chain):
            refs = self._by_root.get(root, [])
            parents = tuple(dict.fromkeys(p for ref in refs for p in ref.parents if p != root))
            before = parents or self._older(chain[position + 1 :], refs, start)
            change, entry = self._compare(root, before, path)
            if change is not None:
                yield LogEntry(
                    root=root,
                    refs=tuple(ref.name for ref in refs),
                    parents=parents,
                    at_ns=max((ref.at_ns for ref in refs), default=0),
                    note=next((ref.note for ref in refs if ref.note), ""),
                    change=change,
                    entry=None if entry is None else tree.public(entry, tree.to_bytes(path)),
                )

    def _ancestry(self, start: str) -> Iterator[str]:
        """Yield a snapshot and those that it was made from, each once, nearest first."""
        waiting, met = [start], {start}
        while waiting:
            root = waiting.pop(0)
            yield root
            for ref in self._by_root.get(root, []):
                for parent in ref.parents:
                    if parent not in met:
                        met.add(parent)
                        waiting.append(parent)

    def _older(self, older: list[str], refs: list[Ref], start: str | None) -> tuple[str, ...]:
        """Return what to compare with where no parent is known: the one before by time."""
        if start is not None:
            return ()
        spaces = {ref.name.rpartition("/")[0] for ref in refs}
        for root in older:
            if any(ref.name.rpartition("/")[0] in spaces for ref in self._by_root[root]):
                return (root,)
        return ()

    def _compare(
        self, root: str, before: tuple[str, ...], path: str
    ) -> tuple[ChangeKind | None, TreeEntry | None]:
        """Compare with all parents: what one of them has already is no change (a merge)."""
        new = self._find(root, path)
        changes: list[ChangeKind | None] = [
            change_of(self._find(parent, path), new) for parent in before or ("",)
        ]
        return (None if None in changes else changes[0]), new

    def _find(self, root: str, path: str) -> TreeEntry | None:
        """Find the path; None when it is not there, or the snapshot itself is there no more."""
        if not root:
            return None
        try:
            return reading.find(self._objects, parse_root(root), path).entry
        except PathNotFoundError:
            return None
        except (ObjectMissingError, ObjectCorruptError, UnsafeTreeError):
            if root in self._by_root:
                raise
            return None
