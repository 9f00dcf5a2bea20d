"""Taking a snapshot: walk, link groups, trees from the leaves up, one durable pack."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autovibe.kernel import faults
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.store import tree
from autovibe.store.capture import Capture, inode_of
from autovibe.store.model import Snapshot
from autovibe.store.opening import closing
from autovibe.store.packs import sha256
from autovibe.store.parts import put_directory
from autovibe.store.tree import (
    TREE_MAGIC,
    decode_entry,
    encode_entry,
    is_safe_name,
    with_digest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from autovibe.kernel.clock import Clock
    from autovibe.store.capture import Links
    from autovibe.store.exclude import Exclude
    from autovibe.store.hint import Hint
    from autovibe.store.model import Progress
    from autovibe.store.packs import Objects, PackWriter
    from autovibe.store.parts import Directory
    from autovibe.store.statcache import Records, StatCache
    from autovibe.store.walk import DirNode

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
Labels = dict[tuple[bytes, bytes], bytes]


def now_ns(clock: Clock) -> int:
    """Return the wall time in nanoseconds, exact to the microsecond."""
    return (clock.now() - _EPOCH) // _MICROSECOND * 1_000


def link_labels(links: Links) -> Labels:
    """Name each group of hard links after its first path; a single name is no group."""
    labels: Labels = {}
    for names in links.values():
        if len(set(names)) > 1:
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

    def build(self, node: DirNode) -> bytes:
        """Store the tree of a directory and of all below it; return its encoded entry."""
        if node.entry.flags:  # it was not entered
            return encode_entry(node.entry)
        record = node.record
        record.dirs = node.kept
        for name, child in node.dirs.items():
            record.dirs[name] = self.build(child)
        same = node.same
        if same is not None and same.tree and not record.linked and same.dirs == record.dirs:
            record.tree, record.parts = same.tree, same.parts
        else:
            record.tree, record.parts = self._store(node)
        self.records[node.path] = record
        self.file_count += record.file_count
        self.total_bytes += record.file_bytes
        if node.encoded:
            return with_digest(node.encoded, record.tree)
        return encode_entry(node.entry._replace(digest=record.tree))

    def _store(self, node: DirNode) -> Directory:
        record, base = node.record, node.base
        entries = record.files
        if record.dirs or record.linked:
            entries = record.files | record.dirs
        for name in record.linked:
            label = self._labels.get((node.path, name))
            if label is not None:
                entries[name] = encode_entry(decode_entry(entries[name])._replace(link=label))
        if base is None or not base.tree:
            return put_directory(self._writer, entries)
        # Another name of a file may have come or gone elsewhere, and with it the label here.
        touched = node.touched.union(node.dirs, record.linked, base.linked)
        return put_directory(self._writer, entries, before=base.parts, touched=touched)


def take_snapshot(
    objects: Objects,
    store_id: str,
    roots: Mapping[str, Path],
    *,
    clock: Clock,
    cache: StatCache | None,
    exclude: Exclude | None,
    hint: Hint,
    name: Callable[[str], tuple[str, bytes]] | None,
    on_read: Callable[[], None] | None,
    progress: Callable[[Progress], None] | None,
) -> tuple[Snapshot, bool]:
    """Capture directories under top-level names (see `Store.snapshot`).

    Returns:
        The snapshot, and whether the ref that `name` makes of its root was written with it.
    """
    named = {tree.to_bytes(name): name for name in roots}
    if not named or not all(is_safe_name(name) for name in named):
        msg = f"{sorted(roots)} are not names for the roots of a snapshot: use plain names."
        raise InvalidArgumentError(msg)
    capture = Capture(store_id, cache, exclude, hint, progress, now_ns(clock))
    objects.scan()
    with closing(os.open(objects.path, os.O_PATH | os.O_CLOEXEC)) as fd:
        own = inode_of(fd)
    with objects.writer() as writer:
        walked = [
            capture.walk(root, Path(roots[root]), writer, own) for _, root in sorted(named.items())
        ]
        if on_read is not None:
            on_read()
        faults.reach("tree_read")
        builders = [TreeBuilder(writer, link_labels(root.links)) for root in walked]
        top = [builder.build(root.node) for root, builder in zip(walked, builders, strict=True)]
        data = TREE_MAGIC + b"".join(top)
        digest = sha256(data)
        writer.put(digest, data)
        done = writer.commit(None if name is None else name(digest.hex()))
    report, file_count, total_bytes = capture.report, 0, 0
    for root, builder in zip(walked, builders, strict=True):
        known = root.known
        if known is None:
            file_count += builder.file_count
            total_bytes += builder.total_bytes
            if cache is not None:
                cache.replace(store_id, {root.name: builder.records}, exclude=exclude)
        else:
            known.advance(root.gone, builder.records)
            file_count += known.file_count
            total_bytes += known.file_bytes
            report.special += known.names(root.name, known.special, lambda r: r.special)
            report.excluded += known.names(root.name, known.excluded, lambda r: r.excluded)
    taken = Snapshot(
        root=digest.hex(),
        file_count=file_count,
        total_bytes=total_bytes,
        stored_bytes=done.stored_bytes,
        new_objects=tuple(digest.hex() for digest in done.new_objects),
        read_bytes=report.read_bytes,
        torn=_sorted(report.torn),
        special=_sorted(report.special),
        excluded=_sorted(report.excluded),
        unreadable=_sorted(report.unreadable),
        detection=capture.detection,
        audited=capture.audited,
        missed=_sorted(capture.missed),
    )
    return taken, done.named


def _sorted(paths: list[str]) -> tuple[str, ...]:
    return tuple(sorted(set(paths)))
