"""Ending what dead control-plane processes left behind (decision A7)."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from pathlib import Path

from autovibe.domains.machines.driver import MachineDriver
from autovibe.kernel.clock import Clock
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.protoconv import from_struct, from_timestamp
from autovibe.runtime.instance import (
    DEAD_AFTER,
    boot_id,
    dead_instances,
    host_name,
    lock_path,
)
from autovibe.sdk.services import Services
from autovibe.v1 import identity_pb2, machines_pb2, metering_pb2, work_pb2

_logger = logging.getLogger(__name__)


async def recover(
    services: Services,
    drivers: Mapping[str, MachineDriver],
    own_id: uuid.UUID,
    run_path: Path,
    clock: Clock,
) -> None:
    """Find dead instances, end their machines, settle their holds, release their orders.

    Nothing of a living instance is touched. A failure is logged and left to the next start.
    """
    for instance in await dead_instances(services.identity, own_id, run_path, clock):
        try:
            await _recover_instance(services, drivers, instance)
        except (AutovibeError, OSError) as error:
            _logger.warning("recovering instance %s: %s", instance.id, error)
            continue
        lock_path(run_path, instance.id).unlink(missing_ok=True)


async def _recover_instance(
    services: Services, drivers: Mapping[str, MachineDriver], instance: identity_pb2.Instance
) -> None:
    here = instance.host == host_name() and instance.boot_id == boot_id()
    for machine in await _machines_of(services, instance):
        if here and machine.status != "terminated":
            await _end_machine(drivers, machine)
        # The machine stays findable until its execution has ended.
        await services.work.abandon_executions(
            work_pb2.AbandonExecutionsRequest(
                machine_id=machine.id, result_checkpoint_id=machine.last_checkpoint_id
            )
        )
        if machine.status != "terminated":
            await services.machines.update_machine(
                machines_pb2.UpdateMachineRequest(
                    machine_id=machine.id,
                    status="terminated",
                    error_message="The control plane that ran this machine ended.",
                )
            )
    await services.metering.recover_reservations(
        metering_pb2.RecoverReservationsRequest(instance_ids=[instance.id])
    )
    await services.identity.remove_instance(identity_pb2.RemoveInstanceRequest(id=instance.id))


async def _machines_of(
    services: Services, instance: identity_pb2.Instance
) -> list[machines_pb2.Machine]:
    """Return the machines that an instance left, those it had just terminated too.

    A machine is terminated a moment before its execution is finished; between them the process
    may have died.
    """
    started = from_timestamp(instance.started_at)
    recent = from_timestamp(instance.heartbeat_at) - DEAD_AFTER
    found: list[machines_pb2.Machine] = []
    token = ""
    while True:
        page = await services.machines.list_machines(
            machines_pb2.ListMachinesRequest(page_size=500, page_token=token)
        )
        found += [
            machine
            for machine in page.machines
            if from_struct(machine.metadata).get("instance_id") == instance.id
            and (machine.status != "terminated" or from_timestamp(machine.terminated_at) >= recent)
        ]
        token = page.next_page_token
        # The newest come first, and none is older than the instance that started it.
        if not token or from_timestamp(page.machines[-1].spawned_at) < started:
            return found


async def _end_machine(drivers: Mapping[str, MachineDriver], machine: machines_pb2.Machine) -> None:
    driver = drivers.get(machine.hypervisor)
    if driver is None or not machine.vm_id:
        return
    pid = from_struct(machine.metadata).get("pid")
    await driver.end_leftover(machine.vm_id, int(pid) if pid else None)
