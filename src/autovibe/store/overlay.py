"""A tree in memory: one that stands somewhere, with chosen paths taken from another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.store import tree
from autovibe.store.errors import PathNotFoundError
from autovibe.store.packfile import sha256
from autovibe.store.tree import TreeEntry, encode_tree, is_safe_name, load_tree, to_bytes, to_text

if TYPE_CHECKING:
    from collections.abc import Collection

    from autovibe.store.packs import Objects

# Names to be taken; a name without further names is taken whole.
Chosen = dict[bytes, "Chosen"]

_TAKEN: Final = b"//"


class Overlay:
    """Builds the tree; `trees` holds the directories that only exist in memory, by their id."""

    def __init__(self, objects: Objects) -> None:
        """Read both sides from the store."""
        self.trees: dict[bytes, list[TreeEntry]] = {}
        self._objects = objects

    def lay(self, under: TreeEntry | None, over: TreeEntry, paths: Collection[str]) -> TreeEntry:
        """Return `under`, or nothing when there is none, with `paths` as they are in `over`.

        Raises:
            InvalidArgumentError: no paths, or one that is no path.
            PathNotFoundError: `over` does not have one of them.
        """
        chosen: Chosen = {}
        for path in paths:
            parts = [part for part in to_bytes(path).split(b"/") if part]
            if not parts or not all(map(is_safe_name, parts)):
                msg = f"{path!r} is no path inside the snapshot: give relative paths."
                raise InvalidArgumentError(msg, what="path", value=path)
            _choose(chosen, parts)
        if not chosen:
            msg = "No path is chosen: give at least one, or restore everything."
            raise InvalidArgumentError(msg, what="path", value="")
        return self._merge(under, over, chosen, b"")

    def _merge(
        self, under: TreeEntry | None, over: TreeEntry, chosen: Chosen, path: bytes
    ) -> TreeEntry:
        if not chosen:
            return self._taken(over)
        base = over
        below: dict[bytes, TreeEntry] = {}
        if under is not None and under.kind == tree.DIR:
            base = under
            below = {e.name: e for e in load_tree(self._objects, under.digest)}
        above: dict[bytes, TreeEntry] = {}
        if over.kind == tree.DIR:
            above = {e.name: e for e in load_tree(self._objects, over.digest)}
        for name, further in chosen.items():
            full = path + b"/" + name if path else name
            if name not in above:
                msg = f"{to_text(full)!r} is not in the snapshot: list it to see its paths."
                raise PathNotFoundError(msg, path=to_text(full))
            below[name] = self._merge(below.get(name), above[name], further, full)
        return self._keep(base, [below[name] for name in sorted(below)])

    def _keep(self, entry: TreeEntry, children: list[TreeEntry]) -> TreeEntry:
        digest = sha256(encode_tree(children))
        self.trees[digest] = children
        return entry._replace(digest=digest, flags=0)

    def _taken(self, entry: TreeEntry) -> TreeEntry:
        """Take an entry whole, its link groups under labels that no group of the other side has."""
        if entry.kind == tree.DIR and entry.digest != tree.EMPTY_TREE:
            children = load_tree(self._objects, entry.digest)
            taken = [self._taken(child) for child in children]
            return entry if taken == children else self._keep(entry, taken)
        return entry._replace(link=_TAKEN + entry.link) if entry.link else entry


def _choose(chosen: Chosen, parts: list[bytes]) -> None:
    """Add a path; one that lies below a path taken whole adds nothing."""
    *above, last = parts
    for part in above:
        if part in chosen and not chosen[part]:
            return
        chosen = chosen.setdefault(part, {})
    chosen[last] = {}
