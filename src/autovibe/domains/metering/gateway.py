"""What the runtime asks of the metering gateway: a Protocol that `app` joins (decision A2)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from autovibe.domains.machines.asking import Asking
from autovibe.domains.metering.egress import EgressObserver
from autovibe.domains.metering.observer import CallObserver
from autovibe.v1 import agent_api_pb2


@dataclass(frozen=True)
class CallingMachine:
    """Whose calls arrive on one listener; its key is valid there and nowhere else (C7)."""

    project_id: str
    task_id: str
    machine_id: str
    execution_id: str
    work_order_id: str
    lease_generation: int
    instance_id: str
    virtual_key: str = field(repr=False)


TellEvent = Callable[[agent_api_pb2.AgentApiEvent], None]
"""Takes what an agent tells of itself under /agent/v1."""


@dataclass(frozen=True)
class ParkedKey:
    """A provider's key on which calls wait for its quota, or go out one by one after that.

    Times are in seconds: until the quota resets, and for how long the oldest call waits. `waiting`
    counts calls by project.
    """

    upstream: str
    opens_in_s: float
    oldest_s: float
    waiting: Mapping[str, int]


class OpenGateway(Protocol):
    """A gateway that serves one machine's listener."""

    @property
    def network_bytes(self) -> int:
        """Bytes that passed the listener so far, in both directions."""
        ...

    @property
    def network_cap_reached(self) -> asyncio.Event:
        """Set while tunnels into the network stand still because the bytes have reached the cap."""
        ...

    def cap_network(self, size_bytes: int | None) -> None:
        """Let tunnels pass until so many bytes have passed the listener in all; `None`: no end."""
        ...

    async def close(self) -> None:
        """Take no more calls; settle those under way, within a bound, and return."""
        ...


class Gateways(Protocol):
    """Opens a gateway on a machine's listener."""

    async def __call__(
        self,
        machine: CallingMachine,
        listener: socket.socket,
        observer: CallObserver,
        egress: EgressObserver,
        tell: TellEvent | None = None,
        *,
        asking: Asking | None = None,
    ) -> OpenGateway:
        """Serve the calls of one machine, and its way into the network, until it is closed.

        What its agent tells of itself goes to `tell`.
        """
        ...
