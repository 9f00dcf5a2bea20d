"""Queries on machines."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.machines.models import (
    IntelligentMachine,
    MachineMessage,
    MachineMessageStatus,
)


async def find_machine(
    tx: ReadTx | WriteTx, machine_id: uuid.UUID, *, lock: bool = False
) -> IntelligentMachine | None:
    """Return one machine, locked for the transaction if wanted."""
    query = select(IntelligentMachine).where(IntelligentMachine.id == machine_id)
    if lock:
        query = query.with_for_update(of=IntelligentMachine)
    return (await tx.session.scalars(query)).one_or_none()


async def lock_machines(
    tx: WriteTx, machine_ids: Collection[uuid.UUID]
) -> Sequence[IntelligentMachine]:
    """Return machines, locked for the transaction, in the order of their ids."""
    machine = IntelligentMachine
    query = select(machine).where(machine.id.in_(list(machine_ids))).order_by(machine.id)
    return (await tx.session.scalars(tx.dialect.for_update(query, machine))).all()


async def list_page(
    tx: ReadTx | WriteTx,
    *,
    project_id: uuid.UUID | None,
    statuses: Sequence[str],
    after: tuple[datetime, uuid.UUID] | None,
    limit: int,
) -> Sequence[IntelligentMachine]:
    """Return machines, the newest first, those after the given place."""
    machine = IntelligentMachine
    query = select(machine).order_by(machine.spawned_at.desc(), machine.id).limit(limit)
    if project_id is not None:
        query = query.where(machine.project_id == project_id)
    if statuses:
        query = query.where(machine.status.in_(statuses))
    if after is not None:
        time, last_id = after
        query = query.where(
            or_(
                machine.spawned_at < time,
                (machine.spawned_at == time) & (machine.id > last_id),
            )
        )
    return (await tx.session.scalars(query)).all()


async def living(tx: ReadTx | WriteTx, machine_ids: Collection[uuid.UUID]) -> Sequence[uuid.UUID]:
    """Return those of some machines that have not ended."""
    query = select(IntelligentMachine.id).where(
        IntelligentMachine.id.in_(machine_ids), IntelligentMachine.terminated_at.is_(None)
    )
    return (await tx.session.scalars(query)).all()


async def count_waiting(tx: ReadTx | WriteTx, machine_id: uuid.UUID, kind: str) -> int:
    """Return how many messages of a kind wait for a machine."""
    query = select(func.count()).where(*_waits(machine_id, kind))
    return await tx.session.scalar(query) or 0


async def lock_waiting(
    tx: WriteTx, machine_id: uuid.UUID, kind: str, limit: int
) -> Sequence[MachineMessage]:
    """Return the oldest messages of a kind that wait for a machine, locked."""
    query = (
        select(MachineMessage)
        .where(*_waits(machine_id, kind))
        .order_by(MachineMessage.enqueued_at, MachineMessage.id)
        .limit(limit)
    )
    return (await tx.session.scalars(tx.dialect.for_update(query, MachineMessage))).all()


def _waits(machine_id: uuid.UUID, kind: str) -> tuple[Any, ...]:
    return (
        MachineMessage.recipient_machine_id == machine_id,
        MachineMessage.status == MachineMessageStatus.QUEUED,
        MachineMessage.message_type == kind,
    )


async def letters(
    tx: ReadTx | WriteTx, ids: Collection[uuid.UUID], *, lock: bool = False
) -> Sequence[MachineMessage]:
    """Return messages of mailboxes by their ids, locked if wanted."""
    query = select(MachineMessage).where(MachineMessage.id.in_(list(ids)))
    query = query.order_by(MachineMessage.enqueued_at, MachineMessage.id)
    if lock:
        query = query.with_for_update(of=MachineMessage)
    return (await tx.session.scalars(query)).all()


async def lock_unread(
    tx: WriteTx, machine_ids: Collection[uuid.UUID], kind: str
) -> Sequence[MachineMessage]:
    """Return the messages of a kind to some machines of which nothing was reported, locked."""
    query = (
        select(MachineMessage)
        .where(
            MachineMessage.recipient_machine_id.in_(list(machine_ids)),
            MachineMessage.status.in_(
                [MachineMessageStatus.QUEUED, MachineMessageStatus.DELIVERED]
            ),
            MachineMessage.message_type == kind,
        )
        .order_by(MachineMessage.enqueued_at, MachineMessage.id)
    )
    return (await tx.session.scalars(tx.dialect.for_update(query, MachineMessage))).all()
