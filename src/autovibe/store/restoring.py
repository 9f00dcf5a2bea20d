"""Where a restore begins and ends: choosing what to write, saving what stands there."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.store import reading, tree
from autovibe.store.errors import StoreFullError, TargetNotEmptyError, TargetUnwritableError
from autovibe.store.files import FULL, READ_ONLY
from autovibe.store.fresh import FreshWriter, passes_on
from autovibe.store.opening import closing, open_beneath
from autovibe.store.overlay import Overlay
from autovibe.store.prime import prime
from autovibe.store.refs import parse_root
from autovibe.store.restore import TreeWriter, empty_dir
from autovibe.store.statcache import StatCache

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator

    from autovibe.store.model import Progress, RestoreResult, Snapshot
    from autovibe.store.packs import Objects
    from autovibe.store.reading import Located
    from autovibe.store.tree import TreeEntry


@dataclass(frozen=True, slots=True)
class Restore:
    """One restore: what, how, and what the store does for it.

    `save` captures a directory under a name with a cache, makes a ref for that, and gives the key
    under which the cache then knows it; `forget` drops a ref; `cache_key` is the key when the
    restore begins. `durable` is as in `TreeWriter`.
    """

    objects: Objects
    found: Located
    paths: Collection[str] | None
    exact: bool
    cache: StatCache | None
    cache_key: str
    progress: Callable[[Progress], None] | None
    save: Callable[[str, Path, StatCache, str], tuple[Snapshot, str]]
    forget: Callable[[str], None]
    durable: bool
    now_ns: Callable[[], int]

    def into(self, dest: Path, *, onto_same: bool) -> RestoreResult:
        """Write into a directory (see `Store.restore`)."""
        if self.paths is not None and self.found.entry.kind != tree.DIR:
            msg = "Paths can only be chosen from a directory: give the one that holds them."
            raise InvalidArgumentError(msg, what="path", value=tree.to_text(self.found.path))
        with _target_writes(dest):
            dest.mkdir(mode=0o700, parents=True, exist_ok=True)
            with closing(os.open(dest, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as fd:
                fresh = not os.listdir(fd)  # noqa: PTH208 - a descriptor has no Path
                if not (fresh or onto_same):
                    msg = f"{dest} is not empty: restore into a new directory."
                    raise TargetNotEmptyError(msg, path=str(dest))
                if not fresh:
                    # The cache knows what was saved; of that the restored files differ, and are
                    # read again.
                    writer = TreeWriter(self.objects, fd, self.exact, self.progress)
                    return self._in_place(writer, dest)
                kind = TreeWriter if passes_on(fd) else FreshWriter
                writer = kind(self.objects, fd, self.exact, self.progress)
                result = self._fresh(writer)
                if self.cache is not None and self.paths is None:
                    self._prime(self.cache, writer)
        return result

    def _write(self, writer: TreeWriter, old: TreeEntry | None) -> None:
        entry = self.found.entry
        if self.paths is not None:
            overlay = Overlay(self.objects)
            entry = overlay.lay(old, entry, self.paths)
            writer.trees = overlay.trees
        if entry.kind == tree.DIR:
            writer.directory(old, entry)
        else:
            writer.single(old, entry)

    def _fresh(self, writer: TreeWriter) -> RestoreResult:
        try:
            self._write(writer, None)
        except BaseException:
            writer.close()  # nobody writes any more
            empty_dir(writer.dest)
            raise
        writer.close()
        return writer.result()

    def _in_place(self, writer: TreeWriter, dest: Path) -> RestoreResult:
        name = tree.to_text(self.found.path.rpartition(b"/")[2]) or "before"
        cache = StatCache() if self.cache is None else self.cache
        ref = f"restore/{uuid.uuid4().hex}"
        saved, key = self.save(name, dest, cache, ref)
        lost = saved.torn + saved.unreadable + saved.excluded
        if lost:
            self.forget(ref)
            msg = (
                f"{dest} holds what the store cannot save ({lost[0]}, {len(lost)} in all): "
                "nothing was touched. Move it away, or restore into a new directory."
            )
            raise TargetNotEmptyError(msg, path=str(dest), first=lost[0], count=len(lost))
        writer.durable = self.durable
        writer.whole = bool(self.found.path) and b"/" not in self.found.path
        writer.saved = cache.records(key, name)
        try:
            self._write(writer, reading.find(self.objects, parse_root(saved.root), name).entry)
        finally:
            writer.close()
        return writer.result(saved.root, ref)

    def _prime(self, cache: StatCache, writer: TreeWriter) -> None:
        """Fill the cache for the named roots that were restored whole."""
        now = self.now_ns()
        found = self.found
        roots: list[tuple[TreeEntry, bytes]] = []
        if not found.path:
            children = tree.load_tree(self.objects, found.entry.digest)
            roots = [(child, child.name) for child in children if child.kind == tree.DIR]
        elif b"/" not in found.path and found.entry.kind == tree.DIR:
            roots = [(found.entry, b"")]
        for entry, below in roots:
            prefix = below + b"/" if below else b""
            lossy = {p[len(prefix) :] for p in writer.lossy if p.startswith(prefix)}
            with closing(open_beneath(writer.dest, below)) as fd:
                records = prime(self.objects, fd, entry, lossy=lossy, started_ns=now)
            cache.replace(self.cache_key, {tree.to_text(entry.name): records})


@contextlib.contextmanager
def _target_writes(dest: Path) -> Generator[None]:
    """Turn the failures of writing the target into errors that people can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            msg = f"No space is left to restore into {dest}: free some and try again."
            raise StoreFullError(msg, path=str(dest)) from error
        if error.errno in READ_ONLY | {errno.ENOTDIR, errno.EEXIST, errno.EXDEV, errno.ELOOP}:
            msg = f"{dest} cannot be restored into ({error.strerror}): choose another directory."
            raise TargetUnwritableError(msg, path=str(dest)) from error
        raise
