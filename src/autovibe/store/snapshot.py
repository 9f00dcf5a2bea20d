"""Taking a snapshot: walk, link groups, trees from the leaves up, one durable pack."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autovibe.kernel import faults
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.store import tree
from autovibe.store.errors import PathNotFoundError
from autovibe.store.model import Snapshot
from autovibe.store.opening import closing
from autovibe.store.packs import sha256
from autovibe.store.tree import TreeEntry, encode_tree, is_safe_name
from autovibe.store.walk import DirNode, Report, TreeWalker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from autovibe.kernel.clock import Clock
    from autovibe.store.exclude import Exclude
    from autovibe.store.model import Progress
    from autovibe.store.packs import Objects, PackWriter
    from autovibe.store.statcache import Records, StatCache
    from autovibe.store.walk import Inode

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
Labels = dict[tuple[bytes, bytes], bytes]


def now_ns(clock: Clock) -> int:
    """Return the wall time in nanoseconds, exact to the microsecond."""
    return (clock.now() - _EPOCH) // _MICROSECOND * 1_000


def open_root(name: str, path: Path) -> int:
    """Open a directory to capture; the caller named it, so links in its own path are followed.

    Raises:
        PathNotFoundError: it does not exist, is no directory or cannot be opened.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        msg = (
            f"{path} cannot be captured as {name!r} ({error.strerror}): give a readable directory."
        )
        raise PathNotFoundError(msg, path=str(path)) from None


def _inode(fd: int) -> Inode:
    st = os.fstat(fd)
    return st.st_dev, st.st_ino


def link_labels(links: Mapping[Inode, list[tuple[bytes, bytes]]]) -> Labels:
    """Name each group of hard links after its first path; a single name is no group."""
    labels: Labels = {}
    for names in links.values():
        if len(names) > 1:
            paths = {(d, n): (d + b"/" + n if d else n).split(b"/") for d, n in names}
            label = b"/".join(min(paths.values()))
            labels.update(dict.fromkeys(paths, label))
    return labels


class TreeBuilder:
    """Encodes the directories of one root; an unchanged one keeps the tree it had."""

    def __init__(self, writer: PackWriter, labels: Labels) -> None:
        """Store trees through `writer`."""
        self.records: Records = {}
        self.file_count = 0
        self.total_bytes = 0
        self._writer = writer
        self._labels = labels

    def build(self, node: DirNode) -> TreeEntry:
        """Store the tree of a directory and of all below it; return its complete entry."""
        if node.entry.flags:  # it was not entered
            return node.entry
        record = node.record
        record.dirs = {name: self.build(child) for name, child in node.dirs.items()}
        same = node.same
        if same is not None and same.tree and not record.linked and same.dirs == record.dirs:
            record.tree = same.tree
        else:
            record.tree = self._encode(node)
        self.records[node.path] = record
        self.file_count += record.file_count
        self.total_bytes += record.file_bytes
        return node.entry._replace(digest=record.tree)

    def _encode(self, node: DirNode) -> bytes:
        record = node.record
        entries = record.files | record.dirs
        for name in record.linked:
            label = self._labels.get((node.path, name))
            if label is not None:
                entries[name] = entries[name]._replace(link=label)
        if not entries:
            return tree.EMPTY_TREE
        data = encode_tree([entries[name] for name in sorted(entries)])
        digest = sha256(data)
        self._writer.put(digest, data)
        return digest


def take_snapshot(
    objects: Objects,
    store_id: str,
    roots: Mapping[str, Path],
    *,
    clock: Clock,
    cache: StatCache | None,
    exclude: Exclude | None,
    on_read: Callable[[], None] | None,
    progress: Callable[[Progress], None] | None,
) -> Snapshot:
    """Capture directories under top-level names (see `Store.snapshot`)."""
    named = {tree.to_bytes(name): name for name in roots}
    if not named or not all(is_safe_name(name) for name in named):
        msg = f"{sorted(roots)} are not names for the roots of a snapshot: use plain names."
        raise InvalidArgumentError(msg)
    started_ns = now_ns(clock)
    report = Report()
    objects.scan()
    with closing(os.open(objects.path, os.O_PATH | os.O_CLOEXEC)) as fd:
        own = _inode(fd)
    with objects.writer() as writer:
        walked: list[tuple[str, DirNode, TreeWalker]] = []
        for _, name in sorted(named.items()):
            walker = TreeWalker(
                name,
                writer,
                report,
                previous=cache.records(store_id, name) if cache else {},
                exclude=exclude.matcher(name) if exclude else None,
                started_ns=started_ns,
                own=own,
                progress=progress,
            )
            with closing(open_root(name, Path(roots[name]))) as fd:
                if _inode(fd) == own:
                    msg = f"{roots[name]} is the checkpoint store itself: capture something else."
                    raise InvalidArgumentError(msg)
                walked.append((name, walker.walk(fd), walker))
        if on_read is not None:
            on_read()
        faults.reach("tree_read")
        builders = {name: TreeBuilder(writer, link_labels(w.links)) for name, _, w in walked}
        data = encode_tree([builders[name].build(node) for name, node, _ in walked])
        root = sha256(data)
        writer.put(root, data)
        new_objects, stored_bytes = writer.commit()
    if cache is not None:
        cache.replace(store_id, {name: builder.records for name, builder in builders.items()})
    return Snapshot(
        root=root.hex(),
        file_count=sum(builder.file_count for builder in builders.values()),
        total_bytes=sum(builder.total_bytes for builder in builders.values()),
        stored_bytes=stored_bytes,
        new_objects=tuple(digest.hex() for digest in new_objects),
        read_bytes=report.read_bytes,
        torn=tuple(sorted(report.torn)),
        special=tuple(sorted(report.special)),
        excluded=tuple(sorted(report.excluded)),
        unreadable=tuple(sorted(report.unreadable)),
    )
