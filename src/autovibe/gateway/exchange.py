"""One HTTP exchange with a machine, over raw ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import cached_property
from typing import Any

from autovibe.gateway.body import MAX_BODY_BYTES, decoded, too_large
from autovibe.gateway.dialect import Answer, Headers

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Exchange:
    """A request and the answer to it.

    Once the body is read, `watch()` notices that the client is gone. Sending to a client that is
    gone does nothing.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wrap what an ASGI server gives."""
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope.get("query_string", b"")
        self.headers: Headers = list(scope["headers"])
        self.gone = False
        self.started = False
        self._receive = receive
        self._send = send
        self._on_gone: Callable[[], object] | None = None
        self._watcher: asyncio.Task[None] | None = None

    def header(self, name: bytes) -> str:
        """Return the first header of a lower-case name, "" when there is none."""
        return next((v.decode("latin-1") for n, v in self.headers if n == name), "")

    @cached_property
    def named(self) -> Mapping[str, str]:
        """The headers by lower-case name; the first of several with one name."""
        return {n.decode("latin-1"): v.decode("latin-1") for n, v in reversed(self.headers)}

    async def body(self) -> bytes:
        """Read the whole body, without its content coding.

        Raises:
            BadBodyError: it is too large or wrongly coded.
            ConnectionResetError: the client left in the middle of it.
        """
        length = self.header(b"content-length")
        if length.isdecimal() and int(length) > MAX_BODY_BYTES:
            raise too_large()
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                raise ConnectionResetError
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise too_large()
            chunks.append(chunk)
            if not message.get("more_body", False):
                break
        encoding = self.header(b"content-encoding").strip().lower()
        return decoded(b"".join(chunks), encoding)

    def watch(self, on_gone: Callable[[], object] | None = None) -> None:
        """Notice from now on when the client leaves."""
        self._on_gone = on_gone
        if self.gone and on_gone is not None:
            on_gone()
        elif self._watcher is None:
            self._watcher = asyncio.create_task(self._watch(), name="client-watch")

    async def end_watch(self) -> None:
        """Stop to look; `watch()` may begin anew."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            await asyncio.wait({watcher})

    async def _watch(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                break
        self.gone = True
        if self._on_gone is not None:
            self._on_gone()

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers."""
        if not self.gone:
            self.started = True
            await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, chunk: bytes) -> None:
        """Send a part of the body."""
        if not self.gone:
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end(self) -> None:
        """End the body."""
        if not self.gone:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def answer(self, answer: Answer) -> None:
        """Send a complete answer."""
        if self.gone:
            return
        length = (b"content-length", str(len(answer.body)).encode())
        body = b"" if self.method == "HEAD" else answer.body
        await self.start(answer.status, [*answer.headers, length])
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
