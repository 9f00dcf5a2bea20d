"""What all calls of one machine share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from opentelemetry.trace import Span

from autovibe.domains.metering import CallObserver, PriceBook
from autovibe.gateway.binding import MachineBinding, Upstream
from autovibe.gateway.bodies import BodyKeeper
from autovibe.gateway.bounds import Conversations
from autovibe.gateway.brake import Visit
from autovibe.gateway.dialect import Dialect
from autovibe.gateway.ledger import Ledger
from autovibe.gateway.telemetry import GatewayTelemetry
from autovibe.kernel.clock import Clock


@dataclass(frozen=True)
class Limits:
    """How long things may take, in seconds.

    A call waits for held money, for the quota of the provider's key, an answer for its checkpoint;
    the answer to a client that is gone is read on for so long and for so many bytes. Agent programs
    give up on an answer after 300 seconds at the earliest.
    """

    held_wait_s: float = 120
    parked_wait_s: float = 240
    arrived_wait_s: float = 2
    drain_s: float = 60
    drain_bytes: int = 64 * 1024 * 1024


@dataclass
class Desk:
    """What all calls of one machine share."""

    binding: MachineBinding
    ledger: Ledger
    upstreams: Mapping[str, Upstream]
    observer: CallObserver
    clock: Clock
    session: aiohttp.ClientSession
    prices: PriceBook
    limits: Limits
    telemetry: GatewayTelemetry
    machine_span: Span
    keeper: BodyKeeper | None = None
    conversations: Conversations = field(default_factory=Conversations)
    background: set[asyncio.Task[None]] = field(default_factory=set)

    def upstream(self, dialect: Dialect) -> Upstream:
        """Return where the calls of a dialect go."""
        return self.upstreams.get(dialect.name) or Upstream("")

    def visit(self, dialect: Dialect) -> Visit:
        """Return the way of one call through the lane of its key."""
        upstream = self.upstream(dialect)
        lane = self.telemetry.brake.lane(upstream, upstream.name or dialect.name)
        binding = self.binding
        wait_s = self.limits.parked_wait_s
        return Visit(lane, binding.project_id, binding.greediness, wait_s)

    def later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something that nobody waits for, but the end of the gateway."""
        task = asyncio.create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)
        return task


class CutError(Exception):
    """The provider's answer broke off; so must ours, without an end."""
