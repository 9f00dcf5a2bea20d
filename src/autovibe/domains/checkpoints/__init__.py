"""Checkpoints: immutable, verified snapshots of a whole file tree, in a tree per project."""

from autovibe.domains.checkpoints.ancestry import descends_from
from autovibe.domains.checkpoints.importing import REPOSITORY_ROOT
from autovibe.domains.checkpoints.manifest import manifest_of
from autovibe.domains.checkpoints.messages import change_message
from autovibe.domains.checkpoints.reading import is_git_internal
from autovibe.domains.checkpoints.recording import (
    find_import,
    get_checkpoint,
    get_readable_root,
    newest_consistent,
)
from autovibe.domains.checkpoints.references import ReconcileReferences
from autovibe.domains.checkpoints.repository import (
    PathVersion,
    StoredBytes,
    count_of_machines,
    path_history,
    stored_bytes_of_projects,
)
from autovibe.domains.checkpoints.repository.damage import count_damaged
from autovibe.domains.checkpoints.repository.upkeep import last_read_as_a_whole, roots_of_all
from autovibe.domains.checkpoints.service import CheckpointService, LeaseCheck, StoreWork
from autovibe.domains.checkpoints.storekeeping import (
    AuditStore,
    Pruned,
    PruneStore,
    Storekeeper,
)
from autovibe.domains.checkpoints.thinning import KeepCheckpoints, ThinCheckpoints
from autovibe.domains.checkpoints.transferring import TransferService
from autovibe.domains.checkpoints.verifying import VerificationQueue

__all__ = [
    "REPOSITORY_ROOT",
    "AuditStore",
    "CheckpointService",
    "KeepCheckpoints",
    "LeaseCheck",
    "PathVersion",
    "PruneStore",
    "Pruned",
    "ReconcileReferences",
    "StoreWork",
    "StoredBytes",
    "Storekeeper",
    "ThinCheckpoints",
    "TransferService",
    "VerificationQueue",
    "change_message",
    "count_damaged",
    "count_of_machines",
    "descends_from",
    "find_import",
    "get_checkpoint",
    "get_readable_root",
    "is_git_internal",
    "last_read_as_a_whole",
    "manifest_of",
    "newest_consistent",
    "path_history",
    "roots_of_all",
    "stored_bytes_of_projects",
]
