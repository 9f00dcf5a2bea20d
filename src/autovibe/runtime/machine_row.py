"""The row of one machine, as its execution tells it."""

from __future__ import annotations

from google.protobuf import struct_pb2

from autovibe.runtime.surroundings import Surroundings
from autovibe.v1 import machines_pb2, work_pb2


async def create_machine_row(
    around: Surroundings, order: work_pb2.ClaimedOrder, machine_id: str, driver: str
) -> None:
    """Record a machine that is about to be started for an order.

    Raises:
        AutovibeError: it cannot be recorded, or the lease is lost.
    """
    await around.machines.create_machine(
        machines_pb2.CreateMachineRequest(
            id=machine_id,
            machine_type=order.payload.context.agent,
            project_id=order.task.project_id,
            parent_checkpoint_id=order.payload.base_checkpoint_id,
            worker_id=order.execution.worker_id,
            hypervisor=driver,
            original_prompt=order.payload.prompt,
            instance_id=around.instance_id,
        )
    )
    await around.work.attach_machine(
        work_pb2.AttachMachineRequest(
            execution_id=order.execution.id,
            lease_generation=order.lease_generation,
            machine_id=machine_id,
        )
    )


async def update_machine_row(
    around: Surroundings,
    machine_id: str,
    *,
    status: str,
    vm_id: str = "",
    pid: int = 0,
    error_message: str = "",
    resource_usage: struct_pb2.Struct | None = None,
) -> None:
    """Move a machine to another status and record what is known of it.

    Raises:
        AutovibeError: it cannot be recorded.
    """
    await around.machines.update_machine(
        machines_pb2.UpdateMachineRequest(
            machine_id=machine_id,
            status=status,
            vm_id=vm_id,
            pid=pid,
            error_message=error_message,
            resource_usage=resource_usage,
        )
    )
