"""Machines: their rows, and the contracts of drivers and agents."""
