"""Bringing a snapshot forward: only what may have changed is looked at.

A plan says what that is; a sweep makes one from the time stamps of everything that is known, a
tracker from the events of the kernel. Both end in the same walk.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from autovibe.store import tree
from autovibe.store.opening import CHANGED, UNREADABLE, lstat, open_dir, read_xattrs
from autovibe.store.stamps import RESTLESS, inode_of, stamp_of
from autovibe.store.statcache import DirRecord
from autovibe.store.tree import TreeEntry
from autovibe.store.walk import DirNode, TreeWalker, entry_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from autovibe.store.statcache import Known

_NOTHING: Final = TreeEntry(b"", tree.DIR, 0, 0, 0, 0)
Place = tuple[bytes, bytes | None]


@dataclass(slots=True)
class Plan:
    """What to look at in one root.

    `names` are those to look at in a directory; the value says whether also what seems unchanged
    is read, and a directory entered whole. `listings` are the directories to list again. `within`
    leads from each directory to those subdirectories in which there is something to do. `told`
    says that a tracker would have named whatever has changed since the last snapshot looked at it.
    """

    names: dict[bytes, dict[bytes, bool]] = field(default_factory=dict[bytes, dict[bytes, bool]])
    listings: set[bytes] = field(default_factory=set[bytes])
    within: dict[bytes, set[bytes]] = field(default_factory=dict[bytes, set[bytes]])
    everything: bool = False
    told: bool = True

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
        """Add what no event tells of.

        That is what `DirRecord.unsettled` and `linked` name, and mapped files.
        """
        for path in known.unsettled | known.linked:
            record = known.records[path]
            for name in (*record.unsettled, *record.linked):
                self.look(path, name, surely=False)
        if reread:
            for path, name in known.places(reread):
                self.look(path, name, surely=True)

    def take_racy(self, known: Known) -> None:
        """Add what may have changed in the tick in which it was read.

        Time stamps do not tell that; events do. One comes after its change: what has changed since
        the reading is told after the reading, and so to the next snapshot at the latest.
        """
        self.told = False
        for path in known.racy:
            for name in known.records[path].racy:
                self.look(path, name, surely=False)

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
        path, plan, record = node.path, self._plan, node.record
        base = node.base = self._previous[path]
        names = plan.names.get(path)
        if path in plan.listings:
            record.own = self._settled(st)
            found = self._scan(fd, path, record)
            for name in base.files.keys() | base.dirs.keys():
                if name not in found:
                    self._vanish(node, name)
            for name, seen in found.items():
                surely = names is not None and names.get(name, False)
                self._look(fd, node, name, seen, depth, surely=surely)
        elif names is not None:
            # Other names may have come or gone with those that we were told of.
            record.own = base.own if base.own == stamp_of(st) else RESTLESS
            self._look_at(fd, node, base, names, depth)
        for name in plan.within.get(path, ()):
            if name in base.dirs and name not in node.touched:
                self._enter(fd, node, base, name, depth)
        record.summarise()
        self._note_links(node, base)

    def _note_links(self, node: DirNode, base: DirRecord) -> None:
        """Keep all names of files with several: each snapshot looks at all of those."""
        for name in base.linked - node.touched:
            self.links.setdefault(inode_of(base.files[name]), []).append((node.path, name))
        for name in node.record.linked:
            seen = node.record.files[name]
            self.links.setdefault(inode_of(seen), []).append((node.path, name))

    def _look_at(
        self, fd: int, node: DirNode, base: DirRecord, names: Mapping[bytes, bool], depth: int
    ) -> None:
        left_out = set(base.excluded)
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
        node.record.excluded = tuple(sorted(left_out))

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
        base = node.base
        assert base is not None
        if not (surely or name in base.unsettled or (name in base.racy and not self._plan.told)):
            if stat.S_ISDIR(seen.st_mode):
                same = name in base.dirs and self._child(node, name) in self._previous
            else:
                before = base.files.get(name)
                same = before is not None and before.startswith(stamp_of(seen))
                same = same and seen.st_ino not in self._reread
            if same:
                return
        self._vanish(node, name)
        self._visit(fd, node, name, seen, depth)

    @staticmethod
    def _child(node: DirNode, name: bytes) -> bytes:
        return node.path + b"/" + name if node.path else name

    def _vanish(self, node: DirNode, name: bytes) -> None:
        node.touched.add(name)
        child = self._child(node, name)
        if child in self._previous:
            self.gone.append(child)

    def _enter(self, fd: int, node: DirNode, base: DirRecord, name: bytes, depth: int) -> None:
        path = self._child(node, name)
        try:
            below = open_dir(name, fd)
            try:
                st = os.fstat(below)
                if st.st_dev == self._device and (st.st_dev, st.st_ino) != self._own:
                    child = DirNode(_NOTHING, path, DirRecord(), encoded=base.dirs[name])
                    if path in self._plan.listings or path in self._plan.names:
                        entry = entry_of(name, tree.DIR, st)
                        child.entry = entry._replace(xattrs=read_xattrs(below))
                        child.encoded = b""
                    self._touch(below, child, st, depth + 1)
                    node.dirs[name] = child
                    return
            finally:
                os.close(below)
        except OSError as error:
            if error.errno not in CHANGED | UNREADABLE:
                raise
        # It is not what it was: look at it as if it were new.
        self._vanish(node, name)
        seen = lstat(name, fd)
        if seen is not None:
            self._visit(fd, node, name, seen, depth)


def untold(found: Collection[Place], plan: Plan, later: Plan) -> list[bytes]:
    """Return the paths of changes that no plan of a tracker has."""
    return sorted(
        (b"/".join(filter(None, place)) if place[1] is not None else place[0])
        for place in found
        if not plan.covers(place) and not later.covers(place)
    )
