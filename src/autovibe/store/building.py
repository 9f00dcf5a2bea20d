"""Encoding directories from the leaves up; of what was brought forward only what has changed."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Final, cast

from autovibe.store.parts import LARGEST_WHOLE, Directory, put_again, put_directory
from autovibe.store.statcache import STAMP_BYTES, Forward
from autovibe.store.tree import decode_entry, encode_entry, with_digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from autovibe.store.capture import Links
    from autovibe.store.parts import Run, Sink
    from autovibe.store.statcache import DirRecord, Records
    from autovibe.store.walk import DirNode

# Of the stamp and the entry that a record keeps of a file; faster for many than a slice of each.
_ENTRY: Final = cast("Callable[[bytes], bytes]", itemgetter(slice(STAMP_BYTES, None)))
Labels = dict[tuple[bytes, bytes], bytes]


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
    """Encodes the directories of one root.

    `records` are those that were read whole (`file_count` and `file_bytes` are of these), `forward`
    those that were brought forward. Nothing that an earlier snapshot knew is changed here: this one
    may still fail.
    """

    def __init__(self, sink: Sink, labels: Labels) -> None:
        """Store trees in `sink`."""
        self.records: Records = {}
        self.forward: list[Forward] = []
        self.file_count = 0
        self.file_bytes = 0
        self._sink = sink
        self._labels = labels

    def build(self, node: DirNode) -> bytes:
        """Store the tree of a directory and of all below it; return its encoded entry."""
        if node.entry.flags:  # it was not entered
            return encode_entry(node.entry)
        record = node.record
        for name, child in node.dirs.items():
            record.dirs[name] = self.build(child)
        if node.base is None:
            record.tree, record.parts = self._whole(node.path, record)
            self.records[node.path] = record
            self.file_count += len(record.files)
            self.file_bytes += record.file_bytes
        else:
            touched = node.touched.union(node.dirs)
            record.tree, record.parts = self._again(node.path, node.base, record, touched)
            self.forward.append(Forward(node.path, record, touched))
        if node.encoded:
            return with_digest(node.encoded, record.tree)
        return encode_entry(node.entry._replace(digest=record.tree))

    def _labelled(self, path: bytes, name: bytes, entry: bytes) -> bytes:
        label = self._labels.get((path, name))
        return entry if label is None else encode_entry(decode_entry(entry)._replace(link=label))

    def _whole(self, path: bytes, record: DirRecord) -> Directory:
        entries = dict(zip(record.files, map(_ENTRY, record.files.values()), strict=True))
        for name in record.linked:
            entries[name] = self._labelled(path, name, entries[name])
        entries.update(record.dirs)
        return put_directory(self._sink, entries)

    def _again(
        self, path: bytes, base: DirRecord, fresh: DirRecord, touched: set[bytes]
    ) -> Directory:
        count = len(base.files) + len(base.dirs)
        changes: dict[bytes, bytes | None] = {}
        for name in touched:
            before, now = _entry_of(base, name), _entry_of(fresh, name)
            count += (now is not None) - (before is not None)
            if before != now:
                changes[name] = now
        # Another name of a file may have come or gone elsewhere, and with it the label here.
        for name in base.linked | fresh.linked:
            now = _entry_of(fresh if name in touched else base, name)
            changes[name] = None if now is None else self._labelled(path, name, now)
        in_parts = count > LARGEST_WHOLE
        if not changes and base.tree and in_parts == (base.parts is not None):
            return Directory(base.tree, base.parts)
        files, dirs = base.files, base.dirs
        if in_parts and base.parts is not None:

            def kept(names: Run) -> list[bytes]:
                try:
                    return list(map(_ENTRY, map(files.__getitem__, names)))
                except KeyError:  # there are directories among them
                    return [_ENTRY(files[n]) if n in files else dirs[n] for n in names]

            return put_again(self._sink, base.parts, changes, kept)
        entries = dict(zip(files, map(_ENTRY, files.values()), strict=True))
        entries.update(dirs)
        for name, now in changes.items():
            if now is None:
                entries.pop(name, None)
            else:
                entries[name] = now
        return put_directory(self._sink, entries)


def _entry_of(record: DirRecord, name: bytes) -> bytes | None:
    seen = record.files.get(name)
    return record.dirs.get(name) if seen is None else _ENTRY(seen)
