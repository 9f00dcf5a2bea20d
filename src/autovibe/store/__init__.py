"""The checkpoint store: content-addressed snapshots of whole file trees.

It knows nothing of the database and is synchronous. The format is in docs/formats/store.md.
"""

from __future__ import annotations

from autovibe.store.errors import (
    NotAFileError,
    NotAStoreError,
    ObjectCorruptError,
    ObjectMissingError,
    PathNotFoundError,
    StoreFullError,
    StoreNewerFormatError,
    StoreNotFoundError,
    StoreReadOnlyError,
    StoreWriteError,
    TargetNotEmptyError,
    TargetUnwritableError,
    UnsafeTreeError,
)
from autovibe.store.exclude import Exclude
from autovibe.store.model import (
    Change,
    Damage,
    Entry,
    Kind,
    Progress,
    RestoreResult,
    Skipped,
    Snapshot,
    StoreStats,
    VerifyResult,
)
from autovibe.store.patch import iter_patch, patch
from autovibe.store.protocol import CheckpointStore
from autovibe.store.statcache import StatCache
from autovibe.store.store import Store

__all__ = [
    "Change",
    "CheckpointStore",
    "Damage",
    "Entry",
    "Exclude",
    "Kind",
    "NotAFileError",
    "NotAStoreError",
    "ObjectCorruptError",
    "ObjectMissingError",
    "PathNotFoundError",
    "Progress",
    "RestoreResult",
    "Skipped",
    "Snapshot",
    "StatCache",
    "Store",
    "StoreFullError",
    "StoreNewerFormatError",
    "StoreNotFoundError",
    "StoreReadOnlyError",
    "StoreStats",
    "StoreWriteError",
    "TargetNotEmptyError",
    "TargetUnwritableError",
    "UnsafeTreeError",
    "VerifyResult",
    "iter_patch",
    "patch",
]
