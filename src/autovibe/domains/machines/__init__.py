"""Machines: their rows, and the contracts of drivers and agents."""

from autovibe.domains.machines.service import MachineService, note_checkpoint

__all__ = ["MachineService", "note_checkpoint"]
