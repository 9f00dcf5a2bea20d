"""What differs between two snapshots; equal sub-trees are never opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autovibe.store import tree
from autovibe.store.model import Change
from autovibe.store.reading import check_depth
from autovibe.store.tree import TreeEntry, load_tree, public, to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autovibe.store.model import ChangeKind
    from autovibe.store.packs import Objects


def compare(objects: Objects, old: TreeEntry | None, new: TreeEntry | None) -> list[Change]:
    """Return the changes from one entry to another, sorted by the bytes of their paths.

    Paths are relative to the entry when it is a directory, else its own name. Times and owners
    are not looked at. A directory is its contents: it appears itself only when it is
    empty and was added or deleted.
    """
    entry = new if new is not None else old
    is_dir = any(side is not None and side.kind == tree.DIR for side in (old, new))
    path = b"" if is_dir or entry is None else entry.name
    changes = list(_pair(objects, path, old, new, 0))
    return sorted(changes, key=lambda change: to_bytes(change.path))


def _pair(
    objects: Objects, path: bytes, old: TreeEntry | None, new: TreeEntry | None, depth: int
) -> Iterator[Change]:
    check_depth(depth)
    old_dir = old is not None and old.kind == tree.DIR
    new_dir = new is not None and new.kind == tree.DIR
    if not (old_dir or new_dir):
        yield from _leaf(path, old, new)
        return
    if old_dir and new_dir and old is not None and new is not None and old.digest == new.digest:
        return
    olds = _children(objects, old)
    news = _children(objects, new)
    # What is no directory, or an empty one, stands for itself; a full one for what is in it.
    yield from _leaf(
        path,
        None if old_dir and (olds or new_dir) else old,
        None if new_dir and (news or old_dir) else new,
    )
    prefix = path + b"/" if path else b""
    for name in olds.keys() | news.keys():
        yield from _pair(objects, prefix + name, olds.get(name), news.get(name), depth + 1)


def _children(objects: Objects, entry: TreeEntry | None) -> dict[bytes, TreeEntry]:
    if entry is None or entry.kind != tree.DIR:
        return {}
    return {child.name: child for child in load_tree(objects, entry.digest)}


def _leaf(path: bytes, old: TreeEntry | None, new: TreeEntry | None) -> Iterator[Change]:
    kind = change_of(old, new)
    if kind is not None and path:
        yield Change(
            tree.to_text(path),
            kind,
            None if old is None else public(old, path),
            None if new is None else public(new, path),
        )


def change_of(old: TreeEntry | None, new: TreeEntry | None) -> ChangeKind | None:
    """Say how an entry differs from what it was; None when neither content nor mode does."""
    if old is None or new is None:
        if old is new:
            return None
        return "added" if old is None else "deleted"
    if old.kind != new.kind:
        return "type"
    if (old.digest, old.target, old.size) != (new.digest, new.target, new.size):
        return "modified"
    if old.mode != new.mode and old.kind != tree.SYMLINK:
        return "mode"
    return None
