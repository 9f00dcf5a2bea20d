"""Queries on checkpoints."""

from autovibe.domains.checkpoints.repository.history import PathVersion, path_history
from autovibe.domains.checkpoints.repository.lineage import (
    ancestor_at,
    ancestors,
    common_ancestor,
    descendants,
    evolution,
    path_between,
)
from autovibe.domains.checkpoints.repository.rows import (
    Node,
    TreeRow,
    count_of_machines,
    find_between,
    find_newest_with_root,
    find_node,
    latest_verified,
    list_page,
    tree_of,
)
from autovibe.domains.checkpoints.repository.running import RunningMachine, running_machines
from autovibe.domains.checkpoints.repository.upkeep import (
    StoredBytes,
    stored_bytes_of_projects,
)

__all__ = [
    "Node",
    "PathVersion",
    "RunningMachine",
    "StoredBytes",
    "TreeRow",
    "ancestor_at",
    "ancestors",
    "common_ancestor",
    "count_of_machines",
    "descendants",
    "evolution",
    "find_between",
    "find_newest_with_root",
    "find_node",
    "latest_verified",
    "list_page",
    "path_between",
    "path_history",
    "running_machines",
    "stored_bytes_of_projects",
    "tree_of",
]
