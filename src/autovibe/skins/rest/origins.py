"""Pages of other sites: none may call, but those that the configuration names."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response

from autovibe.skins.errors import OriginNotAllowedError

_VERBS: Final = "GET, POST, PUT, PATCH, DELETE"
_REQUEST_HEADERS: Final = "authorization, content-type, if-match, if-none-match, idempotency-key"
_SHOWN_HEADERS: Final = "etag, retry-after, x-request-id, idempotent-replayed"
_KEPT_S: Final = "600"

Pairs = tuple[tuple[bytes, bytes], ...]


def foreign_origin(headers: Headers, host: str, allowed: Collection[str]) -> str | None:
    """Return the origin of a page of another site that may call; None for our own and for none.

    Raises:
        OriginNotAllowedError: it may not.
    """
    origin = headers.get("origin")
    if origin is None or origin.lower().partition("://")[2] == host:
        return None
    if origin.lower() in allowed:
        return origin
    raise OriginNotAllowedError(
        "Pages of other sites may not call autovibe; call it from its own, or name theirs in "
        "allowed_origins.",
        origin=origin,
    )


def headers_for(origin: str) -> Pairs:
    """Return what lets a page read the answer."""
    return (
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", _SHOWN_HEADERS.encode()),
        (b"vary", b"origin"),
    )


def is_preflight(method: str, headers: Headers) -> bool:
    """Return whether a browser asks what a page may send; it does so without a token."""
    return method == "OPTIONS" and "access-control-request-method" in headers


def preflight_response() -> Response:
    """Return what a page may send."""
    return Response(
        status_code=204,
        headers={
            "access-control-allow-methods": _VERBS,
            "access-control-allow-headers": _REQUEST_HEADERS,
            "access-control-max-age": _KEPT_S,
        },
    )
