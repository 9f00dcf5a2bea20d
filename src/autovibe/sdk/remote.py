"""The remote twin over HTTP, for people and the command line."""

from __future__ import annotations

import contextlib
import io
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from google.protobuf.message import Message
from yarl import URL

from autovibe.kernel.errors import (
    HTTP_STATUS,
    Code,
    InvalidArgumentError,
    PermissionDeniedError,
    RemoteError,
)
from autovibe.kernel.protojson import from_json, to_json
from autovibe.sdk.contract import HttpRule, Method
from autovibe.sdk.failures import remote_error, unreachable
from autovibe.sdk.services import Call, Services, Stream, build_services
from autovibe.v1 import options_pb2

# No limit on the whole: importing a directory may take minutes. A dead server is noticed by TCP.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10)
# A stream that has nothing to say says so every 15 seconds.
_STREAM_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
_JSON: Final = {"content-type": "application/json"}
_CODE_OF_STATUS: Final = {status: code for code, status in reversed(HTTP_STATUS.items())}


@contextlib.asynccontextmanager
async def connect_http(
    url: str, token: str, *, certificate: Path | None = None
) -> AsyncGenerator[Services]:
    """Open the services of a server. Nothing is sent before the first call.

    Operations of our own processes are not offered over HTTP; calling one is PERMISSION_DENIED.

    Args:
        url: such as `http://127.0.0.1:8420`.
        token: sent with every call, and to no other server: redirects are not followed. Empty
            for what is called without one.
        certificate: the one that a server must show over TLS, PEM, under whatever name; without
            it those that this system trusts.

    Raises:
        InvalidArgumentError: the URL is malformed, or the certificate cannot be read.
    """
    base = _checked_url(url)
    async with aiohttp.ClientSession(
        timeout=_TIMEOUT,
        headers={"accept": "application/json"}
        | ({"authorization": f"Bearer {token}"} if token else {}),
        connector=aiohttp.TCPConnector(ssl=_trusting(certificate)),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield build_services(
            lambda method: _call_of(session, base, method),
            lambda method: _stream_of(session, base, method),
        )


def _call_of(session: aiohttp.ClientSession, base: str, method: Method) -> Call:
    http = method.http
    if http is None or method.operation.audience != options_pb2.AUDIENCE_PEOPLE:

        async def refuse(_request: Message, /) -> Message:
            raise PermissionDeniedError(
                f"{method.name} is for autovibe's own processes and machines; it is not offered "
                "over HTTP.",
                operation=method.name,
            )

        return refuse

    async def call(request: Message, /) -> Message:
        path, data = _path_and_data(http, request)
        query = "" if http.has_body else _query(data)
        try:
            async with session.request(
                http.verb,
                URL(f"{base}{path}{query}", encoded=True),
                data=_body(data) if http.has_body else None,
                headers=_JSON if http.has_body else None,
                allow_redirects=False,
            ) as answer:
                body = await answer.read()
        except aiohttp.ClientConnectionError as error:
            raise unreachable(base, _why(error)) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(base, str(error) or type(error).__name__) from error
        if answer.status != 200:
            raise _error(answer.status, body)
        response = method.response_type()
        from_json(_object(body, base), response, ignore_unknown_fields=True)
        return response

    return call


def _stream_of(session: aiohttp.ClientSession, base: str, method: Method) -> Stream:
    http = method.http
    assert http is not None, f"{method.name} has no path"

    async def stream(request: Message, /) -> AsyncGenerator[Message]:
        path, data = _path_and_data(http, request)
        url = URL(f"{base}{path}{_query(data)}", encoded=True)
        try:
            async with session.get(
                url,
                headers={"accept": "text/event-stream"},
                timeout=_STREAM_TIMEOUT,
                allow_redirects=False,
            ) as answer:
                if answer.status != HTTPStatus.OK:
                    raise _error(answer.status, await answer.read())
                async for name, text in events_of(answer.content.iter_any()):
                    if name == "error":
                        raise _error(0, text.encode())
                    page = method.response_type()
                    from_json(_object(text.encode(), base), page, ignore_unknown_fields=True)
                    yield page
        except aiohttp.ClientConnectionError as error:
            raise unreachable(base, _why(error)) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(base, str(error) or type(error).__name__) from error

    return stream


async def _lines(chunks: AsyncIterable[bytes]) -> AsyncGenerator[str]:
    """Give the whole lines of a stream that arrives in pieces, however long they are."""
    parts: list[bytes] = []
    async for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            yield b"".join((*parts, line)).decode("utf-8", "replace").rstrip("\r")
            parts.clear()
        if rest:
            parts.append(rest)


async def events_of(chunks: AsyncIterable[bytes]) -> AsyncGenerator[tuple[str, str]]:
    """Give the events of a stream of server-sent events, name and data; comments are left out."""
    name, data = "", list[str]()
    async for line in _lines(chunks):
        label, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line and data:
            yield name, "\n".join(data)
        if not line:
            name, data = "", []
        elif label == "event":
            name = value
        elif label == "data":
            data.append(value)


def _path_and_data(http: HttpRule, request: Message) -> tuple[str, dict[str, Any]]:
    """Return the path of a call, and what of the request is not in it."""
    data = to_json(request)
    path = http.template
    for name in http.variables:
        value = str(data.pop(name))
        if not value:
            raise InvalidArgumentError(f"{name} must be given.", field=name)
        path = path.replace(f"{{{name}}}", _segment(value))
    return path, data


def _segment(value: str) -> str:
    # "." and ".." would be taken for steps in the path.
    return quote(value, safe="") if value.strip(".") else value.replace(".", "%2E")


def _body(data: dict[str, Any]) -> io.BytesIO:
    """Return the body of a call: as a file, which is sent in pieces however large it is."""
    return io.BytesIO(json.dumps(data).encode())


def _query(data: dict[str, Any]) -> str:
    """Return the query of a call: what is empty, false or 0 is the same as what is not there."""
    pairs = [
        (name, "true" if item is True else item)
        for name, value in data.items()
        for item in (cast("list[object]", value) if isinstance(value, list) else [value])
        if item
    ]
    return f"?{urlencode(pairs)}" if pairs else ""


def _error(status: int, body: bytes) -> RemoteError:
    try:
        raw: object = json.loads(body)
    except ValueError:
        raw = None
    problem = cast("dict[str, object]", raw) if isinstance(raw, dict) else {}
    code = str(problem.get("code") or _CODE_OF_STATUS.get(status, Code.INTERNAL))
    message = problem.get("detail") or f"The server answered with HTTP status {status}."
    return remote_error(code, problem.get("reason"), message, problem.get("params"))


def _object(body: bytes, base: str) -> dict[str, Any]:
    try:
        document: object = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise unreachable(base, "what answers there speaks another protocol")
    return cast("dict[str, Any]", document)


def _trusting(certificate: Path | None) -> ssl.SSLContext | bool:
    if certificate is None:
        return True
    try:
        context = ssl.create_default_context(cafile=certificate)
    except (OSError, ssl.SSLError) as error:
        raise InvalidArgumentError(
            f"{certificate} is no certificate that can be read ({error}); give one as PEM."
        ) from error
    context.check_hostname = False  # the certificate itself says which server it is
    return context


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    try:
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise InvalidArgumentError(
            f"{url!r} is not a server address; write one such as http://127.0.0.1:8420.", url=url
        )
    return f"{parts.scheme}://{parts.netloc}"


def _why(error: aiohttp.ClientConnectionError) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or str(error.os_error)
    return str(error) or "the connection was lost"
