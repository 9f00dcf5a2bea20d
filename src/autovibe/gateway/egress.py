"""A machine's way into the network: HTTPS to the hosts that its project allows (decision C14).

Programs in the machine ask the machine's own listener by HTTP CONNECT, with its virtual key. Names
are resolved here, and the very address that was checked is connected to.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from autovibe.domains.metering.egress import Connection, EgressObserver
from autovibe.gateway.gauge import NetworkGauge
from autovibe.gateway.tunnel import ESTABLISHED, RefusedError, Target, Tunnel, TunnelLimits
from autovibe.kernel.clock import Clock
from autovibe.kernel.egress import Address, HostRule, Network, clean_host, may_reach

_RESOLVING_THREADS: Final = 4
_ITSELF: Final = frozenset({"127.0.0.1", "::1", "localhost"})

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True)
class EgressPolicy:
    """What the machines of one project may reach.

    `private` are networks that are not public and may be reached all the same. `project` is named
    in refusals.
    """

    rules: Sequence[HostRule] = ()
    private: Sequence[Network] = ()
    project: str = ""


class ThreadedResolver:
    """Resolves names as this host does, in threads of its own: slow names hold up nobody else."""

    def __init__(self) -> None:
        """Start threads when they are needed."""
        self._threads = ThreadPoolExecutor(_RESOLVING_THREADS, thread_name_prefix="egress-names")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host, the preferred one first.

        Raises:
            OSError: it has none.
        """
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return [str(place[0]) for *_, place in found]


@dataclass
class Egress:
    """The proxy of one machine; `close()` ends its tunnels.

    `accepts` knows the machine's key. The gauge counts all that passes the machine's listener, on
    `own_port`, which `serve_itself` serves to a connection that is to it.
    """

    policy: EgressPolicy
    accepts: Callable[[str | None], bool]
    observer: EgressObserver
    clock: Clock
    resolver: Resolver
    limits: TunnelLimits = field(default_factory=TunnelLimits)
    gauge: NetworkGauge = field(default_factory=NetworkGauge)
    serve_itself: Callable[[asyncio.Transport, bytes], None] | None = None
    own_port: int = 0
    tunnels: dict[Tunnel, asyncio.Task[None]] = field(
        default_factory=dict[Tunnel, "asyncio.Task[None]"]
    )
    _closed: bool = False

    def __post_init__(self) -> None:
        """Let the gauge hold up what passes."""
        self.gauge.on_change(self._gauge_changed)

    def begin(self, transport: asyncio.Transport) -> Tunnel:
        """Serve a connection whose first bytes are those of a CONNECT request.

        Args:
            transport: the machine's end; the caller passes its bytes to the tunnel's `client`.
        """
        tunnel = Tunnel(self)
        tunnel.client.take(transport)
        task = asyncio.create_task(tunnel.run(), name="egress-tunnel")
        self.tunnels[tunnel] = task
        if self.gauge.full:
            tunnel.upstream.hold("budget")
        if self._closed:
            tunnel.abort()
        return tunnel

    async def close(self) -> None:
        """Cut every tunnel, and return when each has been told of."""
        self._closed = True
        tasks = list(self.tunnels.values())
        for tunnel in list(self.tunnels):
            tunnel.abort()
        await asyncio.gather(*tasks, return_exceptions=True)

    def takes_itself(self, target: Target, transport: asyncio.Transport, early: bytes) -> bool:
        """Serve a connection to the machine's own listener (see `tunnel.Desk`)."""
        host = clean_host(target.host)
        if self.serve_itself is None or target.port != self.own_port or host not in _ITSELF:
            return False
        transport.write(ESTABLISHED)
        self.serve_itself(transport, early)
        return True

    def admit(self, target: Target) -> str:
        """Return the host of a request in its one form (see `tunnel.Desk`).

        Raises:
            RefusedError: key, host, port or budget do not allow it.
        """
        if not self.accepts(target.key):
            raise RefusedError(
                407, "WRONG_KEY", "This listener takes only the key of its own machine."
            )
        host = clean_host(target.host)
        if host is None:
            raise RefusedError(400, "MALFORMED", "This is neither a host name nor an address.")
        if not any(rule.allows(host, target.port) for rule in self.policy.rules):
            rule = HostRule(host, target.port)
            raise RefusedError(
                403,
                "HOST_NOT_ALLOWED",
                f"Machines of project {self.policy.project} may not reach {rule}; its owner can "
                f"allow it with `autovibe project egress {self.policy.project} --allow {rule}`.",
            )
        if self.gauge.full:
            raise RefusedError(
                403, "BUDGET_EXHAUSTED", "The network budget of this machine is used up."
            )
        if len(self.tunnels) > self.limits.tunnels:
            raise RefusedError(
                503,
                "TOO_MANY",
                f"{self.limits.tunnels} connections are open, the most for one machine; close one.",
            )
        return host

    async def addresses(self, host: str, port: int) -> Sequence[Address]:
        """Return the addresses of a host, all of them checked (see `tunnel.Desk`).

        Raises:
            RefusedError: there are none, or one may not be reached.
        """
        try:
            async with asyncio.timeout(self.limits.resolve_s):
                found = await self.resolver(host, port)
        except (OSError, TimeoutError, UnicodeError):
            found = ()
        addresses = list(dict.fromkeys(ip_address(text) for text in found))
        if not addresses:
            message = f"The name {host} leads to no address; check its spelling."
            raise RefusedError(502, "NO_ADDRESS", message, "failed")
        for address in addresses:
            if not may_reach(address, self.policy.private):
                raise RefusedError(
                    403,
                    "PRIVATE_ADDRESS",
                    f"{host} leads to {address}, which is not public; the operator of autovibe can "
                    "allow it under [egress] private in config.toml.",
                )
        return addresses

    def ended(self, tunnel: Tunnel, connection: Connection | None) -> None:
        """Forget a tunnel and tell of its connection (see `tunnel.Desk`)."""
        self.tunnels.pop(tunnel, None)
        if connection is not None:
            self.observer.connected(connection)

    def _gauge_changed(self) -> None:
        for tunnel in self.tunnels:
            if self.gauge.full:
                tunnel.hold("budget")
            else:
                tunnel.release("budget")
