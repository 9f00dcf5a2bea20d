"""Queries of upkeep: what can be thinned, and the queue of checkpoints to verify."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Uuid, and_, column, exists, func, or_, select, table, union, update
from sqlalchemy.orm import aliased, lazyload
from sqlalchemy.sql.base import ExecutableOption

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints.models import (
    Checkpoint,
    CheckpointType,
    CheckpointVerification,
    VerificationJobStatus,
    VerificationStatus,
)

_THINNED: Final = (CheckpointType.AUTOMATIC, CheckpointType.HUB_DAILY)
_UNDECIDED: Final = (VerificationStatus.PENDING, VerificationStatus.VERIFYING)
# Models are private to their domains; these are the few columns that the query reads of them.
_PROJECTS: Final = table(
    "projects", column("initial_checkpoint_id", Uuid()), column("current_checkpoint_id", Uuid())
)
_MACHINES: Final = table(
    "intelligent_machines",
    column("id", Uuid()),
    column("status"),
    column("parent_checkpoint_id", Uuid()),
    column("last_checkpoint_id", Uuid()),
)
_TASKS: Final = table(
    "tasks",
    column("id", Uuid()),
    column("status"),
    column("base_checkpoint_id", Uuid()),
    column("result_checkpoint_id", Uuid()),
)
_EXECUTIONS: Final = table("executions", column("task_id", Uuid()), column("machine_id", Uuid()))
_FINISHED: Final = ("completed", "cancelled")


def _without_checkpoint() -> ExecutableOption:
    """Leave out the checkpoint, which is joined by default: neither needed nor to be locked.

    Made when it is used: making it asks for all mappers, and this file may be imported by what
    configures them.
    """
    return lazyload(CheckpointVerification.checkpoint)


async def count_expendable(tx: ReadTx, before: datetime) -> int:
    """Return how many checkpoints of before a time nothing needs."""
    query = select(func.count()).select_from(Checkpoint)
    query = query.where(*_expendable(), Checkpoint.created_at < before)
    return (await tx.session.scalar(query)) or 0


async def expendable(tx: ReadTx, before: datetime, limit: int) -> Sequence[uuid.UUID]:
    """Return checkpoints of before a time that nothing needs, the oldest first."""
    query = select(Checkpoint.id).where(*_expendable(), Checkpoint.created_at < before)
    return list(await tx.session.scalars(query.order_by(Checkpoint.created_at).limit(limit)))


async def mark_pruned(tx: WriteTx, ids: Collection[uuid.UUID], now: datetime) -> None:
    """Mark checkpoints as pruned."""
    await tx.session.execute(
        update(Checkpoint).where(Checkpoint.id.in_(ids)).values(pruned_at=now),
        execution_options={"synchronize_session": False},
    )


async def pruned_since(tx: ReadTx, since: datetime) -> Sequence[uuid.UUID]:
    """Return checkpoints that were thinned since a time."""
    return list(
        await tx.session.scalars(select(Checkpoint.id).where(Checkpoint.pruned_at >= since))
    )


async def next_verification(tx: WriteTx, taken_before: datetime) -> CheckpointVerification | None:
    """Return, locked, the next entry that waits or was claimed before a time."""
    entry = CheckpointVerification
    query = (
        select(entry)
        .where(
            or_(
                entry.status == VerificationJobStatus.QUEUED,
                and_(
                    entry.status == VerificationJobStatus.PROCESSING,
                    entry.locked_at < taken_before,
                ),
            )
        )
        .order_by(entry.attempts, entry.queued_at, entry.id)
        .limit(1)
        .options(_without_checkpoint())
    )
    found = await tx.session.scalars(tx.dialect.for_update(query, entry, skip_locked=True))
    return found.one_or_none()


async def lock_verification(tx: WriteTx, entry_id: uuid.UUID) -> CheckpointVerification | None:
    """Return an entry of the queue, locked."""
    query = select(CheckpointVerification).where(CheckpointVerification.id == entry_id)
    query = query.options(_without_checkpoint())
    found = await tx.session.scalars(tx.dialect.for_update(query, CheckpointVerification))
    return found.one_or_none()


def _expendable() -> tuple[Any, ...]:
    """Return the conditions of a checkpoint that nothing needs, whatever its age.

    Kept is whatever is no automatic one, a head, a checkpoint that a project, a living machine or
    a task that may go on names, and all that the machines of such a task have made: it resumes from
    the newest of them that is consistent.
    """
    open_tasks = select(_TASKS.c.id).where(_TASKS.c.status.not_in(_FINISHED))
    open_machines = select(_EXECUTIONS.c.machine_id).where(
        _EXECUTIONS.c.task_id.in_(open_tasks), _EXECUTIONS.c.machine_id.is_not(None)
    )
    living = _MACHINES.c.status != "terminated"
    is_open = _TASKS.c.status.not_in(_FINISHED)
    named = union(
        *(
            select(name).where(name.is_not(None), condition)
            for name, condition in (
                (_PROJECTS.c.initial_checkpoint_id, _PROJECTS.c.initial_checkpoint_id.is_not(None)),
                (_PROJECTS.c.current_checkpoint_id, _PROJECTS.c.current_checkpoint_id.is_not(None)),
                (_MACHINES.c.parent_checkpoint_id, living),
                (_MACHINES.c.last_checkpoint_id, living),
                (_TASKS.c.base_checkpoint_id, is_open),
                (_TASKS.c.result_checkpoint_id, is_open),
            )
        )
    )
    child = aliased(Checkpoint)
    machine = Checkpoint.creating_machine_id
    return (
        Checkpoint.pruned_at.is_(None),
        Checkpoint.checkpoint_type.in_(_THINNED),
        Checkpoint.verification_status.not_in(_UNDECIDED),
        exists().where(child.parent_checkpoint_id == Checkpoint.id),
        Checkpoint.id.not_in(named),
        machine.is_(None) | machine.not_in(open_machines),
    )


class StoredBytes(NamedTuple):
    """What the checkpoints of a project keep in the store, and since when the oldest does."""

    size_bytes: int
    since: datetime


async def stored_bytes_of_projects(tx: ReadTx) -> dict[uuid.UUID, StoredBytes]:
    """Return what the checkpoints of each project keep; those that were thinned keep nothing."""
    query = (
        select(
            Checkpoint.project_id,
            func.sum(Checkpoint.stored_bytes).label("stored"),
            func.min(Checkpoint.created_at).label("since"),
        )
        .where(Checkpoint.pruned_at.is_(None), Checkpoint.stored_bytes > 0)
        .group_by(Checkpoint.project_id)
    )
    found = await tx.session.execute(query)
    return {
        row.project_id: StoredBytes(int(row.stored), row.since)
        for row in found
        if row.project_id is not None
    }
