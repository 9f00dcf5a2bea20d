"""From rows and store values to messages."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import Any, Final

from autovibe.domains.checkpoints.models import Checkpoint, VerificationStatus
from autovibe.domains.checkpoints.repository import RunningMachine, TreeRow
from autovibe.domains.checkpoints.repository.damage import KnownDamage
from autovibe.kernel.protoconv import id_text, struct, timestamp
from autovibe.kernel.text import utf8
from autovibe.store import Change, Entry
from autovibe.v1 import checkpoints_pb2

DETECTION: Final = "detection"
TIMING: Final = "timing"


def checkpoint_message(
    checkpoint: Checkpoint, known: Mapping[uuid.UUID, KnownDamage] | None = None
) -> checkpoints_pb2.Checkpoint:
    """Return the message of a checkpoint.

    Args:
        checkpoint: its row.
        known: what is lost of checkpoints; of one that was thinned that tells nothing.
    """
    ratio = checkpoint.compression_ratio
    damage = known.get(checkpoint.id) if known and checkpoint.pruned_at is None else None
    return checkpoints_pb2.Checkpoint(
        id=str(checkpoint.id),
        project_id=str(checkpoint.project_id),
        parent_checkpoint_id=id_text(checkpoint.parent_checkpoint_id),
        creating_machine_id=id_text(checkpoint.creating_machine_id),
        checkpoint_type=checkpoint.checkpoint_type,
        depth=checkpoint.depth,
        hypervisor=checkpoint.hypervisor or "",
        vm_id=checkpoint.vm_id or "",
        description=checkpoint.description or "",
        creation_context=checkpoint.creation_context or "",
        size_bytes=checkpoint.size_bytes or 0,
        stored_bytes=checkpoint.stored_bytes or 0,
        compression_ratio="" if ratio is None else f"{ratio:f}",
        verification_status=VerificationStatus.FAILED if damage else checkpoint.verification_status,
        created_at=timestamp(checkpoint.created_at),
        verified_at=timestamp(checkpoint.verified_at),
        pruned_at=timestamp(checkpoint.pruned_at),
        metadata=struct(checkpoint.metadata_),
        manifest_root=checkpoint.manifest_root or "",
        manifest_file_count=checkpoint.manifest_file_count or 0,
        agent_session_id=checkpoint.agent_session_id or "",
        last_settled_call_id=id_text(checkpoint.last_settled_call_id),
        consistency=checkpoint.consistency,
        proxmox_snapshot_id=checkpoint.proxmox_snapshot_id or "",
        detection=_detection(checkpoint.metadata_),
        timing=_timing(checkpoint.metadata_),
        damage=damage.text if damage else "",
        damaged_at=timestamp(damage.found_at if damage else None),
    )


def _detection(metadata: Mapping[str, Any]) -> checkpoints_pb2.Detection | None:
    kept = metadata.get(DETECTION)
    return None if kept is None else checkpoints_pb2.Detection(**kept)


def _timing(metadata: Mapping[str, Any]) -> checkpoints_pb2.CheckpointTiming | None:
    kept = metadata.get(TIMING)
    return None if kept is None else checkpoints_pb2.CheckpointTiming(**kept)


def timing_metadata(timing: checkpoints_pb2.CheckpointTiming) -> dict[str, Any]:
    """Return what a row keeps of how long a checkpoint took."""
    if not timing.total_ms:
        return {}
    return {TIMING: {"frozen_ms": timing.frozen_ms, "total_ms": timing.total_ms}}


def detection_metadata(detection: checkpoints_pb2.Detection) -> dict[str, Any]:
    """Return what a row keeps of how changes were found."""
    if not detection.method:
        return {}
    kept: dict[str, Any] = {"method": detection.method, "audited": detection.audited}
    if detection.missed:
        kept["missed"] = list(detection.missed)
    return {DETECTION: kept}


def node_message(
    row: TreeRow, damaged: Collection[uuid.UUID] = ()
) -> checkpoints_pb2.CheckpointNode:
    """Return the message of one node of a tree; those found damaged count as failed."""
    is_damaged = row.id in damaged and row.pruned_at is None
    return checkpoints_pb2.CheckpointNode(
        id=str(row.id),
        parent_checkpoint_id=id_text(row.parent_checkpoint_id),
        checkpoint_type=row.checkpoint_type,
        depth=row.depth,
        creating_machine_id=id_text(row.creating_machine_id),
        verification_status=VerificationStatus.FAILED if is_damaged else row.verification_status,
        created_at=timestamp(row.created_at),
        pruned=row.pruned_at is not None,
    )


def running_message(row: RunningMachine) -> checkpoints_pb2.RunningMachine:
    """Return the message of a machine that runs."""
    return checkpoints_pb2.RunningMachine(
        machine_id=str(row.machine_id),
        project_id=id_text(row.project_id),
        project_name=row.project_name,
        machine_type=row.machine_type,
        status=row.status,
        current_progress=row.current_progress or "",
        spawned_at=timestamp(row.spawned_at),
        last_checkpoint_id=id_text(row.last_checkpoint_id),
        last_checkpoint_at=timestamp(row.last_checkpoint_at),
        last_checkpoint_type=row.last_checkpoint_type or "",
    )


def file_message(entry: Entry) -> checkpoints_pb2.FileEntry:
    """Return the message of one entry of a tree."""
    message = checkpoints_pb2.FileEntry(
        path=utf8(entry.path),
        kind=entry.special or ("directory" if entry.kind == "dir" else entry.kind),
        size=entry.size,
        sha256=entry.sha256 or "",
        mode=f"{entry.mode & 0o7777:04o}",
        link_target=utf8(entry.target),
    )
    message.modified_at.FromNanoseconds(entry.mtime_ns)
    return message


def change_message(change: Change) -> checkpoints_pb2.FileChange:
    """Return the message of one difference."""
    return checkpoints_pb2.FileChange(path=utf8(change.path), change=change.change)
