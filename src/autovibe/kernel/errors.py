"""The one error type that crosses layers, and its mapping to HTTP and exit statuses."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Final


class Code(StrEnum):
    """Canonical status codes, named as gRPC names them.

    Source: https://grpc.github.io/grpc/core/md_doc_statuscodes.html
    """

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    UNAVAILABLE = "UNAVAILABLE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    DATA_LOSS = "DATA_LOSS"
    INTERNAL = "INTERNAL"


HTTP_STATUS: Final[dict[Code, int]] = {
    Code.INVALID_ARGUMENT: 400,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.UNAUTHENTICATED: 401,
    Code.FAILED_PRECONDITION: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.DEADLINE_EXCEEDED: 504,
    Code.UNAVAILABLE: 503,
    Code.UNIMPLEMENTED: 501,
    Code.DATA_LOSS: 500,
    Code.INTERNAL: 500,
}

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_BUDGET: Final = 3
EXIT_WAITING: Final = 4
EXIT_TIMED_OUT: Final = 5
EXIT_INTERRUPTED: Final = 130

_EXIT_BY_REASON: Final[dict[str, int]] = {
    "BUDGET_EXHAUSTED": EXIT_BUDGET,
    "BUDGET_HELD": EXIT_BUDGET,
    "BUDGET_EXCEEDED": EXIT_BUDGET,
    "NO_BUDGET": EXIT_BUDGET,
    "WAITING_FOR_APPROVAL": EXIT_WAITING,
    "WAITING_FOR_ANSWER": EXIT_WAITING,
    "WAITING_FOR_DEPENDENCY": EXIT_WAITING,
    "TASK_TIMED_OUT": EXIT_TIMED_OUT,
    "INTERRUPTED": EXIT_INTERRUPTED,
}
_USAGE_CODES: Final = frozenset({Code.INVALID_ARGUMENT, Code.NOT_FOUND})


def exit_status(code: Code, reason: str) -> int:
    """Return the process exit status for an error (decision B12)."""
    by_reason = _EXIT_BY_REASON.get(reason)
    if by_reason is not None:
        return by_reason
    return EXIT_USAGE if code in _USAGE_CODES else EXIT_FAILED


class AutovibeError(Exception):
    """An expected failure: a canonical code, a permanent reason, one sentence that says what to do.

    Subclasses live in the domain that raises them and set `code` and `reason`; they know no HTTP.
    `params` holds JSON scalars only (amounts as decimal strings), so that it survives every skin.
    """

    code: ClassVar[Code] = Code.INTERNAL
    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, **params: str | int | bool | None) -> None:
        """Keep the sentence shown to people and the machine-readable parameters."""
        super().__init__(message)
        self.message = message
        self.params = params

    @property
    def exit_status(self) -> int:
        """Exit status of a command that ends with this error."""
        return exit_status(self.code, self.reason)


class InvalidArgumentError(AutovibeError):
    """A value given by the caller is malformed."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"


class NotFoundError(AutovibeError):
    """A named thing does not exist, or may not be seen by the caller."""

    code = Code.NOT_FOUND
    reason = "NOT_FOUND"


class UnauthenticatedError(AutovibeError):
    """The call carries no valid token."""

    code = Code.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class PermissionDeniedError(AutovibeError):
    """The caller is known and may not do this."""

    code = Code.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class UnavailableError(AutovibeError):
    """Something that autovibe needs cannot be reached now; the same call may work later."""

    code = Code.UNAVAILABLE
    reason = "UNAVAILABLE"


class IdempotencyKeyReusedError(AutovibeError):
    """An earlier call with this idempotency key asked for something else."""

    code = Code.ALREADY_EXISTS
    reason = "IDEMPOTENCY_KEY_REUSED"


class RemoteError(AutovibeError):
    """An error that a server reported: code and reason are those of the server."""

    def __init__(
        self, code: Code, reason: str, message: str, **params: str | int | bool | None
    ) -> None:
        """Carry the server's code and reason on the instance."""
        super().__init__(message, **params)
        self.code = code  # type: ignore[misc]  # an instance value shadows the class default here
        self.reason = reason  # type: ignore[misc]  # as above
