"""What is known of a tree, kept on the disk for a process that is not resident.

It lies in the store and is no part of it: one that is damaged, or of another time, is ignored, and
the next snapshot reads every file (docs/formats/store.md, The stat cache).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import marshal
import os
import struct
from typing import TYPE_CHECKING, Any, Final

from autovibe.store.files import create_temporary, write_all
from autovibe.store.packfile import HASH_BYTES
from autovibe.store.snapshot import now_ns
from autovibe.store.statcache import STAMP_BYTES, DirRecord, StatCache
from autovibe.store.tree import FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from autovibe.store.core import StoreCore
    from autovibe.store.exclude import Exclude
    from autovibe.store.model import Progress, Snapshot
    from autovibe.store.statcache import Records

DIRECTORY: Final = "trees"
MAGIC: Final = b"AVTREE1\n"
_MOST_KEPT: Final = 32
_READ_AGAIN_BYTES: Final = 1 << 20
# A page that is mapped and dirty is written back by the kernel within 35 s; until then it can be
# changed without a trace. A file that is not older than this is read again.
DIRTY_NS: Final = 60_000_000_000
_CTIME: Final = struct.Struct("<q")
_CTIME_AT: Final = STAMP_BYTES - _CTIME.size
_PLAIN_MARSHAL: Final = 2  # without a search for what comes twice, which takes longer than to write
_NO_NAMES: Final = frozenset[bytes]()


class KeptTree:
    """The cache of one set of roots with one set of exclusions in one store."""

    def __init__(
        self, store: StoreCore, roots: Mapping[str, Path], exclude: Exclude | None
    ) -> None:
        """Name it; nothing is read."""
        self._store = store
        self._roots = sorted(roots)
        self._exclude = exclude
        chosen = None if exclude is None or exclude.roots is None else sorted(exclude.roots)
        told = [
            sorted((name, os.path.realpath(path)) for name, path in roots.items()),
            None if exclude is None else [exclude.patterns, chosen],
        ]
        self._told = json.dumps(told).encode()
        self.path = store.path / DIRECTORY / f"{hashlib.sha256(self._told).hexdigest()[:32]}.tree"

    def load(self) -> StatCache:
        """Return what is known; nothing when that cannot be relied on."""
        cache = StatCache()
        try:
            data = self.path.read_bytes()
        except OSError:
            return cache
        body = memoryview(data)[len(MAGIC) + HASH_BYTES :]
        if data[: len(MAGIC)] != MAGIC or hashlib.sha256(body).digest() != data[len(MAGIC) :][:32]:
            return cache
        opened = self._open(bytes(body))
        if opened is None:
            return cache
        # Only what this very code has written has this hash.
        told, key, packs, roots = marshal.loads(opened)  # noqa: S302 - our own file, and it is whole
        if told != self._told or key != self._store.cache_key or not self._has(packs):
            return cache
        records = {name: _records_of(kept) for name, kept in zip(self._roots, roots, strict=True)}
        cache.replace(key, records, exclude=self._exclude)
        return cache

    def save(self, cache: StatCache, started_ns: int) -> None:
        """Keep what the snapshot that has just been taken with `cache` saw.

        What fails here costs time only.

        Args:
            cache: as `load` gave it, and brought forward.
            started_ns: wall time at which the snapshot began, in nanoseconds.
        """
        key = self._store.cache_key
        kept = [
            [_kept(path, record, started_ns - DIRTY_NS) for path, record in records.items()]
            for name in self._roots
            if (records := cache.records(key, name))
        ]
        if len(kept) < len(self._roots):
            return
        body = marshal.dumps((self._told, key, self._packs(), kept), _PLAIN_MARSHAL)
        seal = self._store.objects.seal
        if seal is not None:
            body = seal.seal(body, MAGIC)
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            file = create_temporary(self._store.path / "tmp", ".tree")
            try:
                write_all(file.fd, MAGIC + hashlib.sha256(body).digest())
                write_all(file.fd, body)  # not joined to it: of a large tree it has many megabytes
                file.rename(self.path)
            finally:
                file.close()
            self._drop_oldest()

    def _open(self, body: bytes) -> bytes | None:
        seal = self._store.objects.seal
        return body if seal is None else seal.open(body, MAGIC)

    def _packs(self) -> list[str]:
        """Name everything that the cache may rely on."""
        names: list[str] = []
        for part, suffix in (("packs", ".idx"), ("journals", ".journal")):
            with contextlib.suppress(FileNotFoundError):
                names += [
                    f"{part}/{name}"
                    for name in os.listdir(self._store.path / part)  # noqa: PTH208 - thousands of names
                    if name.endswith(suffix)
                ]
        return names

    def _has(self, packs: list[str]) -> bool:
        """Say whether nothing is gone, as in a store that was put back from a backup."""
        return set(packs) <= set(self._packs())

    def _drop_oldest(self) -> None:
        found = sorted(self.path.parent.glob("*.tree"), key=lambda path: path.stat().st_mtime_ns)
        for path in found[:-_MOST_KEPT]:
            path.unlink()


def _kept(path: bytes, record: DirRecord, dirty_from_ns: int) -> tuple[Any, ...]:
    """Return what is kept of a directory: of a large one not its parts, which are found anew."""
    racy = {
        name
        for name, seen in record.files.items()
        if seen[STAMP_BYTES] == FILE and _CTIME.unpack_from(seen, _CTIME_AT)[0] >= dirty_from_ns
    }
    return (
        path,
        record.files,
        record.dirs,
        tuple(record.unsettled),
        tuple(racy.union(record.racy)),
        tuple(record.linked),
        tuple(record.special),
        record.excluded,
        record.own,
        record.tree,
        record.file_bytes,
    )


def _names(names: tuple[bytes, ...]) -> frozenset[bytes]:
    return frozenset(names) if names else _NO_NAMES


def _records_of(kept: list[tuple[Any, ...]]) -> Records:
    records: Records = {}
    for path, files, dirs, unsettled, racy, linked, special, *rest in kept:
        excluded, own, tree, file_bytes = rest
        records[path] = DirRecord(
            files,
            dirs,
            unsettled=_names(unsettled),
            racy=_names(racy),
            linked=_names(linked),
            special=_names(special),
            excluded=excluded,
            own=own,
            tree=tree,
            file_bytes=file_bytes,
        )
    return records


def snapshot_with_kept(
    store: StoreCore,
    roots: Mapping[str, Path],
    *,
    exclude: Exclude | None = None,
    afresh: bool = False,
    on_read: Callable[[], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Snapshot:
    """Take a snapshot (see `Store.snapshot`) with what is kept of the tree, and keep it again.

    Args:
        store: the store.
        roots: name to directory.
        exclude: patterns to leave out.
        afresh: read every file, whatever is known.
        on_read: called when everything has been read.
        progress: called for each file or MiB read.
    """
    kept = KeptTree(store, roots, exclude)
    cache = StatCache() if afresh else kept.load()
    started_ns = now_ns(store.clock)
    known = bool(cache.records(store.cache_key, next(iter(roots), "")))
    taken = store.snapshot(roots, cache=cache, exclude=exclude, on_read=on_read, progress=progress)
    # To write it anew takes longer than to read a few files again the next time.
    if not known or taken.read_bytes > _READ_AGAIN_BYTES:
        kept.save(cache, started_ns)
    return taken
