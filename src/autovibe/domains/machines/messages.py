"""From rows to messages."""

from __future__ import annotations

from autovibe.domains.machines.models import IntelligentMachine
from autovibe.kernel.protoconv import id_text, struct, timestamp
from autovibe.v1 import machines_pb2


def machine_message(machine: IntelligentMachine) -> machines_pb2.Machine:
    """Return the message of a machine."""
    return machines_pb2.Machine(
        id=str(machine.id),
        machine_type=machine.machine_type,
        status=machine.status,
        project_id=id_text(machine.project_id),
        parent_checkpoint_id=id_text(machine.parent_checkpoint_id),
        last_checkpoint_id=id_text(machine.last_checkpoint_id),
        worker_id=id_text(machine.worker_id),
        hypervisor=machine.hypervisor,
        vm_id=machine.vm_id or "",
        vm_node=machine.vm_node or "",
        original_prompt=machine.original_prompt or "",
        resource_constraints=struct(machine.resource_constraints),
        resource_usage=struct(machine.resource_usage),
        current_progress=machine.current_progress or "",
        error_message=machine.error_message or "",
        checkpoint_count=machine.checkpoint_count,
        spawned_at=timestamp(machine.spawned_at),
        terminated_at=timestamp(machine.terminated_at),
        metadata=struct(machine.metadata_),
        created_at=timestamp(machine.created_at),
        updated_at=timestamp(machine.updated_at),
        parent_machine_id=id_text(machine.parent_machine_id),
        spawned_by_hub_id=id_text(machine.spawned_by_hub_id),
        hub_vm_id=machine.hub_vm_id or "",
        file_modifications=struct(machine.file_modifications),
    )
