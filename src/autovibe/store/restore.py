"""Restoring: into an empty directory, or in place over what stands there.

Everything is written through directory descriptors that follow no link. Hard links and symbolic
links come after all files, attributes of directories last.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from autovibe.kernel import faults
from autovibe.store import tree
from autovibe.store.content import ContentWriter
from autovibe.store.exchange import Remover, exchange
from autovibe.store.model import Progress, RestoreResult, Skipped
from autovibe.store.opening import (
    NO_XATTRS,
    closing,
    lstat,
    open_beneath,
    open_dir,
    open_file,
    open_path,
    read_xattrs,
)
from autovibe.store.reading import check_depth, differing
from autovibe.store.statcache import STAMP_BYTES, is_unchanged
from autovibe.store.tree import TreeEntry, load_tree, to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from autovibe.store.packs import Objects
    from autovibe.store.statcache import DirRecord

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHANGED: Final = "it was changed after it had been saved, and is left as it is"
_APPEARED: Final = "something was made here after the target had been saved"
PERMISSIONS: Final = 0o1777
EXACT_PERMISSIONS: Final = 0o7777


def remove_tree(parent: int, name: bytes) -> None:
    """Remove a name and all below it without following a link or entering another file system."""
    st = lstat(name, parent)
    if st is None:
        return
    if not stat.S_ISDIR(st.st_mode):
        os.unlink(name, dir_fd=parent)
        return
    with closing(open_dir(name, parent)) as fd:
        if os.fstat(fd).st_dev != os.fstat(parent).st_dev:
            msg = "another file system is mounted here"
            raise OSError(errno.EXDEV, msg, name)
        empty_dir(fd)
    os.rmdir(name, dir_fd=parent)


def empty_dir(fd: int) -> None:
    """Remove everything in the directory open at `fd`."""
    _make_writable(fd)
    with os.scandir(fd) as listing:
        names = [os.fsencode(item.name) for item in listing]
    for name in names:
        remove_tree(fd, name)


def _make_writable(fd: int) -> None:
    mode = stat.S_IMODE(os.fstat(fd).st_mode)
    if mode & stat.S_IRWXU != stat.S_IRWXU:
        os.fchmod(fd, mode | stat.S_IRWXU)


@dataclass(slots=True)
class TreeWriter:
    """Makes a directory equal to a stored one.

    In place, `saved` is what the snapshot of the target saw just before: nothing is removed or
    replaced that is not as it was then. `trees` are directories that are not in the store. `lossy`
    are paths whose attributes on disk are not those that a snapshot would have to find. With
    `durable` a replaced file is old or new after a power failure, too. `whole` says that the target
    is a named root, so that the names of link groups are paths in it.
    """

    objects: Objects
    dest: int
    exact: bool
    progress: Callable[[Progress], None] | None
    saved: Mapping[bytes, DirRecord] | None = None
    durable: bool = True
    whole: bool = False
    trees: Mapping[bytes, list[TreeEntry]] = field(default_factory=dict[bytes, list[TreeEntry]])
    files: int = 0
    written: int = 0
    deleted: list[str] = field(default_factory=list[str])
    skipped: list[Skipped] = field(default_factory=list[Skipped])
    lossy: set[bytes] = field(default_factory=set[bytes])
    _dirs: list[tuple[bytes, TreeEntry]] = field(default_factory=list[tuple[bytes, TreeEntry]])
    _links: list[tuple[bytes, TreeEntry]] = field(default_factory=list[tuple[bytes, TreeEntry]])
    _groups: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    _unmade: set[bytes] = field(default_factory=set[bytes])
    _remover: Remover = field(default_factory=Remover)

    def directory(self, old: TreeEntry | None, new: TreeEntry) -> None:
        """Make the target itself, which now is `old`, the directory `new`."""
        self._contents(self.dest, b"", old, new, 0)
        if new.name:
            self._dirs.append((b"", new))
        self._finish()

    def single(self, old: TreeEntry | None, new: TreeEntry) -> None:
        """Put one entry into the target, which now is `old`, under its own name."""
        olds = {entry.name: entry for entry in self._load(old.digest)} if old else {}
        before = olds.get(new.name)
        if before is not None:
            self.deleted.append(to_text(new.name))
        self._create(self.dest, new.name, before, new)
        self._finish()

    def _load(self, digest: bytes) -> list[TreeEntry]:
        found = self.trees.get(digest)
        return load_tree(self.objects, digest) if found is None else found

    def _finish(self) -> None:
        """Create the links, then set the attributes of directories from the leaves up."""
        self._make_links()
        for path, entry in sorted(self._dirs, key=lambda item: item[0].count(b"/"), reverse=True):
            if path:
                with closing(open_beneath(self.dest, path)) as fd:
                    self._attributes(fd, path, entry)
        for path, entry in self._dirs:
            if not path:
                self._attributes(self.dest, path, entry)

    def _make_links(self) -> None:
        for path, entry in self._links:
            parent, _, name = path.rpartition(b"/")
            with closing(open_beneath(self.dest, parent)) as fd:
                try:
                    if entry.kind == tree.FILE:
                        self._hard_link(fd, path, entry)
                    else:
                        self._symlink(fd, name, path, entry)
                except FileExistsError:
                    if self.saved is None:
                        raise
                    self._skip(path, _APPEARED)

    def _contents(
        self, fd: int, path: bytes, old: TreeEntry | None, new: TreeEntry, depth: int
    ) -> None:
        check_depth(depth)
        if old is not None:
            _make_writable(fd)
        olds, news = self._differing(old, new)
        prefix = path + b"/" if path else b""
        for name in sorted(olds.keys() - news.keys()):
            if self._remove(fd, prefix + name, olds[name]):
                self.deleted.append(to_text(prefix + name))
        for name, entry in news.items():
            before = olds.get(name)
            below = prefix + name
            if entry.kind == tree.DIR:
                self._enter(fd, below, before, entry, depth)
            elif not self._adjust(fd, below, before, entry):
                self._create(fd, below, before, entry)

    def _differing(
        self, old: TreeEntry | None, new: TreeEntry
    ) -> tuple[dict[bytes, TreeEntry], dict[bytes, TreeEntry]]:
        """Return the entries of a directory that are not the same before and afterwards."""
        digests = {new.digest} if old is None else {old.digest, new.digest}
        if old is None or not digests.isdisjoint(self.trees):
            olds = {e.name: e for e in self._load(old.digest)} if old else {}
            news = {e.name: e for e in self._load(new.digest)}
            same = {name for name, entry in news.items() if olds.get(name) == entry}
            return (
                {name: entry for name, entry in olds.items() if name not in same},
                {name: entry for name, entry in news.items() if name not in same},
            )
        return differing(self.objects, old.digest, new.digest)

    def _enter(
        self, fd: int, path: bytes, old: TreeEntry | None, new: TreeEntry, depth: int
    ) -> None:
        if new.flags:
            self._skip(path, "the snapshot did not enter this directory")
        if old is not None and old.kind != tree.DIR:
            if not self._remove(fd, path, old):
                return
            self.deleted.append(to_text(path))
            old = None
        if old is None and not self._make_dir(fd, new.name, path):
            return
        if old is None or (old.digest != new.digest and not new.flags):
            with closing(open_dir(new.name, fd)) as child:
                self._contents(child, path, old, new, depth + 1)
        self._dirs.append((path, new))

    def _make_dir(self, fd: int, name: bytes, path: bytes) -> bool:
        try:
            os.mkdir(name, 0o700, dir_fd=fd)
        except FileExistsError:
            if self.saved is None:
                raise
            self._skip(path, _APPEARED)
            return False
        return True

    def _remove(self, fd: int, path: bytes, old: TreeEntry) -> bool:
        """Remove what was saved as `old`; False when something else, or more, stands there now."""
        name = old.name
        if old.kind != tree.DIR:
            st = lstat(name, fd)
            if st is not None and not self._as_saved(path, st):
                self._skip(path, _CHANGED)
                return False
            if st is not None and self.durable:
                os.unlink(name, dir_fd=fd)
            elif st is not None:
                self._remover.unlink(name, fd)
            return True
        try:
            child = open_dir(name, fd)
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
            self._skip(path, _CHANGED)
            return False
        with closing(child):
            if os.fstat(child).st_dev != os.fstat(fd).st_dev:
                self._skip(path, "another file system is mounted here")
                return False
            return self._remove_directory(fd, child, path, old)

    def _remove_directory(self, parent: int, fd: int, path: bytes, old: TreeEntry) -> bool:
        """Remove what is known of a directory, and itself unless something else is in it."""
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        _make_writable(fd)
        for entry in self._load(old.digest):
            self._remove(fd, path + b"/" + entry.name, entry)
        try:
            os.rmdir(old.name, dir_fd=parent)
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                raise
            os.fchmod(fd, mode)
            self._skip(path, _CHANGED)
            return False
        return True

    def _as_saved(self, path: bytes, st: os.stat_result) -> bool:
        """Say whether a file is still the one that was saved before the restore began."""
        if self.saved is None:
            return True
        parent, _, name = path.rpartition(b"/")
        record = self.saved.get(parent)
        seen = None if record is None else record.files.get(name)
        return seen is not None and is_unchanged(seen, st)

    def _skip(self, path: bytes, why: str) -> None:
        self.skipped.append(Skipped(to_text(path), why))
        self.lossy.add(path)

    def _leave(self, path: bytes, why: str) -> None:
        """Skip a file, to which no other name of its group may then be linked."""
        self._skip(path, why)
        self._unmade.add(path)

    def _adjust(self, fd: int, path: bytes, old: TreeEntry | None, new: TreeEntry) -> bool:
        """Set only the attributes of a file whose content is already there."""
        if old is None or old.kind != tree.FILE or new.kind != tree.FILE:
            return False
        # An inode with other names must not change under them: it is written anew instead.
        if old.link or new.link or old.xattrs != new.xattrs or (old.flags | new.flags):
            return False
        if (old.digest, old.size) != (new.digest, new.size):
            return False
        with closing(open_file(new.name, fd)) as file:
            st = os.fstat(file)
            if not stat.S_ISREG(st.st_mode) or st.st_nlink > 1 or not self._as_saved(path, st):
                return False
            self._attributes(file, path, new)
        return True

    def _create(self, fd: int, path: bytes, old: TreeEntry | None, entry: TreeEntry) -> None:
        if entry.kind == tree.FILE and entry.flags & tree.UNREADABLE:
            self._skip(path, "the snapshot could not read this file")
            return
        follows = bool(entry.link) and not self._leads(path, entry)
        renamed = entry.kind == tree.FILE and not follows
        # A file is replaced at once by its successor; everything else makes room first.
        if (
            old is not None
            and not (renamed and old.kind != tree.DIR)
            and not self._remove(fd, path, old)
        ):
            return
        if entry.kind == tree.SYMLINK or follows:
            self._links.append((path, entry))
        elif entry.kind != tree.FILE:
            self._special(fd, path, entry)
        else:
            self._file(fd, path, entry, replace=old is not None and old.kind != tree.DIR)

    def _leads(self, path: bytes, entry: TreeEntry) -> bool:
        """Say whether this path is the one that the others of its link group are linked to."""
        if path != entry.link and entry.link not in self._groups and self._stands(entry):
            self._groups[entry.link] = entry.link
        return self._groups.setdefault(entry.link, path) == path

    def _stands(self, entry: TreeEntry) -> bool:
        """Say whether the first name of a link group is there already, and needs no change."""
        if self.saved is None or not self.whole:
            return False
        parent, _, name = entry.link.rpartition(b"/")
        record = self.saved.get(parent)
        seen = None if record is None else record.files.get(name)
        if seen is None:
            return False
        try:
            with closing(open_beneath(self.dest, parent)) as fd:
                st = lstat(name, fd)
        except OSError:
            return False
        kept = tree.decode_entry(seen[STAMP_BYTES:])._replace(name=entry.name, link=entry.link)
        return st is not None and is_unchanged(seen, st) and kept == entry

    def _file(self, fd: int, path: bytes, entry: TreeEntry, *, replace: bool) -> None:
        """Write a file; one that stands there is replaced at once when the new one is whole."""
        name = b".autovibe-" + os.urandom(8).hex().encode("ascii") if replace else entry.name
        try:
            file = os.open(name, _CREATE, 0o600, dir_fd=fd)
        except FileExistsError:
            if self.saved is None:
                raise
            self._leave(path, _APPEARED)
            return
        try:
            with closing(file):
                self._write(file, entry)
                self._attributes(file, path, entry)
            if replace:
                st = lstat(entry.name, fd)
                if st is not None and not self._as_saved(path, st):
                    os.unlink(name, dir_fd=fd)
                    self._leave(path, _CHANGED)
                    return
                self._replace(fd, name, entry.name, st)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=fd)
            raise
        if entry.flags & tree.TORN:
            self._skip(path, "the file changed while the snapshot read it; this is the last read")
        self.files += 1
        self.written += entry.size
        if self.progress is not None:
            self.progress(Progress("restore", self.files, self.written, to_text(path)))
        faults.reach("file_restored")

    def _replace(self, fd: int, fresh: bytes, name: bytes, st: os.stat_result | None) -> None:
        """Put a new file in the place of the one that stands there, of which `st` is known."""
        if st is None or self.durable or not exchange(fd, fresh, name):
            os.rename(fresh, name, src_dir_fd=fd, dst_dir_fd=fd)
            return
        self._remover.unlink(fresh, fd)  # it is the old one now

    def _write(self, file: int, entry: TreeEntry) -> None:
        out = ContentWriter(file, entry.holes)
        ids = tree.chunk_ids(self.objects, entry)
        # The id of a lone blob is the hash of the content: it was compared when it was read.
        whole = hashlib.sha256() if len(ids) != 1 else None
        for digest in ids:
            zero = digest == tree.ZERO_CHUNK_ID
            data = tree.ZERO_CHUNK if zero else self.objects.get(digest)
            if whole is not None:
                whole.update(data)
            out.write(data)
        tree.check_whole(entry, whole.digest() if whole else ids[0], out.at)
        out.finish()

    def _attributes(self, fd: int, path: bytes, entry: TreeEntry) -> None:
        """Set owner, attributes, mode and time, in the order in which none undoes another.

        What is right already is left alone: each call is an event for whoever watches the tree.
        """
        if self.exact:
            st = os.fstat(fd)
            if (st.st_uid, st.st_gid) != (entry.uid, entry.gid):
                self._own(path, lambda: os.fchown(fd, entry.uid, entry.gid))
        self._set_xattrs(fd, path, entry)
        st = os.fstat(fd)
        mode = entry.mode & (EXACT_PERMISSIONS if self.exact else PERMISSIONS)
        if stat.S_IMODE(st.st_mode) != mode:
            os.fchmod(fd, mode)
        if st.st_mtime_ns != entry.mtime_ns:
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))

    def _own(self, path: bytes, chown: Callable[[], None]) -> None:
        try:
            chown()
        except PermissionError:
            self._skip(path, "the owner can only be set by root")

    def _set_xattrs(self, fd: int, path: bytes, entry: TreeEntry) -> None:
        wanted = {name for name, _ in entry.xattrs}
        there = read_xattrs(fd)
        if there == entry.xattrs:
            return
        for name, _ in there:  # inherited from the directory, or there before
            if name not in wanted:
                with contextlib.suppress(OSError):
                    os.removexattr(fd, name)
        for name, value in entry.xattrs:
            if not self.exact and not name.startswith(b"user."):
                self.lossy.add(path)
                continue
            try:
                os.setxattr(fd, name, value)
            except OSError as error:
                if error.errno not in NO_XATTRS:
                    raise
                self._skip(path, f"the attribute {to_text(name)} cannot be set here")

    def _hard_link(self, fd: int, path: bytes, entry: TreeEntry) -> None:
        if self._groups[entry.link] in self._unmade:
            self._groups[entry.link] = path
            self._file(fd, path, entry, replace=False)
            return
        name = entry.name
        parent, _, leader = self._groups[entry.link].rpartition(b"/")
        with closing(open_beneath(self.dest, parent)) as source:
            os.link(leader, name, src_dir_fd=source, dst_dir_fd=fd, follow_symlinks=False)
        self.files += 1

    def _symlink(self, fd: int, name: bytes, path: bytes, entry: TreeEntry) -> None:
        os.symlink(entry.target, name, dir_fd=fd)
        if self.exact:
            self._own(
                path,
                lambda: os.chown(name, entry.uid, entry.gid, dir_fd=fd, follow_symlinks=False),
            )
        times = (entry.mtime_ns, entry.mtime_ns)
        os.utime(name, ns=times, dir_fd=fd, follow_symlinks=False)
        self.files += 1

    def _special(self, fd: int, path: bytes, entry: TreeEntry) -> None:
        """Create a fifo or socket; a device only exactly, and only where that is allowed."""
        name, kind = entry.name, tree.TYPE_OF[entry.kind]
        if entry.kind in {tree.CHAR, tree.BLOCK} and not self.exact:
            self._skip(path, "a device is only restored exactly")
            return
        try:
            os.mknod(name, kind | 0o600, entry.size, dir_fd=fd)
        except PermissionError:
            self._skip(path, f"a {tree.SPECIAL[entry.kind]} cannot be created here")
            return
        with closing(open_path(name, fd)) as handle:
            if stat.S_IFMT(os.fstat(handle).st_mode) != kind:
                self._skip(path, "it was replaced while it was created")
                return
            magic = f"/proc/self/fd/{handle}"
            if self.exact:
                self._own(path, lambda: os.chown(magic, entry.uid, entry.gid))
            mode = entry.mode & (EXACT_PERMISSIONS if self.exact else PERMISSIONS)
            os.chmod(magic, mode)  # noqa: PTH101 - the magic link is no path to think about
            os.utime(magic, ns=(entry.mtime_ns, entry.mtime_ns))
        self.files += 1

    def close(self) -> None:
        """Let go of whatever helps to write; nothing is written after it."""
        self._remover.close()

    def result(self, saved_root: str | None = None, saved_ref: str | None = None) -> RestoreResult:
        """Sum up what was done."""
        return RestoreResult(
            files=self.files,
            bytes=self.written,
            deleted=tuple(sorted(self.deleted)),
            skipped=tuple(sorted(self.skipped, key=lambda item: (item.path, item.why))),
            saved_root=saved_root,
            saved_ref=saved_ref,
        )
