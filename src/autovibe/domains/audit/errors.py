"""Errors of maintenance: jobs and archives."""

from __future__ import annotations

from autovibe.kernel.errors import AutovibeError, Code


class JobNotFoundError(AutovibeError):
    """No job has this name."""

    code = Code.NOT_FOUND
    reason = "JOB_NOT_FOUND"


class JobLostError(AutovibeError):
    """The run has ended, or passed to another process that found its lease expired."""

    code = Code.FAILED_PRECONDITION
    reason = "JOB_LOST"


class ArchiveUnreadableError(AutovibeError):
    """A line of an archive is none, or names what this schema has not."""

    code = Code.FAILED_PRECONDITION
    reason = "ARCHIVE_UNREADABLE"


class ArchiveRowDiffersError(AutovibeError):
    """A row with the key of an archived one is there, and says something else."""

    code = Code.FAILED_PRECONDITION
    reason = "ARCHIVE_ROW_DIFFERS"


class SealNotFoundError(AutovibeError):
    """No seal has this id."""

    code = Code.NOT_FOUND
    reason = "SEAL_NOT_FOUND"
