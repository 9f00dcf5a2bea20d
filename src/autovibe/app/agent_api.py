"""A machine's listener: `/llm` is the gateway's, `/agent/v1` and `/agent/mcp` are ours."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Final

from google.protobuf.message import Message
from starlette.types import ASGIApp

from autovibe.domains.machines.asking import Asking
from autovibe.domains.metering.gateway import CallingMachine, TellEvent
from autovibe.gateway import Gateway
from autovibe.gateway.exchange import Receive, Scope, Send
from autovibe.kernel.clock import Clock
from autovibe.sdk.contract import Method
from autovibe.skins.mcp import PATH as MCP_PATH
from autovibe.skins.mcp import machine_door
from autovibe.skins.rest.agent import PREFIX, AgentCall, agent_door
from autovibe.v1 import agent_api_pb2
from autovibe.v1 import services as protocols

_EVENTS: Final = "autovibe.v1.AgentService/SendEvents"


def relayed(
    agent: protocols.AgentService, machine: CallingMachine, tell: TellEvent | None
) -> AgentCall:
    """Return what runs the calls of a machine in the control plane, wherever that is.

    Events that the control plane has accepted go into the log here: it has one writer (E4).
    """

    async def call(method: Method, request: Message, idempotency_key: str) -> Message:
        answer = await agent.relay_agent_call(
            agent_api_pb2.RelayAgentCallRequest(
                execution_id=machine.execution_id,
                machine_id=machine.machine_id,
                lease_generation=machine.lease_generation,
                method=method.name,
                request=request.SerializeToString(),
                idempotency_key=idempotency_key,
            )
        )
        if method.name == _EVENTS and tell is not None:
            assert isinstance(request, agent_api_pb2.SendEventsRequest)
            for event in request.events:
                tell(event)
        response = method.response_type()
        response.ParseFromString(answer.response)
        return response

    return call


class MachineListener:
    """Serves all of it on one socket; closing it closes the gateway."""

    def __init__(
        self,
        gateway: Gateway,
        agent: protocols.AgentService,
        machine: CallingMachine,
        tell: TellEvent | None,
        *,
        asking: Asking | None = None,
        port: int,
        clock: Clock,
    ) -> None:
        """Serve one machine, whose key opens all."""
        self._gateway = gateway
        key = machine.virtual_key.encode()

        def accepts(token: str) -> bool:
            return bool(key) and hmac.compare_digest(token.encode(), key)

        # The first request makes the routes; most machines never ask.
        self._open: Callable[[], ASGIApp] = lambda: agent_door(
            machine.machine_id,
            accepts,
            relayed(agent, machine, tell),
            port=port,
            clock=clock,
        )
        self._door: ASGIApp | None = None
        self._mcp = None if asking is None else machine_door(asking, accepts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on by its path."""
        if self._mcp is not None and scope["type"] == "http" and scope["path"] == MCP_PATH:
            await self._mcp(scope, receive, send)
            return
        if scope["type"] == "http" and str(scope["path"]).startswith(PREFIX):
            if self._door is None:
                self._door = self._open()
            await self._door(scope, receive, send)
            return
        await self._gateway(scope, receive, send)

    async def close(self, grace_s: float = 10) -> None:
        """Let calls of models under way end and settle; cut the rest."""
        await self._gateway.close(grace_s)
