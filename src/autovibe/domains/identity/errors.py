"""Errors of the identity domain."""

from __future__ import annotations

from autovibe.kernel.errors import AutovibeError, Code


class InstanceNotFoundError(AutovibeError):
    """No instance has this id: it was removed, perhaps because it was taken for dead."""

    code = Code.NOT_FOUND
    reason = "INSTANCE_NOT_FOUND"


class TokenNotFoundError(AutovibeError):
    """No token has this id."""

    code = Code.NOT_FOUND
    reason = "TOKEN_NOT_FOUND"
