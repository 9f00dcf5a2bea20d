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


ChangeKind = Literal["added", "modified", "deleted", "mode", "type"]


@dataclass(frozen=True, slots=True)
class Change:
    """How one path differs between two snapshots; `old` is None when added, `new` when deleted."""

    path: str
    change: ChangeKind
    old: Entry | None
    new: Entry | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A finished, durable snapshot.

    Paths in `torn`, `unreadable`, `special` and `excluded` begin with the name of their root.
    `excluded` holds what was left out by pattern, and directories that were not entered: another
    file system is mounted there, they are nested too deep, or are the store itself.
    `total_bytes` counts each path of a hard link. `stored_bytes` is what the disk took for it; 0
    when nothing was new.
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


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long operation is: running totals, and the path or object it is at."""

    phase: Literal["read", "restore", "verify"]
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
class StoreStats:
    """Totals of a store; `raw_bytes` is the uncompressed size of all distinct objects."""

    objects: int
    packs: int
    refs: int
    raw_bytes: int
    stored_bytes: int
    damaged_packs: tuple[str, ...]
