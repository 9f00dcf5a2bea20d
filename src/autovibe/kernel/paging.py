"""Pages of a list: an opaque token that names the last row of the page before."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Final, cast

from autovibe.kernel.errors import InvalidArgumentError

DEFAULT_PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 500


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
    except (ValueError, binascii.Error, UnicodeError):
        key = None
    if isinstance(key, list):
        parts = cast("list[object]", key)
        if len(parts) == length and all(isinstance(part, str) for part in parts):
            return cast("list[str]", parts)
    raise InvalidArgumentError(
        "The page token is not valid; start again without one.", what="page_token"
    )
