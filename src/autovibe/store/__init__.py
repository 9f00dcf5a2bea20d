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
    RefExistsError,
    StoreBusyError,
    StoreDamagedError,
    StoreFullError,
    StoreKeyError,
    StoreNewerFormatError,
    StoreNotFoundError,
    StoreReadOnlyError,
    StoreWriteError,
    TargetNotEmptyError,
    TargetUnwritableError,
    UnreadableArchiveError,
    UnsafeTreeError,
)
from autovibe.store.exclude import Exclude
from autovibe.store.keep import KeepRules
from autovibe.store.model import (
    AuditResult,
    Change,
    CheckResult,
    Damage,
    Entry,
    ExportResult,
    Kind,
    LogEntry,
    Progress,
    PruneResult,
    RefDamage,
    RestoreResult,
    Skipped,
    Snapshot,
    StoreStats,
    VerifyResult,
)
from autovibe.store.patch import iter_patch, patch
from autovibe.store.protocol import CheckpointStore
from autovibe.store.refs import NewRef, Ref
from autovibe.store.sealing import parse_key
from autovibe.store.statcache import StatCache
from autovibe.store.store import Store
from autovibe.store.transfer import Sent, TransferringStore, objects_of

__all__ = [
    "AuditResult",
    "Change",
    "CheckResult",
    "CheckpointStore",
    "Damage",
    "Entry",
    "Exclude",
    "ExportResult",
    "KeepRules",
    "Kind",
    "LogEntry",
    "NewRef",
    "NotAFileError",
    "NotAStoreError",
    "ObjectCorruptError",
    "ObjectMissingError",
    "PathNotFoundError",
    "Progress",
    "PruneResult",
    "Ref",
    "RefDamage",
    "RefExistsError",
    "RestoreResult",
    "Sent",
    "Skipped",
    "Snapshot",
    "StatCache",
    "Store",
    "StoreBusyError",
    "StoreDamagedError",
    "StoreFullError",
    "StoreKeyError",
    "StoreNewerFormatError",
    "StoreNotFoundError",
    "StoreReadOnlyError",
    "StoreStats",
    "StoreWriteError",
    "TargetNotEmptyError",
    "TargetUnwritableError",
    "TransferringStore",
    "UnreadableArchiveError",
    "UnsafeTreeError",
    "VerifyResult",
    "iter_patch",
    "objects_of",
    "parse_key",
    "patch",
]
