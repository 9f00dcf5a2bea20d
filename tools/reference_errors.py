"""The page of errors: each reason with its code, HTTP status, exit status and operations."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Final

import autovibe
from autovibe.kernel.errors import AutovibeError, RemoteError, exit_status
from autovibe.sdk.contract import methods
from autovibe.skins.rest.problems import status_of

HEAD: Final = """# Errors

Each error has a code (gRPC's canonical ones), a permanent reason, and one sentence that says what
to do next. REST answers with the HTTP status and a problem document (RFC 9457) that has `code`,
`reason`, `params` and `detail`; gRPC with the code as status and `autovibe-reason` in the trailers;
a command ends with the exit status. Reasons never change their name.

Programs should look at the reason. Where no operation is named, a reason belongs to every operation
or to a command.

| reason | code | HTTP | exit | meaning | operations |
|---|---|---|---|---|---|
"""
LEFT_OUT: Final = ("autovibe.v1", "autovibe.testing", "autovibe.db.migrations")


def page() -> str:
    """Return the page."""
    return HEAD + "".join(row(reason, kind) for reason, kind in sorted(found().items()))


def found() -> dict[str, type[AutovibeError]]:
    """Return every error class of the program by its reason."""
    for module in pkgutil.walk_packages(autovibe.__path__, "autovibe."):
        if not module.name.startswith(LEFT_OUT) and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    kinds = {AutovibeError.reason: AutovibeError}
    for kind in sorted(subclasses(AutovibeError), key=lambda kind: (kind.__module__, str(kind))):
        if kind is not RemoteError:
            kinds.setdefault(kind.reason, kind)
    return kinds


def subclasses(kind: type[AutovibeError]) -> Iterator[type[AutovibeError]]:
    """Give the subclasses of a class, and theirs."""
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def row(reason: str, kind: type[AutovibeError]) -> str:
    """Return one reason as a row of the table."""
    operations = [
        method.descriptor.name for method in methods().values() if reason in method.operation.errors
    ]
    meaning = (
        "Something unexpected happened; the log has it under the request id."
        if kind is AutovibeError
        else (kind.__doc__ or "").strip().partition("\n")[0]
    )
    cells = (
        f"`{reason}`",
        kind.code.value,
        str(status_of(kind, kind.code)),
        str(exit_status(kind.code, reason)),
        meaning.replace("|", "\\|"),
        ", ".join(operations),
    )
    return f"| {' | '.join(cells)} |\n"
