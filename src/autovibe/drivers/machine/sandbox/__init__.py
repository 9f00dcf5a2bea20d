"""The sandbox driver: machines as bubblewrap sandboxes, isolated without any privilege."""

from autovibe.drivers.machine.sandbox.driver import SandboxDriver

__all__ = ["SandboxDriver"]
