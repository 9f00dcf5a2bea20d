"""What any checkpoint store does; remote stores and file-system drivers will follow it, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from autovibe.store.hint import NOTHING_KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from autovibe.store.exclude import Exclude
    from autovibe.store.hint import Hint
    from autovibe.store.model import (
        Change,
        Entry,
        Progress,
        RestoreResult,
        Snapshot,
        StoreStats,
        VerifyResult,
    )
    from autovibe.store.refs import NewRef, Ref
    from autovibe.store.statcache import StatCache


class CheckpointStore(Protocol):
    """Keeps immutable snapshots of file trees; arguments and errors are those of `Store`."""

    def snapshot(
        self,
        roots: Mapping[str, Path],
        *,
        cache: StatCache | None = None,
        exclude: Exclude | None = None,
        hint: Hint = NOTHING_KNOWN,
        ref: NewRef | None = None,
        on_read: Callable[[], None] | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> Snapshot:
        """Capture directories under top-level names; durable when it returns."""
        ...

    def write_ref(
        self, name: str, snapshot_root: str, *, parents: Sequence[str] = (), note: str = ""
    ) -> None:
        """Name a snapshot durably."""
        ...

    def read_ref(self, name: str) -> str | None:
        """Return the root that a ref names."""
        ...

    def delete_ref(self, name: str) -> None:
        """Remove a ref durably; its objects stay until they are pruned."""
        ...

    def refs(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Yield name and root of refs, sorted by name."""
        ...

    def ref_names(self, prefix: str = "") -> list[str]:
        """Return the names of refs, sorted; damaged ones too."""
        ...

    def find_ref(self, name: str) -> Ref | None:
        """Return all that a ref says; None when there is no such ref."""
        ...

    def restore(
        self,
        root: str,
        dest: Path,
        *,
        path: str = "",
        paths: Collection[str] | None = None,
        exact: bool = False,
        onto_same: bool = False,
        cache: StatCache | None = None,
        hint: Hint = NOTHING_KNOWN,
        progress: Callable[[Progress], None] | None = None,
    ) -> RestoreResult:
        """Write a snapshot, or a part of it, into a directory."""
        ...

    def entries(self, root: str, path: str = "") -> Iterator[Entry]:
        """Yield everything below a path, depth first, sorted."""
        ...

    def read(self, root: str, path: str) -> Iterator[bytes]:
        """Yield the content of a file in pieces."""
        ...

    def diff(self, a: str | None, b: str, *, path: str = "", renames: bool = False) -> list[Change]:
        """Return what differs between two snapshots, sorted by path."""
        ...

    def verify(
        self,
        root: str | None = None,
        *,
        objects: Collection[str] | None = None,
        share: float = 1.0,
        seed: int = 0,
        progress: Callable[[Progress], None] | None = None,
    ) -> VerifyResult:
        """Read objects back and hash them again."""
        ...

    def stats(self, *, snapshots: bool = False) -> StoreStats:
        """Count what is in the store."""
        ...
