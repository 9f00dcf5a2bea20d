"""Errors of calling an operation, and all reasons that a caller may meet."""

from __future__ import annotations

from collections.abc import Iterator

from autovibe.kernel.errors import AutovibeError, Code


class NotServedError(AutovibeError):
    """This process does not serve the operation."""

    code = Code.UNIMPLEMENTED
    reason = "NOT_SERVED"


def error_classes() -> dict[str, type[AutovibeError]]:
    """Return the error classes that are loaded, by their permanent reason."""
    found = {AutovibeError.reason: AutovibeError}
    for kind in _subclasses(AutovibeError):
        found.setdefault(kind.reason, kind)
    return found


def _subclasses(kind: type[AutovibeError]) -> Iterator[type[AutovibeError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)


class NotForMachinesError(AutovibeError):
    """A machine asked for an operation that is not for machines."""

    code = Code.PERMISSION_DENIED
    reason = "NOT_FOR_MACHINES"
