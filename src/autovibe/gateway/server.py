"""Serving an application on a listening socket of a machine, inside the running event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import Callable, Generator
from functools import cache
from typing import Any, Final, Protocol, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from autovibe.gateway.egress import Egress
from autovibe.gateway.exchange import Receive, Scope, Send
from autovibe.gateway.gauge import NetworkGauge
from autovibe.gateway.tunnel import CONNECT

# Answers that broke off are reported where that is known; uvicorn would print each as an error.
_QUIET: Final = logging.getLogger("autovibe.gateway.http")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False
_LARGEST_HEADERS: Final = 64 * 1024
_NO_PROXY: Final = "Plain HTTP cannot leave the machine; ask for https on a host that is allowed."


class Served(Protocol):
    """What a listener serves: the gateway, or what stands around it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        ...

    async def close(self, grace_s: float = 10) -> None:
        """Let calls under way end, then end them."""
        ...


class _State(ServerState):
    """What the connections of one server share: what counts their bytes, and the proxy, if any."""

    def __init__(self, egress: Egress | None) -> None:
        super().__init__()
        self.egress = egress
        self.gauge = NetworkGauge() if egress is None else egress.gauge


class _CountedTransport:
    """A transport that counts what is written; all else is the transport's own.

    What is written in one round of the loop goes out in one piece at its end: headers, events and
    the end of an answer mostly come together, and sending is a third of what a call costs.
    """

    def __init__(self, transport: asyncio.Transport, state: _State) -> None:
        self._transport = transport
        self._state = state
        self._written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self._state.gauge.add(len(data))
        if not self._written:
            asyncio.get_running_loop().call_soon(self._flush)
        self._written.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def write_eof(self) -> None:
        self._flush()
        self._transport.write_eof()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._flush()
        self._transport.set_protocol(protocol)

    def give_up(self) -> asyncio.Transport:
        """Return the transport itself, to be counted by somebody else from now on."""
        self._flush()
        return self._transport

    def _flush(self) -> None:
        if self._written:
            data = b"".join(self._written)
            self._written.clear()
            if not self._transport.is_closing():
                self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Protocol(H11Protocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _QUIET
        self.access_log = False
        self._first: bytes | None = b""

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
        """Count what arrives: headers and requests that are refused, too.

        A connection whose first request is CONNECT is a tunnel's from then on.
        """
        state = cast("_State", self.server_state)
        if self._first is not None:
            self._first += data
            if CONNECT.startswith(self._first[: len(CONNECT)]) and state.egress is not None:
                if len(self._first) >= len(CONNECT):
                    self._become_tunnel(state.egress)
                return
            data, self._first = self._first, None
        state.gauge.add(len(data))
        super().data_received(data)

    def go_on(self, early: bytes) -> None:
        """Serve requests that came through a tunnel; its first bytes are counted already."""
        self._first = None
        if early:
            super().data_received(early)

    def _become_tunnel(self, egress: Egress) -> None:
        first, self._first = self._first or b"", None
        self.connections.discard(self)
        tunnel = egress.begin(self.transport)
        self.transport.set_protocol(tunnel.client)
        tunnel.client.data_received(first)


def _server_of_itself(
    server: _Server, config: uvicorn.Config
) -> Callable[[asyncio.Transport, bytes], None]:
    """Return what serves the application on a connection that came through the proxy."""

    def serve(transport: asyncio.Transport, early: bytes) -> None:
        raw = cast("_CountedTransport", transport).give_up()
        protocol = _Protocol(config=config, server_state=server.server_state, app_state={})
        protocol.connection_made(raw)
        raw.set_protocol(protocol)
        protocol.go_on(early)
        raw.resume_reading()

    return serve


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, egress: Egress | None) -> None:
        super().__init__(config)
        self.server_state = self.counted_state = _State(egress)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the program: there are many servers in one process."""
        yield


class RunningServer:
    """A server on one socket; `close()` ends it and the application."""

    def __init__(self, server: _Server, sock: socket.socket, app: Served) -> None:
        """Wrap a server that has started."""
        self._server = server
        self._socket = sock
        self._app = app
        self._closed = False

    @property
    def network_bytes(self) -> int:
        """Bytes that the machine has sent and received so far, those of HTTP itself included."""
        return self._server.counted_state.gauge.bytes

    @property
    def network_cap_reached(self) -> asyncio.Event:
        """Set while the bytes have reached their cap, so that tunnels stand still."""
        return self._server.counted_state.gauge.reached

    def cap_network(self, size_bytes: int | None) -> None:
        """Let tunnels pass until so many bytes have passed the listener in all; `None`: no end."""
        self._server.counted_state.gauge.cap(size_bytes)

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
        egress = self._server.counted_state.egress
        if egress is not None:
            await egress.close()
        await self._app.close(grace_s)
        for connection in list(self._server.server_state.connections):
            cast("_Protocol", connection).transport.abort()
        # The transports tell their protocols in the next round of the loop.
        await asyncio.sleep(0)


class _Front:
    """Takes what is meant for a proxy out of what is meant for the gateway."""

    def __init__(self, app: Served, port: int) -> None:
        self._app = app
        self._own = [f"http://{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; a whole URL in it means that we are taken for a proxy."""
        path: str = scope.get("path", "/")
        if not path.startswith("/"):
            own = next((url for url in self._own if path.startswith(f"{url}/")), None)
            if own is None:
                await _refuse(scope, send)
                return
            path = path.removeprefix(own)
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)


async def _refuse(scope: Scope, send: Send) -> None:
    body = b"" if scope["method"] == "HEAD" else f"{_NO_PROXY}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(_NO_PROXY) + 1).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


@cache
def _spare_what_is_there() -> None:
    """Keep the garbage collector from looking at all that was loaded, once in a process.

    It holds up every stream for as long as it takes to look at 200,000 objects of modules and
    tables, a quarter of a second, and they do not go away.
    """
    gc.collect()
    gc.freeze()


async def serve_listener(
    app: Served, sock: socket.socket, egress: Egress | None = None
) -> RunningServer:
    """Serve a gateway on a listening socket, which then belongs to the server.

    Several servers may run at once. The process's signal handlers are not touched.

    Args:
        app: the gateway.
        sock: listens.
        egress: the proxy to which CONNECT requests go; they are refused when there is none.
    """
    _spare_what_is_there()
    sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
    config = uvicorn.Config(
        _Front(app, sock.getsockname()[1]),
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
    server = _Server(config, egress)
    if egress is not None:
        egress.own_port = sock.getsockname()[1]
        egress.serve_itself = _server_of_itself(server, config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[sock])
    return RunningServer(server, sock, app)
