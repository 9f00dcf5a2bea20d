"""Browsers: a link that works once becomes a cookie that no script can read (decision C11).

Cookies are the host's, not the port's: any program that listens on this host could show a page that
sends ours along. So a change also needs a header that only a page of this very origin can learn,
from `GET /browser`, which no page of another origin can read.
"""

from __future__ import annotations

import hashlib
import hmac
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Scope

from autovibe.domains.identity import BROWSER_PATH
from autovibe.operations import Operations, browser_opener
from autovibe.skins.errors import CsrfTokenError

SESSION_PATH: Final = BROWSER_PATH.rstrip("/")
CSRF_HEADER: Final = "x-csrf-token"

_COOKIE: Final = "autovibe-session"
_FIRST_PAGE: Final = "/docs"
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PURPOSE: Final = b"autovibe csrf"


def session_of(headers: Headers) -> str:
    """Return the token in the cookie of this server, "" for none."""
    return cookie_parser(headers.get("cookie", "")).get(_cookie_name(headers), "")


def csrf_token_of(session: str) -> str:
    """Return what a page must send with a change in this session."""
    return hmac.new(session.encode(), _PURPOSE, hashlib.sha256).hexdigest()


def check_csrf(method: str, headers: Headers, session: str) -> None:
    """Refuse a change that no page of this origin has asked for.

    Raises:
        CsrfTokenError: the header is missing or wrong.
    """
    given = headers.get(CSRF_HEADER, "").encode()
    if method not in _READING and not hmac.compare_digest(given, csrf_token_of(session).encode()):
        raise CsrfTokenError(
            f"Changes in a browser's session need the header {CSRF_HEADER}; ask GET "
            f"{SESSION_PATH} for it."
        )


def is_link(scope: Scope) -> bool:
    """Return whether a request comes with a link in place of a token."""
    return scope["method"] == "GET" and scope["path"].startswith(BROWSER_PATH)


def add_browser_routes(app: FastAPI, operations: Operations) -> None:
    """Let browsers open sessions, and learn what a change must carry."""
    open_session = browser_opener(operations)

    async def follow_link(request: Request) -> Response:
        session, ends_at = await open_session(request.path_params["link"])
        answer = RedirectResponse(_FIRST_PAGE, HTTPStatus.SEE_OTHER)
        answer.set_cookie(
            _cookie_name(request.headers),
            session,
            expires=ends_at,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return answer

    async def tell_session(request: Request) -> Response:
        session = session_of(request.headers)
        return JSONResponse({"csrf_token": csrf_token_of(session) if session else ""})

    app.add_route(BROWSER_PATH + "{link}", follow_link, methods=["GET"], include_in_schema=False)
    app.add_route(SESSION_PATH, tell_session, methods=["GET"], include_in_schema=False)


def _cookie_name(headers: Headers) -> str:
    """Two servers on one host have a cookie each."""
    return f"{_COOKIE}-{headers.get('host', '').rpartition(':')[2]}"
