"""Errors of the machines domain."""

from __future__ import annotations

from autovibe.kernel.errors import AutovibeError, Code


class MachineNotFoundError(AutovibeError):
    """No machine has this id."""

    code = Code.NOT_FOUND
    reason = "MACHINE_NOT_FOUND"


class MachineSpawnError(AutovibeError):
    """A machine could not be started."""

    code = Code.UNAVAILABLE
    reason = "MACHINE_SPAWN_FAILED"


class NoIsolationError(AutovibeError):
    """No driver that isolates works on this host."""

    code = Code.FAILED_PRECONDITION
    reason = "NO_ISOLATION"


class InvalidMachineTransitionError(AutovibeError):
    """A machine may not go from its present status to the wanted one."""

    code = Code.FAILED_PRECONDITION
    reason = "INVALID_MACHINE_TRANSITION"


class AgentNotInstalledError(AutovibeError):
    """The program of an agent is not on this host."""

    code = Code.FAILED_PRECONDITION
    reason = "AGENT_NOT_INSTALLED"


class UnknownAgentError(AutovibeError):
    """No adapter has this name."""

    code = Code.INVALID_ARGUMENT
    reason = "UNKNOWN_AGENT"


class MailboxFullError(AutovibeError):
    """A machine has as many messages waiting as it may have."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "MAILBOX_FULL"
