"""Errors of the knowledge domain."""

from __future__ import annotations

from autovibe.kernel.errors import AutovibeError, Code


class DocumentNotFoundError(AutovibeError):
    """No document has this id."""

    code = Code.NOT_FOUND
    reason = "DOCUMENT_NOT_FOUND"


class DocumentVersionNotFoundError(AutovibeError):
    """The document has no such version."""

    code = Code.NOT_FOUND
    reason = "DOCUMENT_VERSION_NOT_FOUND"


class DocumentTooLargeError(AutovibeError):
    """The content is larger than the settings allow."""

    code = Code.INVALID_ARGUMENT
    reason = "DOCUMENT_TOO_LARGE"


class DocumentAttachedError(AutovibeError):
    """The document is attached to another project."""

    code = Code.FAILED_PRECONDITION
    reason = "DOCUMENT_ATTACHED"
