"""One tunnel from a program in a machine to a host: HTTP CONNECT (RFC 9110 9.3.6), then its bytes.

Nothing is read from one end that the other does not take: what is kept is bounded. What passes must
be TLS to the very host that was asked for, so that no other server behind the same address and no
other protocol can be reached.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, cast

from autovibe.domains.metering.egress import Connection, Verdict
from autovibe.gateway.client_hello import NotTlsError, server_name
from autovibe.gateway.gauge import NetworkGauge
from autovibe.kernel.clock import Clock
from autovibe.kernel.egress import Address

CONNECT: Final = b"CONNECT "
_END_OF_HEAD: Final = b"\r\n\r\n"
ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
_REASON_CHARS: Final = 300
_LINGER_S: Final = 2.0
_FLUSH_S: Final = 30.0
_PHRASES: Final = {400: "Bad Request", 407: "Proxy Authentication Required"}


@dataclass(frozen=True)
class TunnelLimits:
    """How long things may take, in seconds, and how much of them may be.

    `idle_s` is without a byte in either direction, `tunnel_s` the whole life of a tunnel.
    """

    head_s: float = 10
    resolve_s: float = 10
    connect_s: float = 10
    idle_s: float = 120
    tunnel_s: float = 3_600
    tunnels: int = 64
    head_bytes: int = 16 * 1024
    buffer_bytes: int = 64 * 1024


class RefusedError(Exception):
    """A connection that is not made, or is cut; `status` is that of the answer."""

    def __init__(self, status: int, reason: str, message: str, verdict: Verdict = "denied") -> None:
        """Keep what the program and the record are told."""
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.verdict: Verdict = verdict


@dataclass(frozen=True)
class Target:
    """Where a program wants to go, and the key that it shows."""

    host: str
    port: int
    key: str | None


class Desk(Protocol):
    """What a tunnel asks of its machine's proxy."""

    limits: TunnelLimits
    clock: Clock
    gauge: NetworkGauge

    def takes_itself(self, target: Target, transport: asyncio.Transport, early: bytes) -> bool:
        """Serve a connection to the machine's own listener; returns whether it is one.

        The connection is the listener's from then on. Some programs ask their proxy for every
        address, the gateway's among them.
        """
        ...

    def admit(self, target: Target) -> str:
        """Return the host in its one form.

        Raises:
            RefusedError: it may not be reached.
        """
        ...

    async def addresses(self, host: str, port: int) -> Sequence[Address]:
        """Return the addresses of a host, all of them checked.

        Raises:
            RefusedError: there are none, or one may not be reached.
        """
        ...

    def ended(self, tunnel: Tunnel, connection: Connection | None) -> None:
        """Forget a tunnel and tell of its connection, if it was asked for with the right key."""
        ...


def parse_head(head: bytes) -> Target:
    """Return what a CONNECT request asks for; the host as it was written.

    Raises:
        RefusedError: it is malformed.
    """
    first, *fields = head.removesuffix(_END_OF_HEAD).decode("latin-1").split("\r\n")
    method, _, rest = first.partition(" ")
    authority, _, version = rest.partition(" ")
    host, colon, port = authority.rpartition(":")
    fits = method == "CONNECT" and version in {"HTTP/1.1", "HTTP/1.0"} and colon and host
    if not fits or not port.isascii() or not port.isdecimal() or len(port) > 5:
        raise RefusedError(
            400, "MALFORMED", "This is no CONNECT request with a host and a port; mend it."
        )
    key = None
    for line in fields:
        name, _, value = line.partition(":")
        if name.strip().lower() == "proxy-authorization":
            key = _key(value.strip())
    return Target(host, int(port), key)


def _key(credential: str) -> str | None:
    scheme, _, value = credential.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(value.strip(), validate=True).decode("latin-1").partition(":")[2]
    except (binascii.Error, ValueError):
        return None


def refusal(error: RefusedError) -> bytes:
    """Return the answer to a request that is refused.

    Many programs show the first line alone, so the sentence is in it, too.
    """
    said = error.message.encode("ascii", "replace").decode().replace("\r", " ").replace("\n", " ")
    phrase = f"{_PHRASES[error.status]}: " if error.status in _PHRASES else ""
    body = f"{error.message}\n".encode()
    challenge = 'proxy-authenticate: Basic realm="autovibe"\r\n' if error.status == 407 else ""
    head = (
        f"HTTP/1.1 {error.status} {phrase}{said[:_REASON_CHARS]}\r\n"
        f"content-type: text/plain; charset=utf-8\r\ncontent-length: {len(body)}\r\n"
        f"x-autovibe-reason: {error.reason}\r\n{challenge}connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


class End(asyncio.Protocol):
    """One end of a tunnel. It is read only while nobody holds it."""

    def __init__(self, tunnel: Tunnel) -> None:
        """Belong to a tunnel."""
        self._tunnel = tunnel
        self._held: set[str] = set()
        self.transport: asyncio.Transport | None = None
        self.bytes = 0
        self.at_eof = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self.take(cast("asyncio.Transport", transport))

    def take(self, transport: asyncio.Transport) -> None:
        """Take a connection that is there already."""
        self.transport = transport
        transport.set_write_buffer_limits(high=self._tunnel.limits.buffer_bytes)
        if self._held:
            transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Pass on what has arrived."""
        self.bytes += len(data)
        self._tunnel.passed(self, data)

    def eof_received(self) -> bool:
        """Pass on that nothing more comes; the other direction stays open."""
        self.at_eof = True
        return self._tunnel.half_closed(self)

    def pause_writing(self) -> None:
        """Read no more from the other end: this one does not keep up."""
        self._tunnel.other(self).hold("slow")

    def resume_writing(self) -> None:
        """Read from the other end again."""
        self._tunnel.other(self).release("slow")

    def connection_lost(self, exc: Exception | None) -> None:
        """End the tunnel."""
        del exc
        self._tunnel.lost()

    def hold(self, why: str) -> None:
        """Stop to read, for one more reason."""
        if not self._held and self.transport is not None:
            self.transport.pause_reading()
        self._held.add(why)

    def release(self, why: str) -> None:
        """Read on, unless there is another reason not to."""
        self._held.discard(why)
        if not self._held and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def end(self) -> None:
        """Send what is written already, then close."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()


class Tunnel:
    """A tunnel, from the first bytes of the request to its end; `run()` is its whole life."""

    def __init__(self, desk: Desk) -> None:
        """Wait for a request."""
        self._desk = desk
        self.limits = desk.limits
        self.client = End(self)
        self.upstream = End(self)
        self._begun_s = self._last_s = desk.clock.monotonic()
        self._early = b""
        self._head = asyncio.Event()
        self._over = asyncio.Event()
        self._connected = False
        self._named = False
        self._given_away = False
        self._failure: RefusedError | None = None
        self._connection: Connection | None = None
        self.upstream.hold("hello")

    def other(self, end: End) -> End:
        """Return the other end."""
        return self.upstream if end is self.client else self.client

    def passed(self, source: End, data: bytes) -> None:
        """Pass bytes on, or keep the few that come before there is anybody to pass them to."""
        self._last_s = self._desk.clock.monotonic()
        if source is self.client:
            self._desk.gauge.add(len(data))
            if not self._named:
                self._take_early(data)
                return
        target = self.other(source).transport
        if target is not None and not target.is_closing():
            target.write(data)

    def half_closed(self, source: End) -> bool:
        """Pass an end of data on; returns whether the connection stays open for the answer."""
        target = self.other(source)
        if not self._named or target.at_eof:
            self._over.set()
            self._head.set()
            return self._named
        if target.transport is not None and target.transport.can_write_eof():
            target.transport.write_eof()
        return True

    def lost(self) -> None:
        """Take note that one end is gone."""
        self._over.set()
        self._head.set()

    def hold(self, why: str) -> None:
        """Read from neither end."""
        self.client.hold(why)
        self.upstream.hold(why)

    def release(self, why: str) -> None:
        """Read from both ends again."""
        self.client.release(why)
        self.upstream.release(why)

    def abort(self) -> None:
        """Cut the tunnel at once: its machine ends."""
        self._fail(RefusedError(503, "MACHINE_ENDED", "The machine has ended.", "allowed"))
        self.client.abort()
        self.upstream.abort()

    async def run(self) -> None:
        """Serve the request and pass bytes until one end closes or a limit is reached."""
        try:
            await self._open()
            if not self._given_away:
                await self._stay()
        except RefusedError as error:
            await self._refuse(error)
        finally:
            if not self._given_away:
                self._close()
            self._desk.ended(self, self._told())

    def _close(self) -> None:
        loop = asyncio.get_running_loop()
        for end in (self.client, self.upstream):
            end.end()
            if end.transport is not None and not (self._connected and self._failure):
                # What is written already may still be taken, by a machine that stands still, too.
                loop.call_later(_FLUSH_S, end.abort)
            else:
                end.abort()

    async def _open(self) -> None:
        limits, desk = self.limits, self._desk
        if not await self._within(self._head, limits.head_s):
            raise RefusedError(408, "TOO_SLOW", "The request did not come in time.", "failed")
        if self._over.is_set():
            raise RefusedError(400, "GONE", "The program has left.", "failed")
        head, _, self._early = self._early.partition(_END_OF_HEAD)
        if not head or len(head) > limits.head_bytes:
            raise RefusedError(431, "MALFORMED", "The request is too long.")
        target = parse_head(head + _END_OF_HEAD)
        client = self.client.transport
        if client is not None and desk.takes_itself(target, client, self._early):
            self._given_away = True
            return
        self._connection = Connection(target.host[:255], target.port, "allowed")
        host = desk.admit(target)
        self._connection = replace(self._connection, host=host)
        addresses = await desk.addresses(host, target.port)
        address = await self._connect(host, addresses, target.port)
        self._connection = replace(self._connection, address=str(address))
        if self._over.is_set() or client is None or client.is_closing():
            raise RefusedError(400, "GONE", "The program has left.", "failed")
        self._connected = True
        client.write(ESTABLISHED)
        self._last_s = desk.clock.monotonic()
        self.client.release("head")
        early, self._early = self._early, b""
        if early:
            self._take_early(early)

    async def _connect(self, host: str, addresses: Sequence[Address], port: int) -> Address:
        """Connect to the first of the checked addresses that answers; no name is looked up here."""
        loop = asyncio.get_running_loop()
        told = "there is no address"
        for address in addresses:
            with contextlib.suppress(TimeoutError):
                try:
                    async with asyncio.timeout(self.limits.connect_s):
                        await loop.create_connection(lambda: self.upstream, str(address), port)
                except OSError as error:
                    told = error.strerror or "it did not answer"
                    continue
                return address
            told = "it did not answer in time"
        raise RefusedError(
            502,
            "UNREACHABLE",
            f"{host} cannot be connected to ({told}); try again later.",
            "failed",
        )

    async def _stay(self) -> None:
        """Return when an end has closed.

        Raises:
            RefusedError: the tunnel was cut, is idle, or too old.
        """
        clock, limits = self._desk.clock, self.limits
        while not self._over.is_set():
            now = clock.monotonic()
            idle_s = self._last_s + limits.idle_s - now
            left_s = self._begun_s + limits.tunnel_s - now
            if idle_s <= 0:
                raise RefusedError(
                    504, "IDLE", f"Nothing passed for {limits.idle_s:g} s.", "failed"
                )
            if left_s <= 0:
                message = f"A connection may last {limits.tunnel_s:g} s at most."
                raise RefusedError(504, "TOO_LONG", message, "failed")
            await self._within(self._over, min(idle_s, left_s))
        if self._failure is not None:
            raise self._failure

    async def _within(self, event: asyncio.Event, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
        return event.is_set()

    def _take_early(self, data: bytes) -> None:
        """Keep the request, or the first message of TLS, until it is complete."""
        if self._failure is not None:
            return
        self._early += data
        if not self._connected:
            if _END_OF_HEAD in self._early or len(self._early) > self.limits.head_bytes:
                self.client.hold("head")
                self._head.set()
            return
        try:
            name = server_name(self._early)
        except NotTlsError:
            self._fail(RefusedError(403, "NOT_TLS", "Only TLS may pass; use https."))
            return
        if name is None:
            return
        assert self._connection is not None
        expected = self._connection.host
        if name != expected and not (name == "" and _is_address(expected)):
            message = f"TLS asked for {name or 'no name'} on a connection to {expected}."
            self._fail(RefusedError(403, "OTHER_NAME", message))
            return
        self._named = True
        early, self._early = self._early, b""
        if self.upstream.transport is not None:
            self.upstream.transport.write(early)
        self.upstream.release("hello")

    def _fail(self, error: RefusedError) -> None:
        if self._failure is None:
            self._failure = error
        self._over.set()
        self._head.set()

    async def _refuse(self, error: RefusedError) -> None:
        """Answer a request that was not served; a tunnel that is cut can only be closed."""
        self._failure = error
        client = self.client.transport
        if self._connected or client is None or client.is_closing():
            return
        client.write(refusal(error))
        if client.can_write_eof():
            client.write_eof()
        # What else the program sends is thrown away: closing over it would take the answer away.
        self._connected = False
        self.client.release("head")
        await self._within(self._over, _LINGER_S)

    def _told(self) -> Connection | None:
        if self._connection is None or (self._failure and self._failure.status == 407):
            return None
        failure = self._failure
        return replace(
            self._connection,
            verdict="allowed" if failure is None else failure.verdict,
            reason="" if failure is None else failure.reason,
            message="" if failure is None else failure.message,
            sent_bytes=self.client.bytes,
            received_bytes=self.upstream.bytes,
            duration_s=self._desk.clock.monotonic() - self._begun_s,
        )


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdecimal()
