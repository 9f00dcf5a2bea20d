"""Queries on machines."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import or_, select

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.machines.models import IntelligentMachine


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
