"""Inserting a checkpoint: its place in the tree, and what else knows of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal

from google.protobuf import json_format

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.checkpoints.ancestry import far_ancestor
from autovibe.domains.checkpoints.errors import CheckpointNotFoundError, CheckpointPrunedError
from autovibe.domains.checkpoints.models import (
    Checkpoint,
    CheckpointType,
    Consistency,
    VerificationStatus,
)
from autovibe.domains.checkpoints.repository import find_between, find_node
from autovibe.domains.checkpoints.repository.damage import damages
from autovibe.domains.machines import note_checkpoint
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.ids import id_range
from autovibe.v1 import checkpoints_pb2

_FOUR_PLACES: Final = Decimal("0.0001")


@dataclass(frozen=True)
class NewCheckpoint:
    """A checkpoint whose snapshot is durable in the store."""

    id: uuid.UUID
    project_id: uuid.UUID
    parent_id: uuid.UUID | None
    kind: Literal["genesis", "automatic", "manual", "final", "hub_daily"] | str  # noqa: PYI051 - the literal tells the reader
    creation_context: str
    manifest_root: str
    manifest_file_count: int
    manifest: checkpoints_pb2.FileManifest
    size_bytes: int
    stored_bytes: int
    original_bytes: int
    verified: bool
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    machine_id: uuid.UUID | None = None
    hypervisor: str | None = None
    vm_id: str | None = None
    description: str | None = None
    agent_session_id: str | None = None
    last_settled_call_id: uuid.UUID | None = None
    consistency: str = "exact"


async def insert_checkpoint(tx: WriteTx, ctx: CallContext, new: NewCheckpoint) -> Checkpoint:
    """Insert the row, and tell the machine that made it.

    A checkpoint counts as verified only when its parent does (decision B7). When the parent was
    verified and is known to be damaged since, all of it waits to be read by the queue.

    Raises:
        CheckpointNotFoundError: the project has no such parent.
    """
    parent = await find_node(tx, new.parent_id)
    if new.parent_id is not None and (parent is None or parent.project_id != new.project_id):
        raise CheckpointNotFoundError(
            f"The project has no checkpoint {new.parent_id}; see `autovibe checkpoint list`.",
            checkpoint_id=str(new.parent_id),
        )
    now = ctx.clock.now()
    status = VerificationStatus.FAILED
    if new.verified and (
        parent is None or parent.verification_status == VerificationStatus.VERIFIED
    ):
        damaged = parent is not None and await damages(tx, [parent.id])
        status = VerificationStatus.PENDING if damaged else VerificationStatus.VERIFIED
    jump = None if parent is None else await far_ancestor(tx, parent)
    row = Checkpoint(
        id=new.id,
        project_id=new.project_id,
        parent_checkpoint_id=new.parent_id,
        creating_machine_id=new.machine_id,
        checkpoint_type=CheckpointType(new.kind),
        depth=parent.depth + 1 if parent else 0,
        jump_checkpoint_id=jump.id if jump else new.id,
        jump_depth=jump.depth if jump else 0,
        hypervisor=new.hypervisor,
        vm_id=new.vm_id,
        manifest_root=new.manifest_root,
        manifest_file_count=new.manifest_file_count,
        file_manifest=json_format.MessageToDict(new.manifest, preserving_proto_field_name=True),
        description=new.description,
        creation_context=new.creation_context,
        size_bytes=new.size_bytes,
        stored_bytes=new.stored_bytes,
        compression_ratio=_ratio(new.stored_bytes, new.original_bytes),
        agent_session_id=new.agent_session_id,
        last_settled_call_id=new.last_settled_call_id,
        consistency=Consistency(new.consistency),
        verification_status=status,
        verified_at=now if status == VerificationStatus.VERIFIED else None,
        metadata=dict(new.metadata),
        created_at=now,
    )
    tx.session.add(row)
    await tx.session.flush()  # the machine's row refers to it
    if new.machine_id is not None:
        await note_checkpoint(tx, new.machine_id, new.id)
    return row


async def get_checkpoint(tx: ReadTx | WriteTx, id_or_prefix: str) -> Checkpoint:
    """Return one checkpoint by its id or the beginning of it.

    Raises:
        CheckpointNotFoundError: there is none.
        InvalidArgumentError: the beginning fits several.
    """
    found = await find_between(tx, *id_range(id_or_prefix, "checkpoint"))
    if not found:
        raise CheckpointNotFoundError(
            f"There is no checkpoint {id_or_prefix}; see `autovibe checkpoint list`.",
            checkpoint_id=id_or_prefix,
        )
    if len(found) > 1:
        raise InvalidArgumentError(
            f"Several checkpoints begin with {id_or_prefix}; give more of the id.",
            field="checkpoint_id",
        )
    return found[0]


async def find_import(tx: ReadTx | WriteTx, checkpoint: Checkpoint) -> Checkpoint | None:
    """Return the import that a checkpoint comes from: itself, or its nearest ancestor that is one.

    Its `metadata.import` says which directory and which commit the files came from.
    """
    node: Checkpoint | None = checkpoint
    while node is not None and "import" not in node.metadata_:
        parent_id = node.parent_checkpoint_id
        node = None if parent_id is None else await get_checkpoint(tx, str(parent_id))
    return node


async def newest_consistent(
    tx: ReadTx | WriteTx, checkpoint_id: uuid.UUID, base_id: uuid.UUID
) -> Checkpoint:
    """Return the newest checkpoint, from one back to the base, at which work can go on (B9).

    That is one whose files were read back, agree with the agent's conversation, and were not found
    damaged since.
    """
    damaged = await damages(tx)
    node = await get_checkpoint(tx, str(checkpoint_id))
    while node.id != base_id and node.parent_checkpoint_id is not None:
        if (
            node.consistency == Consistency.EXACT
            and node.verification_status == VerificationStatus.VERIFIED
            and node.pruned_at is None
            and node.id not in damaged
        ):
            return node
        node = await get_checkpoint(tx, str(node.parent_checkpoint_id))
    return node


async def get_readable_root(tx: ReadTx | WriteTx, id_or_prefix: str) -> tuple[Checkpoint, str]:
    """Return a checkpoint and its root in the store.

    Raises:
        CheckpointNotFoundError: there is none.
        CheckpointPrunedError: its files were removed.
    """
    checkpoint = await get_checkpoint(tx, id_or_prefix)
    if checkpoint.pruned_at is not None or checkpoint.manifest_root is None:
        raise CheckpointPrunedError(
            f"The files of checkpoint {id_or_prefix} were removed to save space; choose another.",
            checkpoint_id=id_or_prefix,
        )
    return checkpoint, checkpoint.manifest_root


def _ratio(stored: int, original: int) -> Decimal | None:
    if not original:
        return None
    return (Decimal(stored) / Decimal(original)).quantize(_FOUR_PLACES)
