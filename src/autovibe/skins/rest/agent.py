"""The operations for machines, under /agent/v1 of a machine's own listener (decisions A6, C7)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from importlib.metadata import version
from typing import Final

from fastapi import FastAPI, Request
from google.protobuf.message import Message
from starlette.types import ASGIApp, Receive, Scope, Send

from autovibe.kernel.clock import Clock
from autovibe.kernel.context import Actor
from autovibe.kernel.errors import UnauthenticatedError
from autovibe.kernel.permissions import OF_MACHINES
from autovibe.sdk.contract import Method, methods
from autovibe.skins.rest.app import add_error_handlers
from autovibe.skins.rest.conditions import idempotency_key_of
from autovibe.skins.rest.guard import Guard, local_hosts
from autovibe.skins.rest.limits import RateLimit
from autovibe.skins.rest.routes import add_routes
from autovibe.v1 import options_pb2

PREFIX: Final = "/agent/"
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
PER_MINUTE: Final = 600
"""Requests of one machine: an agent that asks in a loop holds nobody else up."""
_CALL: Final = "autovibe.agent_call"

AgentCall = Callable[[Method, Message, str], Awaitable[Message]]
"""Runs an operation in the machine's name, with an idempotency key or ""."""


def agent_door(
    machine_id: str,
    accepts: Callable[[str], bool],
    call: AgentCall,
    *,
    port: int,
    clock: Clock,
    per_minute: int = PER_MINUTE,
) -> ASGIApp:
    """Return what serves /agent/v1 to one machine.

    Args:
        machine_id: the machine.
        accepts: whether a token is that machine's; no other is taken here.
        call: runs its calls.
        port: of the listener as seen inside the machine.
        clock: for the rate limit.
        per_minute: how many requests it may send.
    """
    actor = Actor("machine", machine_id, frozenset({OF_MACHINES}))

    async def authenticate(token: str) -> Actor:
        if not accepts(token):
            raise UnauthenticatedError("This listener takes only the token of its own machine.")
        return actor

    guard = Guard(
        _application(),
        authenticate=authenticate,
        allowed_hosts=local_hosts(port),
        rate_limit=RateLimit(per_minute, clock),
        max_body_bytes=MAX_BODY_BYTES,
    )

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        await guard({**scope, _CALL: call}, receive, send)

    return door


@cache
def _application() -> FastAPI:
    """Return the routes, the same for every machine: who calls is in the scope of a request."""
    app = FastAPI(
        title="autovibe for agents",
        version=version("autovibe"),
        description="What a machine may ask of autovibe, with its own token.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/agent/v1/openapi.json",
        redirect_slashes=False,
    )
    add_error_handlers(app)

    async def perform(method: Method, message: Message, request: Request) -> Message:
        call: AgentCall = request.scope[_CALL]
        return await call(method, message, idempotency_key_of(request))

    add_routes(
        app,
        [
            method
            for method in methods().values()
            if method.operation.audience == options_pb2.AUDIENCE_MACHINE
        ],
        perform,
    )
    return app
