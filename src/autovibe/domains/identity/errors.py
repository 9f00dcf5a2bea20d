"""Errors of the identity domain."""

from __future__ import annotations

from autovibe.kernel.errors import AutovibeError, Code


class InstanceNotFoundError(AutovibeError):
    """No instance has this id: it was removed, perhaps because it was taken for dead."""

    code = Code.NOT_FOUND
    reason = "INSTANCE_NOT_FOUND"


class TokenNotFoundError(AutovibeError):
    """No token that the caller may see has this id."""

    code = Code.NOT_FOUND
    reason = "TOKEN_NOT_FOUND"


class UserNotFoundError(AutovibeError):
    """No user that the caller may see has this id or name."""

    code = Code.NOT_FOUND
    reason = "USER_NOT_FOUND"


class MemberNotFoundError(AutovibeError):
    """The user does not belong to the project."""

    code = Code.NOT_FOUND
    reason = "MEMBER_NOT_FOUND"


class UserExistsError(AutovibeError):
    """A user has this name or this e-mail address."""

    code = Code.ALREADY_EXISTS
    reason = "USER_EXISTS"


class LastAdminError(AutovibeError):
    """Nobody would be left who may give roles."""

    code = Code.FAILED_PRECONDITION
    reason = "LAST_ADMIN"


class NoAccountError(AutovibeError):
    """The token is nobody's, or the account has no password."""

    code = Code.FAILED_PRECONDITION
    reason = "NO_ACCOUNT"


class LoginThrottledError(AutovibeError):
    """Too many logins have failed, of this account or from this address."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "LOGIN_THROTTLED"
