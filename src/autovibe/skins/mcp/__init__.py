"""The control plane as MCP servers."""

from autovibe.skins.mcp.machine import PATH, machine_door

__all__ = ["PATH", "machine_door"]
