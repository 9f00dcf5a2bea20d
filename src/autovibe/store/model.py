"""What the store takes and gives: plain values, no behaviour.

Paths are text decoded as UTF-8 with `surrogateescape`: a name that is not UTF-8 keeps its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Kind(StrEnum):
    """What an entry is."""

    FILE = "file"
    DIR = "dir"
    SYMLINK = "symlink"
    SPECIAL = "special"


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a snapshot.

    `sha256` is that of the whole content and None for all but files, and for files that could not
    be read. `link` names the first path of the same inode, relative to the named root. `special`
    is fifo, socket, char or block. `complete` is False where the snapshot could not capture
    the whole: a torn or unreadable file, a directory that was not entered.
    """

    path: str
    kind: Kind
    mode: int
    size: int
    sha256: str | None
    mtime_ns: int
    target: str = ""
    uid: int = 0
    gid: int = 0
    link: str = ""
    special: str = ""
    complete: bool = True


ChangeKind = Literal["added", "modified", "deleted", "mode", "type", "renamed"]


@dataclass(frozen=True, slots=True)
class Change:
    """How one path differs between two snapshots; `old` is None when added, `new` when deleted.

    Of a renamed file `path` is the new one, `old` has the old one, and `similarity` says how much
    of the content is the same, in per cent; 0 for all other changes.
    """

    path: str
    change: ChangeKind
    old: Entry | None
    new: Entry | None
    similarity: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A finished, durable snapshot.

    Paths in `torn`, `unreadable`, `special` and `excluded` begin with the name of their root.
    `excluded` holds what was left out by pattern, and directories that were not entered: another
    file system is mounted there, they are nested too deep, or are the store itself.
    `total_bytes` counts each path of a hard link. `stored_bytes` is what the disk took for it; 0
    when nothing was new. `detection` says how it was found out what had changed: by looking at
    every entry (`walk`), or by events of the kernel. `audited` says that every entry was looked at,
    whatever the events had told. `missed` are changes that the events did not tell and such an
    audit found; the snapshot has them.
    """

    root: str
    file_count: int
    total_bytes: int
    stored_bytes: int
    new_objects: tuple[str, ...]
    read_bytes: int
    torn: tuple[str, ...]
    special: tuple[str, ...]
    excluded: tuple[str, ...]
    unreadable: tuple[str, ...]
    detection: str = "walk"
    audited: bool = True
    missed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long operation is: running totals, and the path or object it is at."""

    phase: Literal["read", "restore", "verify", "prune", "export", "import"]
    items: int
    bytes: int
    path: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A path that was not, or not fully, restored, and why."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What a restore wrote; paths are relative to the target.

    `saved_root` is the snapshot of what stood in the target before a restore in place, kept
    under `saved_ref`.
    """

    files: int
    bytes: int
    deleted: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    saved_root: str | None = None
    saved_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Damage:
    """An object that is missing or wrong, and the paths of the snapshot that need it."""

    object: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """The outcome of a verification: `ok` means that every object asked for is whole."""

    ok: bool
    objects: int
    bytes: int
    missing: tuple[Damage, ...]
    corrupt: tuple[Damage, ...]


@dataclass(frozen=True, slots=True)
class RefDamage:
    """A ref that names a damaged snapshot: how many of its paths are lost, and the first of them.

    A path "" is the snapshot itself; that of a directory stands for all below it.
    """

    name: str
    root: str
    count: int
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuditResult:
    """What an audit of every ref found; `unreadable` are refs that do not say what they name."""

    ok: bool
    refs: int
    objects: int
    bytes: int
    damaged_objects: int
    damaged: tuple[RefDamage, ...]
    unreadable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Totals of a store.

    `raw_bytes` is the uncompressed size of all distinct objects. `snapshot_files` and
    `snapshot_bytes` are summed over the distinct snapshots that refs name, and None unless they
    were asked for.
    """

    objects: int
    packs: int
    refs: int
    raw_bytes: int
    stored_bytes: int
    damaged_packs: tuple[str, ...]
    snapshots: int | None = None
    snapshot_files: int | None = None
    snapshot_bytes: int | None = None

    @property
    def compression_ratio(self) -> float:
        """How many bytes of objects a byte on disk stands for; 1 in an empty store."""
        return self.raw_bytes / self.stored_bytes if self.stored_bytes else 1.0

    @property
    def dedup_ratio(self) -> float | None:
        """How many bytes of files a byte of distinct objects stands for."""
        if self.snapshot_bytes is None:
            return None
        return self.snapshot_bytes / self.raw_bytes if self.raw_bytes else 1.0


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A snapshot in which a path is not what it was in the one before.

    `entry` is None where it was deleted. `at_ns` counts nanoseconds since 1970.
    """

    root: str
    refs: tuple[str, ...]
    parents: tuple[str, ...]
    at_ns: int
    note: str
    change: ChangeKind
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class PruneResult:
    """What a prune removed, or with `dry_run` would remove.

    `held_bytes` is stored for snapshots without a ref that the grace time still protects.
    `kept_packs` could not be rewritten, because they are damaged or came into use meanwhile.
    """

    dry_run: bool
    refs_kept: tuple[str, ...]
    refs_removed: tuple[str, ...]
    objects_removed: int
    packs_removed: int
    packs_written: int
    stored_before: int
    stored_after: int
    held_bytes: int
    kept_packs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The state of a whole store, before anything was repaired.

    Objects are named by their id where something needs them, else by their address on disk. `ok`
    means that nothing is damaged, or that everything was repaired.
    """

    ok: bool
    objects: int
    bytes: int
    packs: int
    missing: tuple[Damage, ...]
    corrupt: tuple[Damage, ...]
    unused_corrupt: tuple[str, ...]
    damaged_packs: tuple[str, ...]
    damaged_refs: tuple[str, ...]
    repaired: tuple[str, ...]
    rewritten_packs: int


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an archive holds; `skipped` is what no tar archive can hold, or had no content."""

    files: int
    bytes: int
    skipped: tuple[Skipped, ...]
