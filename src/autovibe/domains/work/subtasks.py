"""Tasks that are parts of others: same project, no more leave than the whole, not too deep."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.work.errors import ParentNotAllowedError
from autovibe.domains.work.models import PermissionLevel, Task, TaskStatus
from autovibe.domains.work.repository import graph as graph_repository

MAX_LEVELS: Final = 8
"""Levels of a tree of tasks, the root counted: the ledger looks at the caps of so many."""
_LEAVE: Final = {
    PermissionLevel.HUMAN_REQUIRED: 0,
    PermissionLevel.SUPERVISED: 1,
    PermissionLevel.AUTONOMOUS: 2,
}


async def check_parent(
    tx: ReadTx | WriteTx, parent: Task, project_id: uuid.UUID, permission_level: str
) -> str:
    """Return the permission level of a part of a task: that of the whole when none is named.

    Raises:
        ParentNotAllowedError: the task cannot be a part of that one.
    """
    if parent.project_id != project_id:
        raise ParentNotAllowedError(
            f"Task {parent.id} belongs to another project; a part is in that of the whole.",
            task_id=str(parent.id),
        )
    if parent.status in {TaskStatus.COMPLETED, TaskStatus.CANCELLED}:
        raise ParentNotAllowedError(
            f"Task {parent.id} is {parent.status} and gets no more parts; create a task of its "
            "own, or let it wait with `--after`.",
            task_id=str(parent.id),
        )
    levels = len(await graph_repository.ancestors(tx, parent.id, MAX_LEVELS))
    check_levels(levels + 1, str(parent.id))
    return part_level(parent.permission_level, permission_level, str(parent.id))


def check_levels(levels: int, parent: str) -> None:
    """Refuse a tree that is deeper than the ledger looks.

    Args:
        levels: of the tree, down to the new part.
        parent: what the part would belong to.

    Raises:
        ParentNotAllowedError: it is.
    """
    if levels > MAX_LEVELS:
        raise ParentNotAllowedError(
            f"Below {parent} the tree of tasks would be deeper than {MAX_LEVELS} levels; make the "
            "new task a part of one further up.",
            task_id=parent,
        )


def part_level(whole: str, wanted: str, parent: str) -> str:
    """Return the permission level of a part.

    Args:
        whole: level of the task that it is a part of.
        wanted: what was asked for, "" for nothing.
        parent: name of that task.

    Raises:
        ParentNotAllowedError: it would have more leave than the whole.
    """
    level = PermissionLevel(wanted or whole)
    if _LEAVE[level] > _LEAVE[PermissionLevel(whole)]:
        raise ParentNotAllowedError(
            f"A part of {parent} may be at most {whole}, not {level}; ask for less.",
            task_id=parent,
        )
    return level


def check_parts_may(whole: str, wanted: str, parts: Iterable[str]) -> None:
    """Refuse to take leave from a task that its unfinished parts have.

    Args:
        whole: the task.
        wanted: its level to be.
        parts: levels of its unfinished parts.

    Raises:
        ParentNotAllowedError: a part may do more.
    """
    above = [
        part for part in parts if _LEAVE[PermissionLevel(part)] > _LEAVE[PermissionLevel(wanted)]
    ]
    if above:
        raise ParentNotAllowedError(
            f"A part of task {whole} is {above[0]}; change the parts first, then the whole to "
            f"{wanted}.",
            task_id=whole,
        )
