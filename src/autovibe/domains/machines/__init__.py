"""Machines: their rows, and the contracts of drivers and agents."""

from autovibe.domains.machines.service import MachineService, get_machine, note_checkpoint

__all__ = ["MachineService", "get_machine", "note_checkpoint"]
