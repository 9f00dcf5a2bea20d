"""The rules of machines."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.db.cache import Region, cached
from autovibe.domains.machines import repository
from autovibe.domains.machines.errors import MachineNotFoundError
from autovibe.domains.machines.messages import machine_message
from autovibe.domains.machines.models import IntelligentMachine, MachineStatus
from autovibe.domains.machines.transitions import check_transition
from autovibe.domains.projects import resolve_project_id
from autovibe.kernel.context import CallContext
from autovibe.kernel.money import to_text
from autovibe.kernel.paging import decode_place, encode_place, page_size
from autovibe.kernel.protoconv import from_struct, id_or_none
from autovibe.v1 import machines_pb2

_INSTANT: Final = timedelta(microseconds=1)
_OUTCOMES: Final = {"allowed": "ok", "denied": "refused", "failed": "failed"}
_LONGEST_TEXT: Final = 100
_STATUS: Final = Region(
    "machine_status",
    ttl_s=30,
    row_table="intelligent_machines",
    row_id=lambda request: request.machine_id,
)


class MachineService:
    """Implements autovibe.v1.MachineService."""

    @cached(_STATUS)
    async def get_machine(
        self, tx: ReadTx, ctx: CallContext, request: machines_pb2.GetMachineRequest
    ) -> machines_pb2.Machine:
        """Return one machine.

        Raises:
            MachineNotFoundError: there is none.
        """
        return machine_message(await get_machine(tx, uuid.UUID(request.machine_id)))

    async def list_machines(
        self, tx: ReadTx, ctx: CallContext, request: machines_pb2.ListMachinesRequest
    ) -> machines_pb2.ListMachinesResponse:
        """Return one page of machines, the newest first."""
        size = page_size(request.page_size)
        project_id = await resolve_project_id(tx, request.project) if request.project else None
        rows = await repository.list_page(
            tx,
            project_id=project_id,
            statuses=list(request.statuses),
            after=decode_place(request.page_token),
            limit=size + 1,
        )
        last = rows[size - 1] if len(rows) > size else None
        return machines_pb2.ListMachinesResponse(
            machines=[machine_message(row) for row in rows[:size]],
            next_page_token=encode_place(last.spawned_at, last.id) if last else "",
        )

    async def create_machine(
        self, tx: WriteTx, ctx: CallContext, request: machines_pb2.CreateMachineRequest
    ) -> machines_pb2.Machine:
        """Record a machine that is about to be started, in status spawning."""
        machine = IntelligentMachine(
            id=uuid.UUID(request.id),
            machine_type=request.machine_type,
            status=MachineStatus.SPAWNING,
            project_id=uuid.UUID(request.project_id),
            parent_checkpoint_id=id_or_none(request.parent_checkpoint_id),
            worker_id=id_or_none(request.worker_id),
            hypervisor=request.hypervisor,
            original_prompt=request.original_prompt,
            resource_constraints=from_struct(request.resource_constraints),
            resource_usage={},
            file_modifications={},
            checkpoint_count=0,
            metadata={"instance_id": request.instance_id},
        )
        tx.session.add(machine)
        await tx.session.flush()  # the row's defaults are part of the answer
        return machine_message(machine)

    async def update_machine(
        self, tx: WriteTx, ctx: CallContext, request: machines_pb2.UpdateMachineRequest
    ) -> machines_pb2.Machine:
        """Move a machine to another status and record what is known of it.

        Raises:
            MachineNotFoundError: there is none.
            InvalidMachineTransitionError: it may not get this status.
        """
        machine = await get_machine(tx, uuid.UUID(request.machine_id), lock=True)
        if request.status and request.status != machine.status:
            check_transition(machine.status, request.status)
            machine.status = MachineStatus(request.status)
            if request.status == "terminated":
                # The table demands an end after the start, and clocks may stand still.
                machine.terminated_at = max(ctx.clock.now(), machine.spawned_at + _INSTANT)
        if request.vm_id:
            machine.vm_id = request.vm_id
        if request.pid:
            machine.metadata_ = {**machine.metadata_, "pid": request.pid}
        if request.error_message:
            machine.error_message = request.error_message
        if request.current_progress:
            machine.current_progress = request.current_progress
        if request.HasField("resource_usage"):
            # What others have added meanwhile stays.
            machine.resource_usage = {
                **machine.resource_usage,
                **from_struct(request.resource_usage),
            }
        await tx.session.flush()  # as in create_machine
        return machine_message(machine)

    async def record_connections(
        self, tx: WriteTx, ctx: CallContext, request: machines_pb2.RecordConnectionsRequest
    ) -> machines_pb2.RecordConnectionsResponse:
        """Write the connections that a machine asked for to the audit trail, one row for each.

        The machine is who acted, the host what it acted upon.

        Raises:
            MachineNotFoundError: there is none.
        """
        machine = await get_machine(tx, uuid.UUID(request.machine_id))
        for one in request.connections:
            tx.audit(
                actor_type="machine",
                actor_id=request.machine_id,
                operation="Connect",
                outcome=_OUTCOMES[one.verdict],
                resource_type="host",
                # The end of a long name tells more than its beginning.
                resource_id=f"{one.host}:{one.port}"[-_LONGEST_TEXT:],
                reason=one.reason or None,
                request_id=ctx.request_id,
                details={
                    "project_id": str(machine.project_id),
                    "host": one.host,
                    "port": one.port,
                    "address": one.address,
                    "sent_bytes": one.sent_bytes,
                    "received_bytes": one.received_bytes,
                    "duration_ms": one.duration_ms,
                    "count": one.count,
                },
            )
        return machines_pb2.RecordConnectionsResponse(recorded=len(request.connections))


async def get_machine(
    tx: ReadTx | WriteTx, machine_id: uuid.UUID, *, lock: bool = False
) -> IntelligentMachine:
    """Return one machine.

    Raises:
        MachineNotFoundError: there is none.
    """
    machine = await repository.find_machine(tx, machine_id, lock=lock)
    if machine is None:
        raise MachineNotFoundError(f"There is no machine {machine_id}.", machine_id=str(machine_id))
    return machine


async def add_machine_usage(tx: WriteTx, used: Mapping[uuid.UUID, Mapping[str, Decimal]]) -> None:
    """Add to the running totals of machines: amounts by resource, kept as plain decimals."""
    for machine in await repository.lock_machines(tx, used):
        totals = dict(machine.resource_usage)
        for kind, amount in used[machine.id].items():
            totals[kind] = to_text(Decimal(totals.get(kind, "0")) + amount)
        machine.resource_usage = totals
    await tx.session.flush()  # the rows are locked in this order


async def note_checkpoint(tx: WriteTx, machine_id: uuid.UUID, checkpoint_id: uuid.UUID) -> None:
    """Record the newest checkpoint of a machine and count it."""
    machine = await get_machine(tx, machine_id, lock=True)
    machine.last_checkpoint_id = checkpoint_id
    machine.checkpoint_count += 1
