"""Pages of a list: an opaque token that names the last row of the page before."""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeVar, cast

from autovibe.kernel.errors import InvalidArgumentError

DEFAULT_PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 500

V = TypeVar("V")


def page_size(
    wanted: int, *, default: int = DEFAULT_PAGE_SIZE, largest: int = MAX_PAGE_SIZE
) -> int:
    """Return the size of a page: the default for 0, never more than the largest."""
    return min(wanted or default, largest)


def encode_token(*key: str) -> str:
    """Return a page token for the sort key of the last row of a page."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decode_token(token: str, length: int) -> list[str] | None:
    """Return the sort key in a page token, `None` for the first page.

    Raises:
        InvalidArgumentError: the token is none of ours.
    """
    if not token:
        return None
    try:
        padded = token + "=" * (-len(token) % 4)
        key: object = json.loads(base64.urlsafe_b64decode(padded.encode()))
    except (ValueError, binascii.Error, RecursionError):
        key = None
    if isinstance(key, list):
        parts = cast("list[object]", key)
        if len(parts) == length and all(isinstance(part, str) for part in parts):
            return cast("list[str]", parts)
    raise _not_ours()


def encode_place(time: datetime, row_id: uuid.UUID) -> str:
    """Return a page token for a list that is sorted by time and id."""
    return encode_token(time.isoformat(), str(row_id))


def decode_place(token: str) -> tuple[datetime, uuid.UUID] | None:
    """Return time and id of the last row of the page before, `None` for the first page.

    Raises:
        InvalidArgumentError: the token is none of ours.
    """
    key = decode_token(token, 2)
    return None if key is None else _place(*key)


def decode_named_place(token: str) -> tuple[str, datetime, uuid.UUID] | None:
    """Return name, time and id of the last row of the page before, `None` for the first page.

    Raises:
        InvalidArgumentError: the token is none of ours.
    """
    key = decode_token(token, 3)
    return None if key is None else (key[0], *_place(*key[1:]))


def encode_sorted_place(order_by: str, value: datetime | str | int, row_id: uuid.UUID) -> str:
    """Return a page token for a list that its caller has sorted.

    Args:
        order_by: what it is sorted by, as the request says it.
        value: of the last row of the page, in the column that it is sorted by.
        row_id: of the last row.
    """
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return encode_token(order_by, text, str(row_id))


def decode_sorted_place(
    token: str, order_by: str, parse: Callable[[str], V]
) -> tuple[V, uuid.UUID] | None:
    """Return value and id of the last row of the page before, `None` for the first page.

    Args:
        token: as `encode_sorted_place` gave it.
        order_by: what the list is sorted by now.
        parse: the value of a text, such as `datetime.fromisoformat`; raises ValueError.

    Raises:
        InvalidArgumentError: the token is none of ours, or of a list in another order.
    """
    key = decode_token(token, 3)
    if key is None:
        return None
    try:
        value = parse(key[1])
        row_id = uuid.UUID(key[2])
    except ValueError:
        raise _not_ours() from None
    if key[0] != order_by or (isinstance(value, datetime) and value.tzinfo is None):
        raise _not_ours()
    return value, row_id


def _place(time_text: str, id_text: str) -> tuple[datetime, uuid.UUID]:
    try:
        time, row_id = datetime.fromisoformat(time_text), uuid.UUID(id_text)
    except ValueError:
        raise _not_ours() from None
    if time.tzinfo is None:
        raise _not_ours()
    return time, row_id


def _not_ours() -> InvalidArgumentError:
    return InvalidArgumentError(
        "The page token is not valid; start again without one.", what="page_token"
    )
