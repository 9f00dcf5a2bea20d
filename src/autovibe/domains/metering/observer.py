"""What the gateway tells about each model call, and to whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from autovibe.domains.metering.turns import Turn
from autovibe.v1 import metering_pb2


@dataclass(frozen=True)
class ToolError:
    """A tool that failed, and the beginning of what it wrote.

    `tool_use_id` is "" where the API tells none.
    """

    tool_use_id: str
    tool: str
    text: str


@dataclass(frozen=True)
class ArrivedCall:
    """One model call of a machine.

    `tool_use_ids` are those of the tool results in the last message; `follows_tool_result` says
    whether there are any, `tool_errors` which of them are errors. `hold_cad` is a plain decimal, ""
    before anything is held. `clamped_max_tokens` is the lowered limit, `None` when nothing was
    lowered.
    """

    request_id: str
    model: str
    tool_use_ids: tuple[str, ...]
    follows_tool_result: bool
    max_tokens: int
    body_size_bytes: int
    stream: bool
    hold_cad: str = ""
    clamped_max_tokens: int | None = None
    tool_errors: tuple[ToolError, ...] = ()
    turn: Callable[[], Turn] = Turn
    """Reads what the request tells of the turn before it: only who wants to know pays for that."""


class CallObserver(Protocol):
    """Is told of the calls of one machine. What it raises is logged and changes nothing."""

    async def arrived(self, call: ArrivedCall) -> None:
        """Do what must happen before the agent hears the answer.

        The call has been forwarded; no byte of the answer is passed on before this returns or two
        seconds have passed.
        """
        ...

    async def settled(self, call: ArrivedCall, settlement: metering_pb2.Settlement) -> None:
        """Take note of what a call has cost; the settlement is durable."""
        ...

    async def parked(self, call: ArrivedCall, upstream: str, wait_s: float) -> None:
        """Take note of a call that waits for the quota of a provider's key.

        Args:
            call: nothing is held for it meanwhile.
            upstream: whose key.
            wait_s: seconds until the first call may go out.
        """
        ...

    async def refused(self, call: ArrivedCall, verdict: metering_pb2.ReserveVerdict) -> None:
        """Take note of a call that was not forwarded."""
        ...
