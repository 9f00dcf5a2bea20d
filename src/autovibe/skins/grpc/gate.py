"""What every gRPC call must pass before anything else sees it (decision C11).

Health checks and reflection are calls too, and so is a method that does not exist.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from autovibe.kernel.context import Actor
from autovibe.kernel.errors import AutovibeError, UnauthenticatedError
from autovibe.kernel.ids import new_id
from autovibe.operations import NOBODY, Authenticate
from autovibe.skins.grpc.errors import abort, unexpected

if TYPE_CHECKING:
    MethodHandler = grpc.RpcMethodHandler[Any, Any]

ServicerContext = grpc.aio.ServicerContext[Any, Any]
_BEARER: Final = "bearer "
_ACTOR: Final[ContextVar[Actor]] = ContextVar("actor")
_RENEW: Final[ContextVar[Callable[[], Awaitable[Actor]]]] = ContextVar("renew")


def current_actor() -> Actor:
    """Return who makes the call that is being handled; a call that passed no gate has nobody."""
    return _ACTOR.get()


def asking_again() -> Callable[[], Awaitable[Actor]]:
    """Return what asks again who makes the call that is being handled."""
    return _RENEW.get()


class Gate(grpc.aio.ServerInterceptor):
    """Finds the actor of each call by its token and refuses the calls that have none."""

    def __init__(self, authenticate: Authenticate, anonymous: Collection[str] = ()) -> None:
        """Keep what finds an actor, and which methods are called without a token."""
        self._authenticate = authenticate
        self._anonymous = frozenset(anonymous)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MethodHandler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MethodHandler | None:
        """Return the handler of a call, or one that tells why it is refused."""
        request_id = str(new_id())
        try:
            # gRPC looks for the handler and runs it in one task, so the handler sees this.
            _ACTOR.set(await self._actor(handler_call_details))
            _RENEW.set(lambda: self._actor(handler_call_details))
        except AutovibeError as error:
            return _refusal(error, request_id)
        except Exception as error:  # noqa: BLE001 - it is logged there
            return _refusal(unexpected("authentication", request_id, error), request_id)
        return await continuation(handler_call_details)

    async def _actor(self, details: grpc.HandlerCallDetails) -> Actor:
        if details.method in self._anonymous:
            return NOBODY
        return await self._authenticate(_token(details))


def _refusal(error: AutovibeError, request_id: str) -> MethodHandler:
    """Return what refuses a call of any shape: a stream need not wait for a first message."""

    async def refuse(_requests: object, context: ServicerContext) -> AsyncGenerator[bytes]:
        await abort(context, error, request_id)
        yield b""  # never reached; it makes this a stream

    return grpc.stream_stream_rpc_method_handler(refuse)


def _token(details: grpc.HandlerCallDetails) -> str:
    given = [value for name, value in details.invocation_metadata if name == "authorization"]
    if len(given) != 1 or not isinstance(given[0], str) or not given[0].lower().startswith(_BEARER):
        raise UnauthenticatedError(
            "Send your token as metadata: `authorization` with the value `Bearer TOKEN`."
        )
    return given[0][len(_BEARER) :].strip()
