"""Serving an application on a listening socket of a machine, inside the running event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Generator
from typing import Any, Final, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from autovibe.gateway.app import Gateway

# Answers that broke off are reported where that is known; uvicorn would print each as an error.
_QUIET: Final = logging.getLogger("autovibe.gateway.http")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False
_LARGEST_HEADERS: Final = 64 * 1024


class _State(ServerState):
    """What the connections of one server share, and how many bytes have passed on them."""

    def __init__(self) -> None:
        super().__init__()
        self.network_bytes = 0


class _CountedTransport:
    """A transport that counts what is written; all else is the transport's own."""

    def __init__(self, transport: asyncio.Transport, state: _State) -> None:
        self._transport = transport
        self._state = state

    def write(self, data: bytes) -> None:
        self._state.network_bytes += len(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Protocol(H11Protocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _QUIET
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Send small writes at once.

        asyncio does so only on sockets whose protocol number is set, which those accepted from a
        listener made elsewhere lack: every answer took 40 ms more, the delay of an acknowledgement.
        """
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in {socket.AF_INET, socket.AF_INET6}:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        counted = _CountedTransport(transport, cast("_State", self.server_state))
        super().connection_made(cast("asyncio.Transport", counted))

    def data_received(self, data: bytes) -> None:
        """Count what arrives: headers and requests that are refused, too."""
        cast("_State", self.server_state).network_bytes += len(data)
        super().data_received(data)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state = self.counted_state = _State()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the program: there are many servers in one process."""
        yield


class RunningServer:
    """A server on one socket; `close()` ends it and the application."""

    def __init__(self, server: _Server, sock: socket.socket, app: Gateway) -> None:
        """Wrap a server that has started."""
        self._server = server
        self._socket = sock
        self._app = app
        self._closed = False

    @property
    def network_bytes(self) -> int:
        """Bytes that the machine has sent and received so far, those of HTTP itself included."""
        return self._server.counted_state.network_bytes

    async def close(self, grace_s: float = 10) -> None:
        """Stop to listen, let calls under way end and settle, then cut what is left; idempotent.

        Args:
            grace_s: seconds until calls are ended.
        """
        if self._closed:
            return
        self._closed = True
        for server in self._server.servers:
            server.close()
        self._socket.close()
        await self._app.close(grace_s)
        for connection in list(self._server.server_state.connections):
            cast("_Protocol", connection).transport.abort()
        # The transports tell their protocols in the next round of the loop.
        await asyncio.sleep(0)


async def serve_listener(app: Gateway, sock: socket.socket) -> RunningServer:
    """Serve a gateway on a listening socket, which then belongs to the server.

    Several servers may run at once. The process's signal handlers are not touched.
    """
    sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=_LARGEST_HEADERS,
    )
    config.load()
    server = _Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[sock])
    return RunningServer(server, sock, app)
