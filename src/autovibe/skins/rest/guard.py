"""What every request must pass before anything else sees it (decision C11).

The loopback is no trust boundary: any page in a browser, and any user of this host, can reach it.
"""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autovibe.kernel.context import Actor
from autovibe.kernel.errors import AutovibeError, UnauthenticatedError
from autovibe.kernel.ids import new_id
from autovibe.operations import NOBODY, Authenticate
from autovibe.skins.errors import (
    HostNotAllowedError,
    RequestTooLargeError,
)
from autovibe.skins.rest.browser import check_csrf, is_link, session_of
from autovibe.skins.rest.limits import RateLimit
from autovibe.skins.rest.origins import (
    foreign_origin,
    headers_for,
    is_preflight,
    preflight_response,
)
from autovibe.skins.rest.problems import REQUEST_ID, problem_response

ACTOR: Final = "autovibe.actor"
"""Key of the actor in the ASGI scope."""
RENEW: Final = "autovibe.renew"
"""Key of what asks again who calls, in the ASGI scope."""
MAX_BODY_BYTES: Final = 16 * 1024 * 1024
MAX_HEAD_BYTES: Final = 64 * 1024
"""Of path, query and headers together."""

_BEARER: Final = "bearer "
_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)


def address_of(scope: Scope) -> str:
    """Return the address that a request comes from; no proxy is believed."""
    client = scope.get("client")
    return client[0] if client else ""


def local_hosts(port: int) -> frozenset[str]:
    """Return the Host headers under which a client on this host reaches a port."""
    return frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))


class Guard:
    """ASGI middleware: Host, Origin, token, rate, size; then the actor is in the scope.

    That a change is declared as JSON, which no form of a foreign page can do, is checked by its
    route: a method that a path does not take is told as such.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticate: Authenticate,
        allowed_hosts: Collection[str],
        allowed_origins: Collection[str] = (),
        anonymous: Collection[tuple[str, str]] = (),
        rate_limit: RateLimit | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        """Guard an application; hosts and origins are compared whole, with their port.

        Args:
            app: what is guarded.
            authenticate: from a token to an actor.
            allowed_hosts: Host headers that are answered.
            allowed_origins: sites whose pages may call, as in `https://example.org`.
            anonymous: verbs and paths that are called without a token.
            rate_limit: how often one token may call; for calls without one, one address.
            max_body_bytes: of a request.
        """
        self._app = app
        self._authenticate = authenticate
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self._allowed_origins = frozenset(origin.lower() for origin in allowed_origins)
        self._anonymous = frozenset(anonymous)
        self._rate_limit = rate_limit
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that may not pass, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(new_id())
        scope[REQUEST_ID] = request_id
        headers = Headers(scope=scope)
        own: list[tuple[bytes, bytes]] = [*_HEADERS, (b"x-request-id", request_id.encode())]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(header for header in own if header[0] not in given),
                ]
            await send(message)

        try:
            _check_head(scope)
            host = self._checked_host(headers)
            origin = foreign_origin(headers, host, self._allowed_origins)
            own += headers_for(origin) if origin else ()
            if origin and is_preflight(scope["method"], headers):
                await preflight_response()(scope, receive, send_with_headers)
                return
            scope[ACTOR] = await self._admit(scope, headers)
            scope[RENEW] = lambda: self._admit(scope, headers)
        except AutovibeError as error:
            await problem_response(error, request_id)(scope, receive, send_with_headers)
            return
        # Routes match the path as it was sent, so that a name with a slash in it is one segment.
        scope["path"] = scope["raw_path"].decode("ascii", "replace").partition("?")[0]
        await self._app(scope, _limited(receive, self._max_body_bytes), send_with_headers)

    async def _admit(self, scope: Scope, headers: Headers) -> Actor:
        """Return who calls.

        Raises:
            UnauthenticatedError: there is no valid token.
            CsrfTokenError: a browser's session would change something unasked.
            RateLimitedError: the caller calls too often.
            RequestTooLargeError: the body is larger than the server takes.
        """
        session = "" if "authorization" in headers else session_of(headers)
        if (scope["method"], scope["path"]) in self._anonymous or is_link(scope):
            actor = NOBODY
        elif session:
            actor = await self._authenticate(session)
            check_csrf(scope["method"], headers, session)
        else:
            actor = await self._authenticate(_token(headers))
        if self._rate_limit is not None:
            self._rate_limit.take(str(actor.token_id or f"{actor.id} {address_of(scope)}"))
        if (
            int(headers.get("content-length", "0")) > self._max_body_bytes
        ):  # the server has parsed it
            raise RequestTooLargeError(_too_large(self._max_body_bytes))
        return actor

    def _checked_host(self, headers: Headers) -> str:
        """Return the host that the request is for.

        Raises:
            HostNotAllowedError: it is not one of this server's.
        """
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._allowed_hosts:
            raise HostNotAllowedError(
                "This server does not answer under that name; use the address that "
                "`autovibe up` shows, or add the name to its configuration.",
                host=", ".join(hosts)[:255],
            )
        return hosts[0].lower()


def _check_head(scope: Scope) -> None:
    """Refuse what is no call of a sensible client, before anything looks at it.

    Raises:
        RequestTooLargeError: path, query and headers are too long.
    """
    size = len(scope["raw_path"]) + len(scope["query_string"])
    size += sum(len(name) + len(value) for name, value in scope["headers"])
    if size > MAX_HEAD_BYTES:
        raise RequestTooLargeError(
            f"Path, query and headers have more than {MAX_HEAD_BYTES} bytes; send less."
        )


def _too_large(limit: int) -> str:
    return f"The body has more than {limit} bytes; send less at once."


def _limited(receive: Receive, limit: int) -> Receive:
    """Return a `receive` that ends a body which did not say how long it is in time."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            # Only this error passes through FastAPI's reading of a body unchanged.
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(limit))
        return message

    return limited


def _token(headers: Headers) -> str:
    given = headers.getlist("authorization")
    if len(given) != 1 or not given[0].lower().startswith(_BEARER):
        raise UnauthenticatedError("Send your token in the header `Authorization: Bearer TOKEN`.")
    return given[0][len(_BEARER) :].strip()
