"""What goes to the provider and what comes back: headers, and whether anything was sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import aiohttp
from yarl import URL

from autovibe.gateway.binding import Upstream
from autovibe.gateway.dialect import Headers

# What a caller may tell the provider. All else stays here: credentials, cookies, addresses.
_PASSED: Final = frozenset({"accept", "content-type", "user-agent", "x-app"})
_NEVER: Final = frozenset({"anthropic-api-key", "anthropic-auth-token"})
# What belongs to one connection, to the provider's account, or is written anew here.
_DROPPED: Final = frozenset(
    {
        "alt-svc",
        "anthropic-organization-id",
        "connection",
        "content-encoding",
        "content-length",
        "date",
        "keep-alive",
        "nel",
        "openai-organization",
        "openai-project",
        "proxy-authenticate",
        "report-to",
        "request-id",
        "server",
        "set-cookie",
        "strict-transport-security",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-request-id",
    }
)
_NOTHING_SENT: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)
UPSTREAM_ERRORS: Final = (aiohttp.ClientError, TimeoutError, OSError)


def passed_headers(
    given: Iterable[tuple[bytes, bytes]], prefixes: tuple[str, ...]
) -> list[tuple[str, str]]:
    """Return the headers of a request that may go to the provider; our key is not among them.

    Args:
        given: the caller's.
        prefixes: beginnings of names that may pass beside those that always may.
    """
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in given
        if _may_pass(name.decode("latin-1"), prefixes)
    ]
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "application/json"))
    # Compressed events could not be read as they pass.
    return [*headers, ("accept-encoding", "identity")]


def _may_pass(name: str, prefixes: tuple[str, ...]) -> bool:
    return name in _PASSED or (name.startswith(prefixes) and name not in _NEVER)


def answer_headers(upstream: Mapping[str, str], request_id: str) -> Headers:
    """Return the headers of the answer: the provider's, under our request id."""
    headers: Headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in upstream.items()
        if name.lower() not in _DROPPED
    ]
    headers.append((b"request-id", request_id.encode()))
    theirs = upstream.get("request-id") or upstream.get("x-request-id")
    if theirs:
        headers.append((b"x-autovibe-upstream-request-id", theirs.encode("latin-1", "replace")))
    return headers


def open_upstream(
    session: aiohttp.ClientSession,
    upstream: Upstream,
    *,
    method: str,
    path: str,
    query: bytes,
    headers: Iterable[tuple[str, str]],
    body: bytes | None,
) -> aiohttp.client._RequestContextManager:  # pyright: ignore[reportPrivateUsage]  # what session.request() returns has no public name
    """Return the request to a provider, to be entered with `async with`."""
    target = f"{upstream.base_url.rstrip('/')}{path}"
    if query:
        target += "?" + query.decode("latin-1")
    return session.request(
        method,
        URL(target, encoded=True),
        data=body,
        headers=headers,
        allow_redirects=False,
        # A provider that compresses all the same must not keep us from reading its usage.
        auto_decompress=True,
        skip_auto_headers=("Accept", "User-Agent"),
        ssl=upstream.verify,
        timeout=aiohttp.ClientTimeout(
            total=upstream.call_timeout_s,
            sock_connect=upstream.connect_timeout_s,
            sock_read=upstream.read_timeout_s,
        ),
    )


def nothing_was_sent(error: BaseException) -> bool:
    """Return whether a request failed before its first byte went out, so that it costs nothing."""
    return isinstance(error, _NOTHING_SENT)


def says_not_billed(status: int, body: bytes) -> bool:
    """Return whether an answer means that the provider has done, and billed, nothing.

    The provider's own error does. An error page of something between us and the provider (502, 504
    and the like) leaves open what happened behind it.
    """
    if status < 500:
        return True
    return status in {500, 503, 529} and b'"error"' in body[:4096]
