"""A machine's proxy to test: a real listener, real names by hand, a recording observer."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from autovibe.domains.metering.egress import Connection
from autovibe.gateway import Gateway, RunningServer, serve_listener
from autovibe.gateway.egress import Egress, EgressPolicy
from autovibe.gateway.tunnel import TunnelLimits
from autovibe.kernel.clock import SystemClock
from autovibe.kernel.egress import parse_networks, parse_rules

KEY = "virtual-key-of-this-machine"


class NoGateway:
    """Answers every request with its own path."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        del receive
        body = f"gateway {scope['method']} {scope['path']}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def close(self, grace_s: float = 10) -> None:
        del grace_s


@dataclass
class Connections:
    """Remembers what it is told."""

    told: list[Connection] = field(default_factory=list)
    heard: asyncio.Condition = field(default_factory=asyncio.Condition)

    def connected(self, connection: Connection) -> None:
        self.told.append(connection)

    async def first(self, number: int = 1) -> list[Connection]:
        """Return what was told once there are so many."""
        async with asyncio.timeout(20):
            while len(self.told) < number:  # noqa: ASYNC110 - told from within a callback
                await asyncio.sleep(0.005)
        return self.told


@dataclass
class Names:
    """Names that lead where a test wants; each look-up is remembered."""

    addresses: Mapping[str, Sequence[str]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        del port
        self.asked.append(host)
        if host not in self.addresses:
            raise socket.gaierror(-2, "Name or service not known")
        return self.addresses[host]


@dataclass
class EgressBench:
    """One machine's listener with a proxy."""

    server: RunningServer
    port: int
    egress: Egress
    observer: Connections
    names: Names

    @property
    def proxy(self) -> str:
        return f"http://machine:{KEY}@127.0.0.1:{self.port}"

    async def connect(
        self, authority: str, *, key: str | None = KEY, then: bytes = b""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str]:
        """Ask for a tunnel; return it with the head of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n"
        if key is not None:
            credential = base64.b64encode(f"machine:{key}".encode()).decode()
            head += f"Proxy-Authorization: Basic {credential}\r\n"
        writer.write(head.encode() + b"\r\n" + then)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        return reader, writer, answer.decode()

    async def refused(self, authority: str, **options: Any) -> tuple[int, str, str]:
        """Ask for what must be refused; return status, the first line, and the body."""
        reader, writer, head = await self.connect(authority, **options)
        body = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        return int(head.split(" ", 2)[1]), head.splitlines()[0], body.decode()


@asynccontextmanager
async def open_egress(
    allow: Sequence[str],
    names: Mapping[str, Sequence[str]],
    *,
    private: Sequence[str] = ("127.0.0.1",),
    limits: TunnelLimits | None = None,
    listener: socket.socket | None = None,
) -> AsyncGenerator[EgressBench]:
    """Serve the proxy of a machine; loopback is allowed unless a test says otherwise."""
    listener = listener or socket.create_server(("127.0.0.1", 0))
    observer, resolver = Connections(), Names(names)
    policy = EgressPolicy(parse_rules(allow), parse_networks(private, "private"), "website")
    egress = Egress(
        policy,
        lambda key: key == KEY,
        observer,
        SystemClock(),
        resolver,
        limits or TunnelLimits(),
    )
    port = listener.getsockname()[1]
    server = await serve_listener(cast("Gateway", NoGateway()), listener, egress)
    try:
        yield EgressBench(server, port, egress, observer, resolver)
    finally:
        await server.close(grace_s=1)
