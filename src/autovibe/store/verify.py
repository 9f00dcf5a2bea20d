"""Verification: every object is read from the disk and hashed again."""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from autovibe.kernel.errors import AutovibeError
from autovibe.store import tree
from autovibe.store.errors import ObjectCorruptError, ObjectMissingError, UnsafeTreeError
from autovibe.store.model import Damage, Progress, VerifyResult
from autovibe.store.places import QuickReader
from autovibe.store.reach import Reach
from autovibe.store.reading import check_depth, root_entry
from autovibe.store.refs import parse_root
from autovibe.store.rereading import Needs, Rereader, reread
from autovibe.store.tree import (
    decode_directory,
    decode_list,
    decode_tree,
    part_ids,
    to_bytes,
    to_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from autovibe.store.bulk import Content
    from autovibe.store.packs import Objects
    from autovibe.store.tree import TreeEntry

_Verdict = Literal["missing", "corrupt"]


def verify_all(
    objects: Objects,
    root: str,
    progress: Callable[[Progress], None] | None,
    *,
    alone: bool = False,
) -> VerifyResult:
    """Check everything reachable from a root, and that it fits together.

    With `alone` it is done in this one process.
    """
    whole = _verify_quickly(objects, parse_root(root), progress, alone=alone)
    if whole is not None:
        return whole
    check = _Check(objects, progress)
    check.directory(root_entry(parse_root(root)), b"", 0)
    return check.result()


def _verify_quickly(
    objects: Objects,
    root: bytes,
    progress: Callable[[Progress], None] | None,
    *,
    alone: bool,
) -> VerifyResult | None:
    """Read everything in the order of the disk; None when not all is whole, or can be read so.

    Which paths that concerns is for the long way to find out.
    """
    if objects.seal is not None:
        return None
    told = _Teller(progress)
    quick = QuickReader(objects, from_disk=True)
    rereader = Rereader(told.add, alone=alone)
    try:
        needs = Needs(quick, rereader.take)
        needs.add(root)
        rereader.finish()
    except (ObjectMissingError, ObjectCorruptError, UnsafeTreeError):
        return None
    finally:
        quick.close()
        rereader.close()
    if rereader.failed or not needs.whole:
        return None
    return VerifyResult(
        ok=True,
        objects=len(needs.objects),
        bytes=sum(needs.objects.values()),
        missing=(),
        corrupt=(),
    )


@dataclass(slots=True)
class _Teller:
    """Counts what was read, and tells it."""

    progress: Callable[[Progress], None] | None
    items: int = 0
    bytes: int = 0

    def add(self, items: int, size: int) -> None:
        """Count some more."""
        self.items += items
        self.bytes += size
        if self.progress is not None:
            self.progress(Progress("verify", self.items, self.bytes))


def verify_objects(
    objects: Objects,
    root: str,
    chosen: Collection[str],
    progress: Callable[[Progress], None] | None,
) -> VerifyResult:
    """Check the chosen objects; the tree is walked only to name the paths of damaged ones."""
    check = _Check(objects, progress)
    for name in sorted(set(chosen)):
        check.read(parse_root(name), b"")
    if not check.verdicts:
        return check.result()
    damaged = dict(check.verdicts)
    where = _Check(objects, None)
    where.directory(root_entry(parse_root(root)), b"", 0, content=damaged.keys())
    for digest in damaged:
        check.paths[digest] = where.paths.get(digest, set())
    return check.result()


def verify_share(
    objects: Objects,
    roots: Collection[str],
    share: float,
    seed: int,
    progress: Callable[[Progress], None] | None,
    *,
    alone: bool = False,
) -> VerifyResult:
    """Check a random share of what these snapshots need, and that all directories can be read.

    With `alone` it is done in this one process.
    """
    quick = QuickReader(objects)
    reach = Reach(quick.get, paths={})
    for root in sorted(set(roots)):
        reach.add(parse_root(root))
    known = sorted(set(reach.all()))
    count = min(len(known), math.ceil(len(known) * share))
    chosen = random.Random(seed).sample(known, count)  # noqa: S311  # a sample, not a secret
    check = _Check(objects, progress)
    paths = reach.paths or {}
    contents: list[Content] = []
    slowly = set(reach.unusable)
    for digest in set(chosen) - slowly:
        piece = quick.places.find(digest)
        if piece is None:
            slowly.add(digest)
        else:
            contents.append((digest, [piece]))
    quick.close()
    told = _Teller(progress)
    slowly.update(reread(contents, told.add, alone=alone))
    check.take_whole(content for content in contents if content[0] not in slowly)
    for digest in sorted(slowly):
        check.read(digest, to_bytes(paths.get(digest, "/")))
        if digest in reach.unusable and digest not in check.verdicts:
            check.condemn(digest, paths.get(digest, "/"))
    return check.result()


@dataclass(slots=True)
class _Check:
    """One verification; each object is read once, however many paths need it."""

    objects: Objects
    progress: Callable[[Progress], None] | None
    verdicts: dict[bytes, _Verdict] = field(default_factory=dict[bytes, _Verdict])
    paths: dict[bytes, set[str]] = field(default_factory=dict[bytes, set[str]])
    whole: set[bytes] = field(default_factory=set[bytes])
    bytes_read: int = 0

    def read(self, digest: bytes, path: bytes) -> bytes | None:
        """Read an object; None, with a verdict, when it is not whole."""
        if digest not in self.verdicts:
            try:
                data = self.objects.get(digest, from_disk=True)
            except ObjectMissingError:
                self.verdicts[digest] = "missing"
            except ObjectCorruptError:
                self.verdicts[digest] = "corrupt"
            else:
                self._good(digest, data, path)
                return data
        self._bad(digest, path)
        return None

    def take_whole(self, contents: Iterable[Content]) -> None:
        """Take objects that were read elsewhere and are whole."""
        for digest, pieces in contents:
            self.whole.add(digest)
            self.bytes_read += pieces[0][1]

    def _good(self, digest: bytes, data: bytes, path: bytes) -> None:
        if digest in self.whole:
            return
        self.whole.add(digest)
        self.bytes_read += len(data)
        if self.progress is not None:
            self.progress(Progress("verify", len(self.whole), self.bytes_read, to_text(path)))

    def condemn(self, digest: bytes, path: str) -> None:
        """Call an object corrupt that has the right hash: it is no tree, or does not fit."""
        self.whole.discard(digest)
        self._bad(digest, to_bytes(path), "corrupt")

    def _bad(self, digest: bytes, path: bytes, verdict: _Verdict | None = None) -> None:
        if verdict is not None:
            self.verdicts[digest] = verdict
        paths = self.paths.setdefault(digest, set())
        if path:
            paths.add(to_text(path))

    def directory(
        self,
        entry: TreeEntry,
        path: bytes,
        depth: int,
        *,
        content: Collection[bytes] | None = None,
    ) -> None:
        """Check a directory and all below; with `content`, only look for these blobs."""
        if entry.digest == tree.EMPTY_TREE:
            return
        data = self.read(entry.digest, path or b"/")
        if data is None:
            return
        try:
            check_depth(depth)
            children = self._children(data, path)
        except UnsafeTreeError:
            self._bad(entry.digest, path or b"/", "corrupt")
            return
        for child in children:
            below = path + b"/" + child.name if path else child.name
            if child.kind == tree.DIR:
                self.directory(child, below, depth + 1, content=content)
            elif child.kind == tree.FILE and not child.flags & tree.UNREADABLE:
                self._file(child, below, content)

    def _children(self, data: bytes, path: bytes) -> list[TreeEntry]:
        """Return the entries of a directory; those of its parts that are whole."""
        parts: dict[bytes, bytes] = {}
        for part in part_ids(data):
            found = self.read(part, path or b"/")
            if found is not None:
                parts[part] = found
        if parts.keys() >= set(part_ids(data)):
            return decode_directory(data, parts.__getitem__)
        return [entry for found in parts.values() for entry in decode_tree(found)]

    def _file(self, entry: TreeEntry, path: bytes, content: Collection[bytes] | None) -> None:
        if not entry.chunks:
            self._blob(entry.digest, path, content)
            return
        data = self.read(entry.chunks, path)
        if data is None:
            return
        try:
            chunks = decode_list(data, entry.size)
        except AutovibeError:
            self._bad(entry.chunks, path, "corrupt")
            return
        if content is not None or entry.chunks + entry.digest in self.whole:
            for digest in chunks:
                self._blob(digest, path, content)
            return
        whole = hashlib.sha256()
        damaged = False
        for digest in chunks:
            data = self.read(digest, path)
            if data is None:
                damaged = True
            else:
                whole.update(data)
        if whole.digest() == entry.digest:
            self.whole.add(entry.chunks + entry.digest)
        elif not damaged:
            self._bad(entry.chunks, path, "corrupt")

    def _blob(self, digest: bytes, path: bytes, content: Collection[bytes] | None) -> None:
        if content is not None:
            if digest in content:
                self._bad(digest, path)
        elif digest in self.whole:
            return
        else:
            self.read(digest, path)

    def result(self) -> VerifyResult:
        """Sum up, sorted by object."""

        def damage(verdict: _Verdict) -> tuple[Damage, ...]:
            return tuple(
                Damage(digest.hex(), tuple(sorted(self.paths.get(digest, ()))))
                for digest, found in sorted(self.verdicts.items())
                if found == verdict
            )

        checked = sum(len(digest) == len(tree.NO_CONTENT) for digest in self.whole)
        return VerifyResult(
            ok=not self.verdicts,
            objects=checked,
            bytes=self.bytes_read,
            missing=damage("missing"),
            corrupt=damage("corrupt"),
        )
