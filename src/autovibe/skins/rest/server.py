"""Serving the REST skin."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable, Collection, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from autovibe.operations import Authenticate, Operations
from autovibe.skins.listening import bind, check_tls_files
from autovibe.skins.rest.app import build_app
from autovibe.skins.rest.guard import local_hosts
from autovibe.skins.rest.limits import RateLimit

_GRACE_S: Final = 5


@dataclass(frozen=True)
class RestServer:
    """A server that answers."""

    host: str
    port: int
    """The port itself, also where any free one was asked for."""
    scheme: str = "http"

    @property
    def url(self) -> str:
        """Where clients find it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@contextlib.asynccontextmanager
async def serve_rest(
    operations: Operations,
    authenticate: Authenticate,
    host: str,
    port: int,
    *,
    allowed_hosts: Collection[str] = (),
    allowed_origins: Collection[str] = (),
    rate_limit: RateLimit | None = None,
    tls: tuple[Path, Path] | None = None,
    metrics: Callable[[], bytes] | None = None,
) -> AsyncGenerator[RestServer]:
    """Serve the operations for people until the block ends; calls under way get five seconds.

    Args:
        operations: what runs the calls.
        authenticate: from a token to an actor.
        host: address to listen on.
        port: 0 takes any free one.
        allowed_hosts: Host headers that are answered beside the address itself and the loopback's.
        allowed_origins: sites whose pages may call; none by default.
        rate_limit: how often one token may call; as often as it likes by default.
        tls: files of the certificate and its key, PEM; without them nothing is encrypted.
        metrics: what `/metrics` answers with.

    Raises:
        TlsFilesError: certificate and key cannot be read, or do not belong together.
        PortTakenError: another program listens there.
        AddressUnusableError: the address cannot be listened on.
    """
    if tls is not None:
        check_tls_files(*tls)
    with contextlib.closing(bind(host, port)) as listener:
        scheme = "http" if tls is None else "https"
        server = RestServer(host, listener.getsockname()[1], scheme)
        own = server.url.partition("://")[2]
        app = build_app(
            operations,
            authenticate,
            allowed_hosts={own, *local_hosts(server.port), *allowed_hosts},
            allowed_origins=allowed_origins,
            rate_limit=rate_limit,
            metrics=metrics,
        )
        async with _served(app, listener, tls):
            try:
                yield server
            finally:
                operations.end_streams()


class _Server(uvicorn.Server):
    """A server that leaves signals to the program around it and says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@contextlib.asynccontextmanager
async def _served(
    app: ASGIApp, listener: socket.socket, tls: tuple[Path, Path] | None
) -> AsyncGenerator[None]:
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nobody in front of us is trusted to say who calls
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=_GRACE_S,
            ssl_certfile=tls[0] if tls else None,
            ssl_keyfile=tls[1] if tls else None,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="rest-server")
    started = asyncio.create_task(server.is_up.wait())
    try:
        await asyncio.wait({serving, started}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        yield
    finally:
        started.cancel()
        server.should_exit = True
        await serving
