"""Identifiers."""

from __future__ import annotations

import uuid

from autovibe.kernel.errors import InvalidArgumentError


def new_id() -> uuid.UUID:
    """Return a random (version 4) UUID, the primary key of every entity."""
    return uuid.uuid4()


def parse_id(value: str, what: str) -> uuid.UUID:
    """Parse an id that a caller gave.

    Args:
        value: the text form, any form that `uuid.UUID` takes.
        what: what the id names ("task"), for the message.

    Raises:
        InvalidArgumentError: the text is no UUID.
    """
    try:
        return uuid.UUID(value)
    except ValueError:
        msg = f"{value!r} is not a {what} id; an id looks like {uuid.UUID(int=0)}."
        raise InvalidArgumentError(msg, what=what, value=value) from None
