"""Finding a path in a snapshot, listing what is below it, reading a file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from autovibe.store import tree
from autovibe.store.errors import NotAFileError, PathNotFoundError, UnsafeTreeError
from autovibe.store.tree import TreeEntry, is_safe_name, load_tree, to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autovibe.store.packs import Objects


class Located(NamedTuple):
    """An entry at a path of a snapshot, the path in raw bytes without slashes at the ends."""

    path: bytes
    entry: TreeEntry


def root_entry(root: bytes) -> TreeEntry:
    """Return the directory that holds the named roots; it has no attributes of its own."""
    return TreeEntry(b"", tree.DIR, 0o700, 0, 0, 0, digest=root)


def find(objects: Objects, root: bytes, path: str) -> Located:
    """Find a path in a snapshot; the empty one is the directory of the named roots.

    Raises:
        PathNotFoundError: the snapshot does not have it.
        ObjectMissingError: a tree on the way is not in the store.
        ObjectCorruptError: a tree on the way is damaged.
    """
    parts = [part for part in to_bytes(path).split(b"/") if part]
    entry = root_entry(root)
    for part in parts:
        entry_of = _names(objects, entry) if is_safe_name(part) else {}
        if part not in entry_of:
            msg = f"{path!r} is not in the snapshot {root.hex()[:12]}: list it to see its paths."
            raise PathNotFoundError(msg, path=path, root=root.hex())
        entry = entry_of[part]
    if not parts:
        load_tree(objects, root)  # a root that is not there must not look like an empty one
    return Located(b"/".join(parts), entry)


def find_both(
    objects: Objects, old_root: bytes, new_root: bytes, path: str
) -> tuple[TreeEntry | None, TreeEntry | None]:
    """Find a path in two snapshots, of which one may lack it.

    Raises:
        PathNotFoundError: both lack it.
        ObjectMissingError: a tree on the way is not in the store.
        ObjectCorruptError: a tree on the way is damaged.
    """
    try:
        old = find(objects, old_root, path).entry
    except PathNotFoundError:
        return None, find(objects, new_root, path).entry
    try:
        return old, find(objects, new_root, path).entry
    except PathNotFoundError:
        return old, None


def _names(objects: Objects, entry: TreeEntry) -> dict[bytes, TreeEntry]:
    if entry.kind != tree.DIR:
        return {}
    return {child.name: child for child in load_tree(objects, entry.digest)}


def differing(
    objects: Objects, old: bytes, new: bytes
) -> tuple[dict[bytes, TreeEntry], dict[bytes, TreeEntry]]:
    """Return those entries of two directories that the other one does not have just so, by name.

    What is equal is not even decoded.

    Raises:
        ObjectMissingError: a tree is not in the store.
        ObjectCorruptError: a tree is damaged.
        UnsafeTreeError: it is no tree that a snapshot makes.
    """
    mine, theirs = _split(objects, old), _split(objects, new)
    if mine is None or theirs is None:  # of format 1
        olds, news = ({e.name: e for e in load_tree(objects, digest)} for digest in (old, new))
        same = {name for name, entry in news.items() if olds.get(name) == entry}
        for side in (olds, news):
            for name in same:
                del side[name]
        return olds, news
    return _decoded(mine, theirs), _decoded(theirs, mine)


def _split(objects: Objects, digest: bytes) -> dict[bytes, bytes] | None:
    if digest == tree.EMPTY_TREE:
        return {}
    data = objects.get(digest)
    parts = tree.part_ids(data)
    if not parts:
        return tree.split_tree(data)
    entries: dict[bytes, bytes] = {}
    last = b""
    for part in parts:
        found = tree.split_tree(objects.get(part))
        if found is None:
            return None
        if not found or next(iter(found)) <= last:
            msg = "The parts of a directory are empty or out of order: verify the store."
            raise UnsafeTreeError(msg)
        last = next(reversed(found))
        entries |= found
    return entries


def _decoded(entries: dict[bytes, bytes], others: dict[bytes, bytes]) -> dict[bytes, TreeEntry]:
    found: dict[bytes, TreeEntry] = {}
    for name, data in entries.items():
        if others.get(name) != data:
            (entry,) = tree.decode_tree(tree.TREE_MAGIC + data)
            found[name] = entry
    return found


def check_depth(depth: int) -> None:
    """Refuse a tree that no walk makes, before the recursion over it ends the process.

    Raises:
        UnsafeTreeError: it is nested too deep.
    """
    if depth > tree.MAX_DEPTH + 1:
        msg = f"The tree is nested deeper than {tree.MAX_DEPTH} levels: verify the store."
        raise UnsafeTreeError(msg)


def walk_entries(
    objects: Objects, entry: TreeEntry, prefix: bytes = b"", depth: int = 0
) -> Iterator[tuple[bytes, TreeEntry]]:
    """Yield path and entry of everything below a directory: depth first, names sorted."""
    check_depth(depth)
    for child in load_tree(objects, entry.digest):
        path = prefix + child.name
        yield path, child
        if child.kind == tree.DIR:
            yield from walk_entries(objects, child, path + b"/", depth + 1)


def read_content(objects: Objects, entry: TreeEntry) -> Iterator[bytes]:
    """Yield the content of a file or the target of a link in pieces of at most 1 MiB.

    Raises:
        NotAFileError: it is a directory, special, or could not be read by the snapshot.
        ObjectMissingError: a part is not in the store.
        ObjectCorruptError: a part, or the whole, has the wrong hash.
    """
    if entry.kind == tree.SYMLINK:
        yield entry.target
        return
    if entry.kind != tree.FILE or entry.flags & tree.UNREADABLE:
        msg = f"{tree.to_text(entry.name)!r} has no content in this snapshot: choose a file."
        raise NotAFileError(msg, path=tree.to_text(entry.name))
    whole = hashlib.sha256()
    size = 0
    for digest in tree.chunk_ids(objects, entry):
        data = objects.get(digest)
        whole.update(data)
        size += len(data)
        yield data
    tree.check_whole(entry, whole.digest(), size)
