"""Hubs: the supervisors of machines, their snapshots, and experiments with them."""
