"""Errors of the projects domain."""

from __future__ import annotations

from autovibe.kernel.errors import AutovibeError, Code


class ProjectNotFoundError(AutovibeError):
    """No project has this id or name."""

    code = Code.NOT_FOUND
    reason = "PROJECT_NOT_FOUND"


class ProjectExistsError(AutovibeError):
    """A project of this name exists."""

    code = Code.ALREADY_EXISTS
    reason = "PROJECT_EXISTS"


class UnknownUpstreamError(AutovibeError):
    """The settings have no section for the place where calls are to go."""

    code = Code.FAILED_PRECONDITION
    reason = "UNKNOWN_UPSTREAM"
