"""Reading the roots of one snapshot: everything, or only what may have changed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.store import tree
from autovibe.store.errors import PathNotFoundError
from autovibe.store.first import FirstWalker, GrowingBuilder
from autovibe.store.hint import WALK
from autovibe.store.opening import closing
from autovibe.store.revisit import Plan, Revisitor, untold
from autovibe.store.sweeping import sweep, sweep_together
from autovibe.store.walk import DirNode, Report, TreeWalker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from autovibe.store.exclude import Exclude
    from autovibe.store.hint import Hint
    from autovibe.store.model import Progress
    from autovibe.store.packwriter import PackWriter
    from autovibe.store.statcache import DirRecord, Known, StatCache
    from autovibe.store.walk import Inode

_AnyWalker = TypeVar("_AnyWalker", bound=TreeWalker)
Links = dict[tuple[int, int], list[tuple[bytes, bytes]]]


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


def inode_of(fd: int) -> Inode:
    """Return device and inode of something open."""
    st = os.fstat(fd)
    return st.st_dev, st.st_ino


@dataclass(slots=True)
class WalkedRoot:
    """One root that was walked; `known` is brought forward by what `gone` and the nodes say."""

    name: str
    node: DirNode
    links: Links
    known: Known | None
    gone: list[bytes]
    first: GrowingBuilder | None = None  # of a root of which nothing was known


@dataclass(slots=True)
class Capture:
    """One snapshot in the making: which roots, into which pack, with what is known of them."""

    store_id: str
    cache: StatCache | None
    exclude: Exclude | None
    hint: Hint
    progress: Callable[[Progress], None] | None
    started_ns: int
    report: Report = field(default_factory=Report)
    missed: list[str] = field(default_factory=list[str])
    told: bool = True  # no root was walked without the tracker's word

    def walk(self, name: str, path: Path, writer: PackWriter, own: Inode) -> WalkedRoot:
        """Read one root."""
        with closing(open_root(name, path)) as fd:
            if inode_of(fd) == own:
                msg = f"{path} is the checkpoint store itself: capture something else."
                raise InvalidArgumentError(msg)
            known = self.cache and self.cache.known(self.store_id, name, self.exclude)
            plan = None if known is None else self._plan(fd, name, known)

            previous: Mapping[bytes, DirRecord] = {}
            if self.cache is not None:
                previous = self.cache.records(self.store_id, name)

            def walker(kind: type[_AnyWalker]) -> _AnyWalker:
                return kind(
                    name,
                    writer,
                    self.report,
                    previous=previous,
                    exclude=self.exclude.matcher(name) if self.exclude else None,
                    started_ns=self.started_ns,
                    own=own,
                    reread=self.hint.reread,
                    progress=self.progress,
                )

            if known is None or plan is None:
                self.told = False
                if previous:
                    full = walker(TreeWalker)
                    return WalkedRoot(name, full.walk(fd), full.links, None, [])
                first = walker(FirstWalker)
                first.builder = GrowingBuilder(writer, keep=self.cache is not None)
                return WalkedRoot(name, first.walk(fd), first.links, None, [], first.builder)
            again = walker(Revisitor)
            node = again.revisit(fd, plan)
            if self._other_names(again.links, known, plan):
                again = walker(Revisitor)
                node = again.revisit(fd, plan)
            return WalkedRoot(name, node, again.links, known, again.gone)

    @property
    def detection(self) -> str:
        """How it was found out what has changed."""
        return self.hint.detection if self.told else WALK

    @property
    def audited(self) -> bool:
        """Whether every entry was looked at."""
        return self.detection == WALK or self.hint.audit is not None

    def _plan(self, fd: int, name: str, known: Known) -> Plan | None:
        """Find out what to look at; None when that is everything."""
        hint, root = self.hint, tree.to_bytes(name)
        if hint.paths is None:
            self.told = False
            plan = Plan()
            if hint.resident:
                sweep_together(fd, known, plan)
            else:
                sweep(fd, known.records, plan)
        else:
            plan = Plan.of(root, hint.paths)
        if plan.everything:
            return None
        plan.take_known(known, hint.reread)
        if hint.paths is not None and hint.audit is not None:
            self._audit(fd, name, known, plan)
        if hint.paths is None or hint.audit is not None:
            plan.take_racy(known)
        plan.close(known.records)
        return plan

    def _audit(self, fd: int, name: str, known: Known, plan: Plan) -> None:
        """Look at everything, and note what the tracker should have told and did not."""
        assert self.hint.audit is not None
        seen = Plan()
        found = sweep(fd, known.records, seen, audit=True)
        later = self.hint.audit()
        if later is not None:
            missed = untold(found, plan, Plan.of(tree.to_bytes(name), later))
            self.missed += [f"{name}/{tree.to_text(path)}".rstrip("/") for path in missed]
        plan.listings |= seen.listings
        for directory, names in seen.names.items():
            for entry, surely in names.items():
                plan.look(directory, entry, surely=surely)

    @staticmethod
    def _other_names(links: Links, known: Known, plan: Plan) -> bool:
        """Plan to look at the other names of inodes that have got another one.

        The kernel tells of the new name only.
        """
        wanting: dict[int, set[tuple[bytes, bytes]]] = {}
        for (_, inode), names in links.items():
            wanting.setdefault(inode, set()).update(names)
        more = False
        for place in known.places(frozenset(wanting)):
            directory, name = place
            if not plan.covers(place):
                plan.look(directory, name, surely=True)
                more = True
        if more:
            plan.close(known.records)
        return more
