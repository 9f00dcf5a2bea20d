"""Identifiers."""

from __future__ import annotations

import uuid
from typing import Final

from autovibe.kernel.errors import InvalidArgumentError

HEX_DIGITS: Final = 32
MIN_PREFIX: Final = 8


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


def id_range(text: str, what: str) -> tuple[uuid.UUID, uuid.UUID]:
    """Return the lowest and highest id that begin with what a caller gave.

    Args:
        text: an id, or its first 8 or more hexadecimal digits.
        what: what the id names ("task"), for the message.

    Raises:
        InvalidArgumentError: the text is no beginning of a UUID.
    """
    digits = text.replace("-", "").lower()
    if not MIN_PREFIX <= len(digits) <= HEX_DIGITS or set(digits) - set("0123456789abcdef"):
        msg = f"{text!r} is not a {what} id; give the id or its first {MIN_PREFIX} characters."
        raise InvalidArgumentError(msg, what=what, value=text)
    return uuid.UUID(digits.ljust(HEX_DIGITS, "0")), uuid.UUID(digits.ljust(HEX_DIGITS, "f"))
