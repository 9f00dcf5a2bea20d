"""Queries of upkeep: what can be thinned, and the queue of checkpoints to verify."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Select,
    String,
    Uuid,
    and_,
    cast,
    column,
    exists,
    func,
    or_,
    select,
    table,
    union,
    update,
)
from sqlalchemy.orm import aliased, lazyload
from sqlalchemy.sql.base import ExecutableOption
from sqlalchemy.sql.elements import ColumnElement

from autovibe.db import ReadTx, WriteTx
from autovibe.db.types import UtcDateTime
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
_RUNS: Final = table(
    "maintenance_log", column("operation"), column("performed_at", UtcDateTime()), column("status")
)
_FINISHED: Final = ("completed", "cancelled")


def _without_checkpoint() -> ExecutableOption:
    """Leave out the checkpoint, which is joined by default: neither needed nor to be locked.

    Made when it is used: making it asks for all mappers, and this file may be imported by what
    configures them.
    """
    return lazyload(CheckpointVerification.checkpoint)


@dataclass(frozen=True)
class KeepCheckpoints:
    """Which of those that nothing needs stay all the same; 0 keeps none by that rule.

    A day or a month counts, in UTC, when it has one; of it the newest stays.
    """

    last: int = 0
    """Of each machine the newest so many."""
    daily: int = 0
    """Of each project one of each of the last so many days."""
    monthly: int = 0
    """Of each project one of each of the last so many months."""


async def count_expendable(tx: ReadTx, before: datetime, keep: KeepCheckpoints) -> int:
    """Return how many checkpoints of before a time nothing needs and no rule keeps."""
    query = select(func.count()).select_from(Checkpoint)
    query = query.where(*_expendable(), *_unkept(keep), Checkpoint.created_at < before)
    return (await tx.session.scalar(query)) or 0


async def expendable(
    tx: ReadTx, before: datetime, keep: KeepCheckpoints, limit: int
) -> Sequence[uuid.UUID]:
    """Return checkpoints of before a time that nothing needs and no rule keeps, oldest first."""
    query = select(Checkpoint.id).where(
        *_expendable(), *_unkept(keep), Checkpoint.created_at < before
    )
    return list(await tx.session.scalars(query.order_by(Checkpoint.created_at).limit(limit)))


async def mark_pruned(tx: WriteTx, ids: Collection[uuid.UUID], now: datetime) -> None:
    """Mark checkpoints as pruned."""
    await tx.session.execute(
        update(Checkpoint).where(Checkpoint.id.in_(ids)).values(pruned_at=now),
        execution_options={"synchronize_session": False},
    )


async def last_read_as_a_whole(tx: ReadTx) -> datetime | None:
    """Return when all that the store keeps was last read and hashed again."""
    query = select(func.max(_RUNS.c.performed_at)).where(
        _RUNS.c.operation == "audit-store", _RUNS.c.status == "success"
    )
    return await tx.session.scalar(query)


async def roots_of_all(tx: ReadTx) -> dict[uuid.UUID, str | None]:
    """Return the root of every checkpoint that the store keeps files of; of a thinned one `None`.

    One that never had files in the store is left out.
    """
    query = select(Checkpoint.id, Checkpoint.manifest_root, Checkpoint.pruned_at)
    found = await tx.session.execute(query.where(Checkpoint.manifest_root.is_not(None)))
    return {row[0]: None if row[2] is not None else row[1] for row in found}


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


def _unkept(keep: KeepCheckpoints) -> list[ColumnElement[bool]]:
    """Return the conditions of a checkpoint that no rule keeps.

    What was thinned does not count; as the newest of each day stays, days do not change by it.
    """
    day = cast(func.date(Checkpoint.created_at), String)
    newest_first = (Checkpoint.created_at.desc(), Checkpoint.id)
    conditions: list[ColumnElement[bool]] = []
    if keep.last:
        place = func.row_number().over(
            partition_by=Checkpoint.creating_machine_id, order_by=newest_first
        )
        conditions.append(_not_among(select(Checkpoint.id, place.label("place")), keep.last))
    for count, period in ((keep.daily, day), (keep.monthly, func.substr(day, 1, 7))):
        if count:
            groups = (Checkpoint.project_id, period)
            ranked = select(
                Checkpoint.id,
                func.dense_rank()
                .over(partition_by=Checkpoint.project_id, order_by=period.desc())
                .label("place"),
                func.row_number().over(partition_by=groups, order_by=newest_first).label("within"),
            )
            conditions.append(_not_among(ranked, count))
    return conditions


def _not_among(ranked: Select[*tuple[Any, ...]], count: int) -> ColumnElement[bool]:
    """Return the condition of a checkpoint that has none of the first places."""
    rows = ranked.where(
        Checkpoint.pruned_at.is_(None), Checkpoint.checkpoint_type.in_(_THINNED)
    ).subquery()
    kept = select(rows.c.id).where(rows.c.place <= count)
    if "within" in rows.c:
        kept = kept.where(rows.c.within == 1)
    return Checkpoint.id.not_in(kept)


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
