"""The checkpoint store: content-addressed snapshots of whole file trees.

It knows nothing of the database and is synchronous. The format is in docs/formats/store.md.

Each name is loaded when it is first asked for: a process that takes one snapshot, or does a share
of a restore, is at work before everything else would have been imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
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
    from autovibe.store.patching import iter_patch, patch
    from autovibe.store.protocol import CheckpointStore
    from autovibe.store.refs import NewRef, Ref
    from autovibe.store.resident import Resident
    from autovibe.store.sealing import parse_key
    from autovibe.store.statcache import StatCache
    from autovibe.store.store import Store
    from autovibe.store.transfer import Sent, TransferringStore, objects_of

_PLACES: Final = {
    "errors": (
        "NotAFileError NotAStoreError ObjectCorruptError ObjectMissingError "
        "PathNotFoundError RefExistsError StoreBusyError StoreDamagedError StoreFullError "
        "StoreKeyError StoreNewerFormatError StoreNotFoundError StoreReadOnlyError "
        "StoreWriteError TargetNotEmptyError TargetUnwritableError UnreadableArchiveError "
        "UnsafeTreeError"
    ),
    "exclude": "Exclude",
    "keep": "KeepRules",
    "model": (
        "AuditResult Change CheckResult Damage Entry ExportResult Kind LogEntry Progress "
        "PruneResult RefDamage RestoreResult Skipped Snapshot StoreStats VerifyResult"
    ),
    "patching": "iter_patch patch",
    "protocol": "CheckpointStore",
    "refs": "NewRef Ref",
    "resident": "Resident",
    "sealing": "parse_key",
    "statcache": "StatCache",
    "store": "Store",
    "transfer": "Sent TransferringStore objects_of",
}
_HOMES: Final = {name: module for module, names in _PLACES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    return value


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
    "Resident",
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
