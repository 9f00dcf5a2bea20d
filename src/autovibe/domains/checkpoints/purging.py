"""Purging a machine: it and its checkpoints are gone for good, unless something needs them.

Their references in the store have no row then, and go, with their objects, after the grace time of
the jobs that keep the store (decision E2).
"""

from __future__ import annotations

import uuid
from typing import Final

from autovibe.db import WriteTx
from autovibe.domains.checkpoints.errors import CheckpointsNeededError, MachineNotEndedError
from autovibe.domains.checkpoints.repository import purging
from autovibe.domains.machines import get_machine
from autovibe.kernel.context import CallContext
from autovibe.v1 import machines_pb2

_NAMED: Final = 5
_WHY: Final = {
    "genesis": "{checkpoint} is the first of its project",
    "initial": "{checkpoint} is the first of its project",
    "current": "{checkpoint} is the current one of its project",
    "base": "task {by} starts from {checkpoint}",
    "result": "{checkpoint} is the result of task {by}, which may go on",
    "task": "task {by}, which may go on, goes on from them",
    "child": "checkpoint {by} of somebody else descends from {checkpoint}",
    "machine": "machine {by} was started from {checkpoint}",
}


async def purge_machine(
    tx: WriteTx, ctx: CallContext, request: machines_pb2.PurgeMachineRequest
) -> machines_pb2.PurgeMachineResponse:
    """Delete a machine that has ended, with every checkpoint that it has made, or nothing.

    Raises:
        MachineNotFoundError: there is none.
        MachineNotEndedError: it has not ended.
        CheckpointsNeededError: something needs one of its checkpoints.
    """
    del ctx
    machine = await get_machine(tx, uuid.UUID(request.machine_id), lock=True)
    if machine.terminated_at is None:
        raise MachineNotEndedError(
            f"Machine {machine.id} has not ended; cancel its task first.",
            machine_id=str(machine.id),
        )
    needs = await purging.needs_of_machine(tx, machine.id, _NAMED + 1)
    if needs:
        raise CheckpointsNeededError(
            f"Nothing was purged, because {_reasons(needs)}; purge or finish what needs them "
            "first.",
            machine_id=str(machine.id),
        )
    measured = await purging.measure_machine(tx, machine.id)
    if not request.dry_run:
        await purging.delete_machine(tx, machine.id)
    return machines_pb2.PurgeMachineResponse(
        machine_id=str(machine.id),
        checkpoints=measured.checkpoints,
        stored_bytes=measured.stored_bytes,
    )


def _reasons(needs: list[purging.Need]) -> str:
    told = [
        _WHY[need.why].format(checkpoint=f"checkpoint {need.checkpoint_id}", by=need.by_id)
        for need in needs[:_NAMED]
    ]
    # A checkpoint may be both the first one and of kind genesis.
    text = ", ".join(dict.fromkeys(told))
    return f"{text}, and so on" if len(needs) > _NAMED else text
