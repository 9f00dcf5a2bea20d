"""Machines: their rows, and the contracts of drivers and agents."""

from autovibe.domains.machines.service import (
    MachineService,
    add_machine_usage,
    get_machine,
    note_checkpoint,
)

__all__ = ["MachineService", "add_machine_usage", "get_machine", "note_checkpoint"]
