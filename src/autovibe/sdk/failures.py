"""What remote twins share: from what a server said to the error that a caller sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from autovibe.kernel.errors import Code, RemoteError, UnavailableError

_TAKEN: Final = frozenset({"self", "code", "reason", "message"})
"""Names that the constructor of an error has for itself."""


def remote_error(code: str | None, reason: object, message: object, params: object) -> RemoteError:
    """Return the error of a server; what it did not say, or said wrongly, is left out.

    Args:
        code: name of a canonical code; an unknown one counts as INTERNAL.
        reason: permanent reason, normally text.
        message: sentence for people, normally text.
        params: normally a mapping of text to JSON scalars.
    """
    known = Code(code) if code in Code.__members__ else Code.INTERNAL
    is_mapping = isinstance(params, Mapping)
    given = cast("Mapping[object, object]", params if is_mapping else {})
    kept = {
        name: value
        for name, value in given.items()
        if isinstance(name, str)
        and name not in _TAKEN
        and isinstance(value, str | int | bool | None)
    }
    return RemoteError(
        known,
        reason if isinstance(reason, str) and reason else known.value,
        message if isinstance(message, str) and message else "The server did not say why.",
        **kept,
    )


def unreachable(where: str, why: str) -> UnavailableError:
    """Return the error for a server that does not answer."""
    return UnavailableError(
        f"No autovibe server answers at {where} ({why}); start one with `autovibe up`, or correct "
        "AUTOVIBE_SERVER.",
        server=where,
    )
