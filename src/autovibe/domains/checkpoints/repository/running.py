"""The machines that run, with their newest checkpoints."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Uuid, column, select, table, tuple_
from sqlalchemy.sql.expression import ColumnElement

from autovibe.db import ReadTx, WriteTx
from autovibe.db.types import UtcDateTime
from autovibe.domains.checkpoints.models import Checkpoint

# Models are private to their domains; these are the few columns that the query reads of them.
_PROJECTS: Final = table("projects", column("id", Uuid()), column("name"))
_MACHINES: Final = table(
    "intelligent_machines",
    column("id", Uuid()),
    column("project_id", Uuid()),
    column("machine_type"),
    column("status"),
    column("current_progress"),
    column("spawned_at", UtcDateTime()),
    column("last_checkpoint_id", Uuid()),
)
_RUNNING: Final = ("active", "working", "checkpointing")


class RunningMachine(NamedTuple):
    """One machine that runs; the last three are `None` before its first checkpoint."""

    machine_id: uuid.UUID
    project_id: uuid.UUID | None
    project_name: str
    machine_type: str
    status: str
    current_progress: str | None
    spawned_at: datetime
    last_checkpoint_id: uuid.UUID | None
    last_checkpoint_at: datetime | None
    last_checkpoint_type: str | None


async def running_machines(
    tx: ReadTx | WriteTx,
    *,
    project_id: uuid.UUID | None = None,
    after: tuple[str, datetime, uuid.UUID] | None = None,
    limit: int,
) -> Sequence[RunningMachine]:
    """Return machines that run, by name of their project and the time they were started.

    Args:
        tx: any transaction.
        project_id: only of this project.
        after: project, start and id of the last one of the page before.
        limit: how many at most.

    Source: 000-autovibe-orm-and-data-architecture, "machine status dashboard".
    """
    place: tuple[ColumnElement[object], ...] = (
        _PROJECTS.c.name,
        _MACHINES.c.spawned_at,
        _MACHINES.c.id,
    )
    query = (
        select(
            _MACHINES.c.id,
            _MACHINES.c.project_id,
            _PROJECTS.c.name,
            _MACHINES.c.machine_type,
            _MACHINES.c.status,
            _MACHINES.c.current_progress,
            _MACHINES.c.spawned_at,
            Checkpoint.id,
            Checkpoint.created_at,
            Checkpoint.checkpoint_type,
        )
        .select_from(_MACHINES)
        .join(_PROJECTS, _PROJECTS.c.id == _MACHINES.c.project_id)
        .outerjoin(Checkpoint, Checkpoint.id == _MACHINES.c.last_checkpoint_id)
        .where(_MACHINES.c.status.in_(_RUNNING))
        .order_by(*place)
        .limit(limit)
    )
    if project_id is not None:
        query = query.where(_MACHINES.c.project_id == project_id)
    if after is not None:
        query = query.where(tuple_(*place) > tuple_(*after, types=[c.type for c in place]))
    return [RunningMachine(*row) for row in await tx.session.execute(query)]
