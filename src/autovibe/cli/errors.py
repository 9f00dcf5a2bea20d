"""Errors of the command line itself."""

from __future__ import annotations

from autovibe.kernel.errors import AutovibeError, Code


class InterruptedByUserError(AutovibeError):
    """A signal ended the command."""

    code = Code.ABORTED
    reason = "INTERRUPTED"


class ServerRunningError(AutovibeError):
    """A server of this home lives already."""

    code = Code.ALREADY_EXISTS
    reason = "SERVER_RUNNING"


class DemoFailedError(AutovibeError):
    """The demo could not show what it is for."""

    code = Code.FAILED_PRECONDITION
    reason = "DEMO_FAILED"


class ServerNeededError(AutovibeError):
    """The command makes sense with a server only, and none was found."""

    code = Code.FAILED_PRECONDITION
    reason = "SERVER_NEEDED"


class NothingToShowError(AutovibeError):
    """What was asked for does not exist yet."""

    code = Code.FAILED_PRECONDITION
    reason = "NOTHING_TO_SHOW"


class DatabaseNotEmptyError(AutovibeError):
    """The database has projects, among which made-up ones would be lost or do harm."""

    code = Code.FAILED_PRECONDITION
    reason = "DATABASE_NOT_EMPTY"
