"""What becomes of messages that were put into mailboxes: looked up, reworded, sent on, settled."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.machines import repository
from autovibe.domains.machines.mailbox import LETTER
from autovibe.domains.machines.models import MachineMessage, MachineMessageStatus
from autovibe.kernel.clock import Clock

_TAKEN_BY: Final = "taken_by"
_RUNTIME: Final = "runtime"
_ERROR_LENGTH: Final = 2_000
_MOST: Final = 100


@dataclass(frozen=True)
class Letter:
    """A message in a mailbox."""

    id: uuid.UUID
    machine_id: uuid.UUID
    sender_id: uuid.UUID | None
    status: str
    text: str
    data: dict[str, Any]
    sent_at: datetime
    delivered_at: datetime | None
    processed_at: datetime | None
    error_message: str


async def find_letters(tx: ReadTx | WriteTx, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Letter]:
    """Return messages by their ids."""
    return {row.id: _letter(row) for row in await repository.letters(tx, ids)} if ids else {}


async def has_waiting(tx: ReadTx | WriteTx, machine_id: uuid.UUID) -> bool:
    """Return whether something waits in the mailbox of a machine."""
    return await repository.count_waiting(tx, machine_id, LETTER) > 0


async def reword(tx: WriteTx, letter_id: uuid.UUID, text: str) -> bool:
    """Change what a message says; return False where it has been delivered."""
    for row in await repository.letters(tx, [letter_id], lock=True):
        if row.status != MachineMessageStatus.QUEUED:
            return False
        row.payload = {**row.payload, "text": text}
    return True


async def take_runtime(tx: WriteTx, clock: Clock, machine_id: uuid.UUID) -> list[Letter]:
    """Return what waits for a machine, for its runtime to hand on; it is delivered now."""
    taken: list[Letter] = []
    for row in await repository.lock_waiting(tx, machine_id, LETTER, _MOST):
        row.status = MachineMessageStatus.DELIVERED
        row.attempts += 1
        row.delivered_at = clock.now()
        row.metadata_ = {**row.metadata_, _TAKEN_BY: _RUNTIME}
        taken.append(_letter(row))
    return taken


async def take_over(tx: WriteTx, clock: Clock, machine_ids: Collection[uuid.UUID]) -> list[Letter]:
    """Return what machines that have ended never saw, the oldest first; it is dead there now.

    What a runtime was to hand to its agent, and did not report as handed over, counts as not seen:
    twice is better than never.
    """
    found: list[Letter] = []
    for row in await repository.lock_unread(tx, machine_ids, LETTER):
        by_runtime = row.metadata_.get(_TAKEN_BY) == _RUNTIME
        if row.status == MachineMessageStatus.QUEUED or by_runtime:
            found.append(_letter(row))
            row.status = MachineMessageStatus.DEAD
            row.processed_at = clock.now()
    return found


async def settle(
    tx: WriteTx,
    clock: Clock,
    machine_id: uuid.UUID,
    ids: Sequence[uuid.UUID],
    *,
    status: Literal["processed", "failed", "queued"],
    error: str = "",
) -> None:
    """Record what became of messages of a machine's mailbox that were delivered."""
    for row in await repository.letters(tx, ids, lock=True):
        if row.recipient_machine_id != machine_id or row.status != MachineMessageStatus.DELIVERED:
            continue
        row.status = MachineMessageStatus(status)
        row.error_message = error[:_ERROR_LENGTH] or None
        if status == "queued":
            row.delivered_at = None
        else:
            row.processed_at = clock.now()


def _letter(row: MachineMessage) -> Letter:
    return Letter(
        id=row.id,
        machine_id=row.recipient_machine_id,
        sender_id=row.sender_machine_id,
        status=row.status,
        text=str(row.payload.get("text", "")),
        data=dict(row.payload.get("data") or {}),
        sent_at=row.enqueued_at,
        delivered_at=row.delivered_at,
        processed_at=row.processed_at,
        error_message=row.error_message or "",
    )
