"""Headers that say when a call is to be done: If-Match, If-None-Match, Idempotency-Key.

Source: RFC 9110 (13.1), and the IETF draft on the Idempotency-Key header.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import Response

from autovibe.kernel.errors import InvalidArgumentError

_ETAG: Final = "etag"
_LONGEST_KEY: Final = 200
_NOT_MODIFIED: Final = 304


def take_if_match(request: Request, message: Message) -> None:
    """Put the etag of If-Match into the request, where the operation has one.

    Raises:
        InvalidArgumentError: the operation looks at no etag, or there are several.
    """
    wanted = request.headers.get("if-match")
    if wanted is None:
        return
    if _ETAG not in message.DESCRIPTOR.fields_by_name:
        raise InvalidArgumentError(
            "This operation looks at no etag; leave If-Match out.", field="if-match"
        )
    etag = wanted.strip()
    is_one = etag == "*" or (etag.startswith('"') and etag.endswith('"') and etag.count('"') == 2)
    if not is_one:
        raise InvalidArgumentError(
            "If-Match must be one etag in quotes, as it came with the answer.", field="if-match"
        )
    setattr(message, _ETAG, etag.strip('"'))


def with_etag(request: Request, answer: Message, body: bytes) -> Response:
    """Return an answer with its etag; to who has it already, only that nothing has changed."""
    has_one = _ETAG in answer.DESCRIPTOR.fields_by_name
    etag: str = getattr(answer, _ETAG) if has_one else ""
    headers = {_ETAG: f'"{etag}"'} if etag.isascii() and etag.isalnum() else {}
    known = {part.strip() for part in request.headers.get("if-none-match", "").split(",")}
    if headers and request.method == "GET" and headers[_ETAG] in known:
        return Response(status_code=_NOT_MODIFIED, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def idempotency_key_of(request: Request) -> str:
    """Return the key under which a change is done once; "" for none, and for what only reads.

    Raises:
        InvalidArgumentError: it is too long, empty, or no plain text.
    """
    given = request.headers.getlist("idempotency-key")
    if not given or request.method == "GET":
        return ""
    key = given[0]
    if len(given) > 1 or not 0 < len(key) <= _LONGEST_KEY or not key.isascii():
        raise InvalidArgumentError(
            f"Idempotency-Key must be given once, as 1 to {_LONGEST_KEY} plain characters.",
            field="idempotency-key",
        )
    return key
