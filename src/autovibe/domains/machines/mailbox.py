"""Mailboxes of machines: messages that wait until the machine takes them, each once."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.machines import repository
from autovibe.domains.machines.errors import MailboxFullError
from autovibe.domains.machines.models import MachineMessage, MachineMessageStatus
from autovibe.kernel.clock import Clock
from autovibe.kernel.ids import new_id

LETTER: Final = "autovibe.v1.MachineLetter"
"""The message type of what machines and people write to a machine."""
MOST_WAITING: Final = 1_000


def mailbox_topic(machine_id: uuid.UUID) -> str:
    """Return the bell that rings when a message has come for a machine."""
    return f"mailbox:{machine_id}"


async def post(
    tx: WriteTx,
    clock: Clock,
    recipient_id: uuid.UUID,
    payload: Mapping[str, Any],
    *,
    sender_id: uuid.UUID | None = None,
    correlation_id: str | None = None,
) -> uuid.UUID:
    """Put a message into the mailbox of a machine and ring its bell.

    Args:
        tx: the transaction.
        clock: says when it was sent.
        recipient_id: the machine.
        payload: `text`, and `data` if there is any.
        sender_id: the machine that writes; none for a person.
        correlation_id: of the execution that it is about.

    Raises:
        MailboxFullError: too many messages wait there.
    """
    if await repository.count_waiting(tx, recipient_id, LETTER) >= MOST_WAITING:
        raise MailboxFullError(
            f"The machine has {MOST_WAITING} messages waiting; send more once it has taken them.",
            machine_id=str(recipient_id),
        )
    message_id = new_id()
    tx.session.add(
        MachineMessage(
            id=message_id,
            sender_machine_id=sender_id,
            recipient_machine_id=recipient_id,
            message_type=LETTER,
            payload=dict(payload),
            correlation_id=correlation_id,
            status=MachineMessageStatus.QUEUED,
            enqueued_at=clock.now(),
            metadata={},
        )
    )
    tx.ring(mailbox_topic(recipient_id))
    return message_id


async def take(
    tx: WriteTx, clock: Clock, machine_id: uuid.UUID, limit: int
) -> Sequence[MachineMessage]:
    """Return the oldest messages that wait for a machine; they are delivered now."""
    found = await repository.lock_waiting(tx, machine_id, LETTER, limit)
    for message in found:
        message.status = MachineMessageStatus.DELIVERED
        message.attempts += 1
        message.delivered_at = clock.now()
    return found


async def living_machines(
    tx: ReadTx | WriteTx, machine_ids: Sequence[uuid.UUID]
) -> Sequence[uuid.UUID]:
    """Return those of some machines that have not ended."""
    return await repository.living(tx, machine_ids)
