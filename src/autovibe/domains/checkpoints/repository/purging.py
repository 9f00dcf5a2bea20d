"""Queries of purging a machine: what still needs its checkpoints, and deleting all of it."""

from __future__ import annotations

import uuid
from typing import Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Uuid,
    column,
    delete,
    func,
    insert,
    literal,
    select,
    table,
    union_all,
    update,
)
from sqlalchemy.orm import aliased

from autovibe.db import ReadTx, WriteTx
from autovibe.db.types import Json
from autovibe.db.visibility import UNLIMITED
from autovibe.domains.checkpoints.models import Checkpoint, CheckpointType

# Models are private to their domains; these are the few columns that are needed of them.
_PROJECTS: Final = table(
    "projects",
    column("id", Uuid()),
    column("initial_checkpoint_id", Uuid()),
    column("current_checkpoint_id", Uuid()),
)
_MACHINES: Final = table(
    "intelligent_machines", column("id", Uuid()), column("parent_checkpoint_id", Uuid())
)
_TASKS: Final = table(
    "tasks",
    column("id", Uuid()),
    column("title"),
    column("status"),
    column("base_checkpoint_id", Uuid()),
    column("result_checkpoint_id", Uuid()),
)
_EXECUTIONS: Final = table("executions", column("task_id", Uuid()), column("machine_id", Uuid()))
_LOG: Final = table(
    "maintenance_log",
    column("id", Uuid()),
    column("operation"),
    column("affected_rows"),
    column("details", Json),
)
_FINISHED: Final = ("completed", "cancelled")
_SEEN: Final = {UNLIMITED: "the machine was found by the viewer, and all of it goes"}


class Need(NamedTuple):
    """Why a checkpoint of a machine may not go: a word, and the id of who needs it."""

    why: str
    checkpoint_id: uuid.UUID | None
    by_id: uuid.UUID | None


class Purged(NamedTuple):
    """How many checkpoints a machine has made, and what they keep in the store."""

    checkpoints: int
    stored_bytes: int


async def needs_of_machine(tx: ReadTx, machine_id: uuid.UUID, limit: int) -> list[Need]:
    """Return why a machine's checkpoints are still needed; empty when they may go."""
    own = Checkpoint.creating_machine_id == machine_id
    nobody = literal(None, Uuid())
    child = aliased(Checkpoint)
    of_another = child.creating_machine_id.is_distinct_from(machine_id)
    is_open = _TASKS.c.status.not_in(_FINISHED)
    queries = [
        select(literal("genesis"), Checkpoint.id, nobody).where(
            own, Checkpoint.checkpoint_type == CheckpointType.GENESIS
        ),
        *(
            select(literal(why), Checkpoint.id, nobody)
            .join(_PROJECTS, name == Checkpoint.id)
            .where(own)
            for why, name in (
                ("initial", _PROJECTS.c.initial_checkpoint_id),
                ("current", _PROJECTS.c.current_checkpoint_id),
            )
        ),
        *(
            select(literal(why), Checkpoint.id, _TASKS.c.id)
            .join(_TASKS, name == Checkpoint.id)
            .where(own, is_open)
            for why, name in (
                ("base", _TASKS.c.base_checkpoint_id),
                ("result", _TASKS.c.result_checkpoint_id),
            )
        ),
        # It resumes from the newest of them that is consistent.
        select(literal("task"), nobody, _TASKS.c.id)
        .join(_EXECUTIONS, _EXECUTIONS.c.task_id == _TASKS.c.id)
        .where(_EXECUTIONS.c.machine_id == machine_id, is_open),
        select(literal("child"), Checkpoint.id, child.id)
        .join(child, child.parent_checkpoint_id == Checkpoint.id)
        .where(own, of_another),
        select(literal("machine"), Checkpoint.id, _MACHINES.c.id)
        .join(_MACHINES, _MACHINES.c.parent_checkpoint_id == Checkpoint.id)
        .where(own, _MACHINES.c.id != machine_id),
    ]
    needs = union_all(*queries).subquery()
    found = await tx.session.execute(select(needs).limit(limit))
    return [Need(row[0], row[1], row[2]) for row in found]


async def measure_machine(tx: ReadTx, machine_id: uuid.UUID) -> Purged:
    """Return how much there is of a machine."""
    query = select(func.count(), func.sum(Checkpoint.stored_bytes)).where(
        Checkpoint.creating_machine_id == machine_id
    )
    count, stored = (await tx.session.execute(query)).one()
    return Purged(count, int(stored or 0))


async def delete_machine(tx: WriteTx, machine_id: uuid.UUID) -> int:
    """Delete a machine and its checkpoints, and say so in the maintenance log; return how many.

    Tasks that name one of them as base or result name none then, as executions do by their key.
    """
    own = Checkpoint.creating_machine_id == machine_id
    ids = list(await tx.session.scalars(select(Checkpoint.id).where(own)))
    mine = select(Checkpoint.id).where(own)
    for name in ("base_checkpoint_id", "result_checkpoint_id"):
        named: ColumnElement[uuid.UUID] = _TASKS.c[name]
        await tx.session.execute(
            update(_TASKS).where(named.in_(mine)).values({name: None}), execution_options=_SEEN
        )
    # One statement: the database looks at the references among them when it has ended.
    await tx.session.execute(
        delete(Checkpoint).where(own), execution_options={"synchronize_session": False, **_SEEN}
    )
    await tx.session.execute(
        delete(_MACHINES).where(_MACHINES.c.id == machine_id), execution_options=_SEEN
    )
    await tx.session.execute(
        insert(_LOG).values(
            id=uuid.uuid4(),
            operation="purge_machine",
            affected_rows=len(ids),
            details={"machine_id": str(machine_id)},
        )
    )
    for one in ids:
        tx.stale("checkpoints", one)
    tx.stale("intelligent_machines", machine_id)
    tx.stale("tasks")
    return len(ids)
