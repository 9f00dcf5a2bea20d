"""Taking a snapshot: walk, link groups, trees from the leaves up, one durable pack."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autovibe.kernel import faults
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.store import tree
from autovibe.store.building import TreeBuilder, link_labels
from autovibe.store.capture import Capture, inode_of
from autovibe.store.model import Snapshot
from autovibe.store.opening import closing
from autovibe.store.packs import sha256
from autovibe.store.tree import TREE_MAGIC, is_safe_name

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from autovibe.kernel.clock import Clock
    from autovibe.store.capture import WalkedRoot
    from autovibe.store.exclude import Exclude
    from autovibe.store.hint import Hint
    from autovibe.store.model import Progress
    from autovibe.store.packs import Objects
    from autovibe.store.packwriter import PackWriter
    from autovibe.store.statcache import StatCache

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def now_ns(clock: Clock) -> int:
    """Return the wall time in nanoseconds, exact to the microsecond."""
    return (clock.now() - _EPOCH) // _MICROSECOND * 1_000


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
        builders = [_builder(root, writer) for root in walked]
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
            total_bytes += builder.file_bytes
            if cache is not None:
                cache.replace(store_id, {root.name: builder.records}, exclude=exclude)
        else:
            with _whole_or_none(cache):
                known.advance(root.gone, builder.records, builder.forward)
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


def _builder(root: WalkedRoot, writer: PackWriter) -> TreeBuilder:
    labels = link_labels(root.links)
    if root.first is None:
        return TreeBuilder(writer, labels)
    root.first.label(labels)
    return root.first


@contextlib.contextmanager
def _whole_or_none(cache: StatCache | None) -> Generator[None]:
    """Forget all when it was interrupted while it was brought forward: a half must not vouch."""
    try:
        yield
    except BaseException:
        if cache is not None:
            cache.clear()
        raise


def _sorted(paths: list[str]) -> tuple[str, ...]:
    return tuple(sorted(set(paths)))
