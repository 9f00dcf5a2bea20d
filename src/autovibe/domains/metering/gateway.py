"""What the runtime asks of the metering gateway: a Protocol that `app` joins (decision A2)."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Protocol

from autovibe.domains.metering.observer import CallObserver


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


class OpenGateway(Protocol):
    """A gateway that serves one machine's listener."""

    @property
    def network_bytes(self) -> int:
        """Bytes that passed the listener so far, in both directions."""
        ...

    async def close(self) -> None:
        """Take no more calls; settle those under way, within a bound, and return."""
        ...


class Gateways(Protocol):
    """Opens a gateway on a machine's listener."""

    async def __call__(
        self, machine: CallingMachine, listener: socket.socket, observer: CallObserver
    ) -> OpenGateway:
        """Serve the calls of one machine until it is closed."""
        ...
