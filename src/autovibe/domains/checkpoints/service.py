"""The rules of checkpoints."""

from __future__ import annotations

import uuid
from typing import Final, Protocol

from autovibe.db import ReadTx, WriteTx
from autovibe.db.cache import Region, cached
from autovibe.domains.checkpoints import repository
from autovibe.domains.checkpoints.importing import ImportDirectory, Importer, ScanSecrets
from autovibe.domains.checkpoints.messages import (
    checkpoint_message,
    detection_metadata,
    node_message,
    running_message,
    timing_metadata,
)
from autovibe.domains.checkpoints.purging import purge_machine
from autovibe.domains.checkpoints.reading import (
    DiffCheckpoints,
    ListCheckpointFiles,
    RestoreCheckpoint,
    Verifier,
    VerifyCheckpoint,
)
from autovibe.domains.checkpoints.recording import (
    NewCheckpoint,
    get_checkpoint,
    insert_checkpoint,
)
from autovibe.domains.checkpoints.repository.damage import damages
from autovibe.domains.projects import get_project, resolve_project_id
from autovibe.kernel.context import CallContext
from autovibe.kernel.paging import (
    decode_named_place,
    decode_place,
    encode_place,
    encode_token,
    page_size,
)
from autovibe.kernel.protoconv import from_struct, id_or_none, id_text
from autovibe.store import CheckpointStore
from autovibe.v1 import checkpoints_pb2, machines_pb2

_TREE_LIMIT: Final = 10_000
# Immutable from here on, but for what thinning marks, and that is noticed.
_VERIFIED: Final = Region(
    "verified_checkpoint",
    ttl_s=3_600,
    row_table="checkpoints",
    row_id=lambda request: request.checkpoint_id,
    keep=lambda checkpoint: checkpoint.verification_status == "verified",
)


class StoreWork(Importer, Verifier, Protocol):
    """Store work that happens in a process of its own."""


class LeaseCheck(Protocol):
    """Whether a work order's lease is still held; the work domain knows (decision D9)."""

    async def __call__(
        self, tx: WriteTx, work_order_id: uuid.UUID, lease_generation: int
    ) -> object:
        """Return something if it is.

        Raises:
            LeaseLostError: it has passed on.
        """
        ...


class CheckpointService:
    """Implements autovibe.v1.CheckpointService."""

    def __init__(
        self, store: CheckpointStore, store_work: StoreWork, check_lease: LeaseCheck
    ) -> None:
        """Keep checkpoints in a store."""
        self._check_lease = check_lease
        self.import_directory = ImportDirectory(store, store_work)
        self.scan_secrets = ScanSecrets()
        self.list_checkpoint_files = ListCheckpointFiles(store)
        self.diff_checkpoints = DiffCheckpoints(store)
        self.restore_checkpoint = RestoreCheckpoint(store)
        self.verify_checkpoint = VerifyCheckpoint(store_work)

    @cached(_VERIFIED)
    async def get_checkpoint(
        self, tx: ReadTx, ctx: CallContext, request: checkpoints_pb2.GetCheckpointRequest
    ) -> checkpoints_pb2.Checkpoint:
        """Return one checkpoint.

        Raises:
            CheckpointNotFoundError: there is none.
        """
        row = await get_checkpoint(tx, request.checkpoint_id)
        return checkpoint_message(row, await damages(tx, [row.id]))

    async def list_checkpoints(
        self, tx: ReadTx, ctx: CallContext, request: checkpoints_pb2.ListCheckpointsRequest
    ) -> checkpoints_pb2.ListCheckpointsResponse:
        """Return one page of checkpoints, the newest first."""
        size = page_size(request.page_size)
        project_id = await resolve_project_id(tx, request.project) if request.project else None
        rows = await repository.list_page(
            tx,
            project_id=project_id,
            machine_ids=[
                uuid.UUID(text) for text in (request.machine_id, *request.machine_ids) if text
            ],
            after=decode_place(request.page_token),
            limit=size + 1,
        )
        last = rows[size - 1] if len(rows) > size else None
        known = await damages(tx, [row.id for row in rows]) if rows else {}
        return checkpoints_pb2.ListCheckpointsResponse(
            checkpoints=[checkpoint_message(row, known) for row in rows[:size]],
            next_page_token=encode_place(last.created_at, last.id) if last else "",
        )

    async def get_checkpoint_tree(
        self, tx: ReadTx, ctx: CallContext, request: checkpoints_pb2.GetCheckpointTreeRequest
    ) -> checkpoints_pb2.CheckpointTree:
        """Return how the checkpoints of a project descend from each other, parents first."""
        project = await get_project(tx, request.project)
        rows = await repository.tree_of(tx, project.id, _TREE_LIMIT + 1)
        damaged = await damages(tx)
        return checkpoints_pb2.CheckpointTree(
            nodes=[node_message(row, damaged) for row in rows[:_TREE_LIMIT]],
            current_checkpoint_id=id_text(project.current_checkpoint_id),
            truncated=len(rows) > _TREE_LIMIT,
        )

    async def get_checkpoint_path(
        self, tx: ReadTx, ctx: CallContext, request: checkpoints_pb2.GetCheckpointPathRequest
    ) -> checkpoints_pb2.CheckpointPath:
        """Return the way from one checkpoint to another.

        Raises:
            CheckpointNotFoundError: there is no such checkpoint.
        """
        first = await get_checkpoint(tx, request.checkpoint_id)
        last = await get_checkpoint(tx, request.to_checkpoint_id)
        meeting = await repository.common_ancestor(tx, first.id, last.id)
        answer = checkpoints_pb2.CheckpointPath(common_ancestor_id=id_text(meeting))
        if meeting is not None:
            rows = await repository.path_between(tx, first.id, last.id, meeting)
            damaged = await damages(tx)
            answer.nodes.extend(node_message(row, damaged) for row in rows)
        return answer

    async def list_running_machines(
        self, tx: ReadTx, ctx: CallContext, request: checkpoints_pb2.ListRunningMachinesRequest
    ) -> checkpoints_pb2.ListRunningMachinesResponse:
        """Return one page of the machines that run.

        Raises:
            ProjectNotFoundError: there is no such project.
        """
        size = page_size(request.page_size)
        rows = await repository.running_machines(
            tx,
            project_id=await resolve_project_id(tx, request.project) if request.project else None,
            after=decode_named_place(request.page_token),
            limit=size + 1,
        )
        last = rows[size - 1] if len(rows) > size else None
        return checkpoints_pb2.ListRunningMachinesResponse(
            machines=[running_message(row) for row in rows[:size]],
            next_page_token=encode_token(
                last.project_name, last.spawned_at.isoformat(), str(last.machine_id)
            )
            if last
            else "",
        )

    async def purge_machine(
        self, tx: WriteTx, ctx: CallContext, request: machines_pb2.PurgeMachineRequest
    ) -> machines_pb2.PurgeMachineResponse:
        """Delete a machine that has ended, with every checkpoint that it has made, or nothing.

        Raises:
            MachineNotFoundError: there is none.
            MachineNotEndedError: it has not ended.
            CheckpointsNeededError: something needs one of its checkpoints.
        """
        return await purge_machine(tx, ctx, request)

    async def record_checkpoint(
        self, tx: WriteTx, ctx: CallContext, request: checkpoints_pb2.RecordCheckpointRequest
    ) -> checkpoints_pb2.Checkpoint:
        """Insert the row of a snapshot whose reference is durable in the store (decision E2).

        Raises:
            LeaseLostError: the order it was made for has passed to another worker.
            CheckpointNotFoundError: the parent does not exist.
        """
        if request.work_order_id:
            await self._check_lease(tx, uuid.UUID(request.work_order_id), request.lease_generation)
        row = await insert_checkpoint(
            tx,
            ctx,
            NewCheckpoint(
                id=uuid.UUID(request.id),
                project_id=uuid.UUID(request.project_id),
                parent_id=id_or_none(request.parent_checkpoint_id),
                kind=request.checkpoint_type,
                creation_context=request.creation_context,
                manifest_root=request.manifest_root,
                manifest_file_count=request.manifest_file_count,
                manifest=request.file_manifest,
                size_bytes=request.size_bytes,
                stored_bytes=request.stored_bytes,
                original_bytes=request.original_bytes,
                verified=request.verified,
                metadata={
                    **from_struct(request.metadata),
                    **detection_metadata(request.detection),
                    **timing_metadata(request.timing),
                },
                machine_id=id_or_none(request.creating_machine_id),
                hypervisor=request.hypervisor or None,
                vm_id=request.vm_id or None,
                description=request.description or None,
                agent_session_id=request.agent_session_id or None,
                last_settled_call_id=id_or_none(request.last_settled_call_id),
                consistency=request.consistency or "exact",
            ),
        )
        return checkpoint_message(row)
