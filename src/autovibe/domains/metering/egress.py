"""What a machine's way into the network tells about each connection, and to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Verdict = Literal["allowed", "denied", "failed"]


@dataclass(frozen=True)
class Connection:
    """One connection that a machine asked for, once it has ended or was not made.

    `reason` is a permanent name and `message` a sentence, both "" when all went well. `address` is
    the one that was connected to. `sent_bytes` are those of the machine.
    """

    host: str
    port: int
    verdict: Verdict
    reason: str = ""
    message: str = ""
    address: str = ""
    sent_bytes: int = 0
    received_bytes: int = 0
    duration_s: float = 0.0


class EgressObserver(Protocol):
    """Is told of the connections of one machine."""

    def connected(self, connection: Connection) -> None:
        """Take note of a connection; must return at once."""
        ...
