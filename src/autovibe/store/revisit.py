"""Bringing a snapshot forward: only what may have changed is looked at.

A plan says what that is; a sweep makes one from the time stamps of everything that is known, a
tracker from the events of the kernel. Both end in the same walk.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from autovibe.store import tree
from autovibe.store.opening import CHANGED, UNREADABLE, closing, lstat, open_dir, read_xattrs
from autovibe.store.statcache import DIRECTORY, DirRecord, stat_key
from autovibe.store.tree import TreeEntry
from autovibe.store.walk import DirNode, TreeWalker, entry_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from autovibe.store.statcache import Known

_LOOK: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOTHING: Final = TreeEntry(b"", tree.DIR, 0, 0, 0, 0)
Place = tuple[bytes, bytes | None]


@dataclass(slots=True)
class Plan:
    """What to look at in one root.

    `names` are those to look at in a directory; the value says whether also what seems unchanged
    is read, and a directory entered whole. `listings` are the directories to list again. `within`
    leads from each directory to those subdirectories in which there is something to do.
    """

    names: dict[bytes, dict[bytes, bool]] = field(default_factory=dict[bytes, dict[bytes, bool]])
    listings: set[bytes] = field(default_factory=set[bytes])
    within: dict[bytes, set[bytes]] = field(default_factory=dict[bytes, set[bytes]])
    everything: bool = False

    @classmethod
    def of(cls, root: bytes, paths: Collection[bytes]) -> Plan:
        """Make the plan of one root from paths that begin with the name of theirs."""
        plan = cls()
        plan.everything = root in paths
        prefix = root + b"/"
        for path in paths:
            if path.startswith(prefix):
                directory, _, name = path[len(prefix) :].rpartition(b"/")
                if name:
                    plan.look(directory, name, surely=True)
                else:
                    plan.listings.add(directory)
        return plan

    def look(self, directory: bytes, name: bytes, *, surely: bool) -> None:
        """Have a name looked at."""
        names = self.names.setdefault(directory, {})
        names[name] = surely or names.get(name, False)

    def take_known(self, known: Known, reread: frozenset[int]) -> None:
        """Add what no event tells of: see `DirRecord.unsettled` and `linked`, and mapped files."""
        for path in known.unsettled | known.linked:
            record = known.records[path]
            if not record.tree:
                self.listings.add(path)
            for name in record.unsettled.union(record.linked):
                self.look(path, name, surely=False)
        if reread:
            for path, name in known.places(reread):
                self.look(path, name, surely=True)

    def covers(self, place: Place) -> bool:
        """Say whether something that a sweep found is in this plan, too."""
        path, name = place
        if self.everything or path in self.listings:
            return True
        names = self.names.get(path)
        if names is not None and (name is None or name in names):
            return True
        while path:  # a directory above is entered whole
            path, _, part = path.rpartition(b"/")
            if self.names.get(path, {}).get(part):
                return True
        return False

    def close(self, records: Mapping[bytes, DirRecord]) -> None:
        """Find the way to each directory of the plan; what is not known lies below a new name."""
        for path in self.listings.union(self.names):
            at = path
            while at:
                parent, _, name = at.rpartition(b"/")
                if at not in records and parent in records:
                    self.look(parent, name, surely=True)
                siblings = self.within.setdefault(parent, set())
                if name in siblings:
                    break
                siblings.add(name)
                at = parent


def sweep(fd: int, records: Mapping[bytes, DirRecord], plan: Plan) -> list[Place]:
    """Compare every known entry with its time stamps, and plan to look at what differs.

    No name is listed anew where the directory itself has not changed, which takes half the time.

    Args:
        fd: the root.
        records: what is known of it.
        plan: is added to.

    Returns:
        Directory and name of what has changed for certain; without a name the directory itself.
    """
    found: list[Place] = []
    _sweep(fd, b"", records[b""], (records, plan, found))
    return found


def _sweep(  # noqa: C901 - one loop over all entries, without a call for each
    fd: int,
    path: bytes,
    record: DirRecord,
    to: tuple[Mapping[bytes, DirRecord], Plan, list[Place]],
) -> None:
    records, plan, found = to
    look, prefix = os.stat, path + b"/" if path else b""
    own = stat_key(os.fstat(fd))
    listed = own != record.own or not record.tree
    if listed:
        plan.listings.add(path)
        if record.own is not DIRECTORY and own != record.own:
            found.append((path, None))
    for name, key in record.listing.items():
        if key is DIRECTORY:
            child = records.get(prefix + name)
            if child is None:
                plan.look(path, name, surely=False)
                continue
            try:
                below = os.open(name, _LOOK, dir_fd=fd)
            except OSError:
                plan.look(path, name, surely=True)
                found.append((path, name))
                continue
            try:
                _sweep(below, prefix + name, child, to)
            finally:
                os.close(below)
        elif not listed:
            try:
                st = look(name, dir_fd=fd, follow_symlinks=False)
            except OSError:
                plan.look(path, name, surely=False)
                found.append((path, name))
                continue
            # Mode, owner and link count do not change without ctime.
            if (
                st.st_ctime_ns != key[6]
                or st.st_ino != key[2]
                or st.st_mtime_ns != key[5]
                or st.st_size != key[4]
                or st.st_dev != key[1]
            ):
                plan.look(path, name, surely=False)
                # Of several names of a file the kernel tells one only; the snapshot finds the rest.
                if st.st_nlink == 1:
                    found.append((path, name))


class Revisitor(TreeWalker):
    """Walks what a plan names, and keeps what is known of everything else.

    `gone` are directories whose records hold no longer; those seen since are in the nodes.
    """

    gone: list[bytes]
    _plan: Plan

    def revisit(self, fd: int, plan: Plan) -> DirNode:
        """Bring the root open at `fd` forward."""
        self.gone = []
        self._plan = plan
        st = os.fstat(fd)
        self._device = st.st_dev
        entry = entry_of(tree.to_bytes(self._root), tree.DIR, st)
        node = DirNode(entry._replace(xattrs=read_xattrs(fd)), b"", DirRecord())
        self._touch(fd, node, st, 0)
        return node

    def _touch(self, fd: int, node: DirNode, st: os.stat_result, depth: int) -> None:
        path, plan = node.path, self._plan
        before = self._previous[path]
        record = node.record
        node.base = before
        if path not in plan.listings and path not in plan.names:
            self._pass_through(fd, node, before, depth)
            return
        record.own = self._settled(st)
        record.listing, record.files = dict(before.listing), dict(before.files)
        record.unsettled, record.excluded = set(before.unsettled), before.excluded
        node.kept = dict(before.dirs)
        names = plan.names.get(path, {})
        if path in plan.listings:
            found = self._scan(fd, path, record)
            for name in before.listing.keys() - found.keys():
                self._vanish(node, name)
            for name, seen in found.items():
                self._look(fd, node, name, seen, depth, surely=names.get(name, False))
        else:
            self._look_at(fd, node, names, depth)
        for name in plan.within.get(path, ()):
            if name in node.kept:
                self._enter(fd, node, name, depth)
        record.summarise_since(before, node.touched)
        self._note(node)

    def _pass_through(self, fd: int, node: DirNode, before: DirRecord, depth: int) -> None:
        """Go on to what is below a directory in which nothing has changed."""
        record = node.record = replace(before, dirs={}, tree=b"", parts=())
        node.kept = dict(before.dirs)
        for name in self._plan.within.get(node.path, ()):
            if name in node.kept:
                self._enter(fd, node, name, depth)
        if node.touched:
            record.summarise_since(before, node.touched)
        self._note(node)

    def _look_at(self, fd: int, node: DirNode, names: Mapping[bytes, bool], depth: int) -> None:
        record = node.record
        left_out = set(record.excluded)
        for name, surely in names.items():
            left_out.discard(name)
            seen = lstat(name, fd)
            if seen is None:
                self._vanish(node, name)
            elif self._is_excluded(node.path, name, seen):
                self._vanish(node, name)
                left_out.add(name)
            else:
                self._look(fd, node, name, seen, depth, surely=surely)
        record.excluded = tuple(sorted(left_out))

    def _look(
        self,
        fd: int,
        node: DirNode,
        name: bytes,
        seen: os.stat_result,
        depth: int,
        *,
        surely: bool,
    ) -> None:
        """Capture a name unless it is what it was; a known directory has its own turn."""
        record = node.record
        if not surely and name not in record.unsettled:
            if stat.S_ISDIR(seen.st_mode):
                same = name in node.kept and self._child(node, name) in self._previous
            else:
                key = stat_key(seen)
                same = record.listing.get(name) == key and key[2] not in self._reread
                same = same and name in record.files
            if same:
                return
        self._vanish(node, name)
        record.listing[name] = DIRECTORY if stat.S_ISDIR(seen.st_mode) else stat_key(seen)
        self._visit(fd, node, name, seen, depth)

    @staticmethod
    def _child(node: DirNode, name: bytes) -> bytes:
        return node.path + b"/" + name if node.path else name

    def _vanish(self, node: DirNode, name: bytes) -> None:
        node.touched.add(name)
        node.record.listing.pop(name, None)
        node.record.files.pop(name, None)
        node.record.unsettled.discard(name)
        node.kept.pop(name, None)
        child = self._child(node, name)
        if child in self._previous:
            self.gone.append(child)

    def _enter(self, fd: int, node: DirNode, name: bytes, depth: int) -> None:
        path = self._child(node, name)
        try:
            below = open_dir(name, fd)
            with closing(below):
                st = os.fstat(below)
                if st.st_dev == self._device and (st.st_dev, st.st_ino) != self._own:
                    child = DirNode(_NOTHING, path, DirRecord(), encoded=node.kept[name])
                    if path in self._plan.listings or path in self._plan.names:
                        entry = entry_of(name, tree.DIR, st)
                        child.entry = entry._replace(xattrs=read_xattrs(below))
                        child.encoded = b""
                    self._touch(below, child, st, depth + 1)
                    del node.kept[name]
                    node.dirs[name] = child
                    return
        except OSError as error:
            if error.errno not in CHANGED | UNREADABLE:
                raise
        # It is not what it was: look at it as if it were new.
        seen = lstat(name, fd)
        record = node.record
        record.listing, record.files = dict(record.listing), dict(record.files)
        record.unsettled = set(record.unsettled)
        self._vanish(node, name)
        if seen is not None:
            node.record.listing[name] = DIRECTORY if stat.S_ISDIR(seen.st_mode) else stat_key(seen)
            self._visit(fd, node, name, seen, depth)


def untold(found: Collection[Place], plan: Plan, later: Plan) -> list[bytes]:
    """Return the paths of changes that no plan of a tracker has."""
    return sorted(
        (b"/".join(filter(None, place)) if place[1] is not None else place[0])
        for place in found
        if not plan.covers(place) and not later.covers(place)
    )
