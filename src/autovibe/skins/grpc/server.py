"""Serving every operation over gRPC: one generic handler, looped over the descriptors."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import AutovibeError, InvalidArgumentError, UnauthenticatedError
from autovibe.kernel.ids import new_id
from autovibe.operations import Authenticate, Operations
from autovibe.sdk.contract import Method
from autovibe.skins.errors import PortTakenError
from autovibe.skins.grpc.errors import shortened, status_code, trailing_metadata
from autovibe.skins.listening import bind

_logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
MAX_METADATA_BYTES: Final = 64 * 1024
_GRACE_S: Final = 5.0
_BEARER: Final = "bearer "
_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # otherwise a second server would silently share the port
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
)

ServicerContext = grpc.aio.ServicerContext[Any, Any]
Handler = Callable[[bytes, ServicerContext], Awaitable[bytes]]


@dataclass(frozen=True)
class GrpcServer:
    """A server that answers."""

    host: str
    port: int
    """The port itself, also where any free one was asked for."""

    @property
    def target(self) -> str:
        """Where clients find it."""
        return _address(self.host, self.port)


@contextlib.asynccontextmanager
async def serve_grpc(
    operations: Operations, authenticate: Authenticate, host: str, port: int
) -> AsyncGenerator[GrpcServer]:
    """Serve the operations for people and for our own processes until the block ends.

    The latter need the permission `internal`, which the contract names and `invoke()` checks.
    Calls under way get five seconds to end. A call whose deadline passes is cancelled.

    Raises:
        PortTakenError: another program listens there.
        AddressUnusableError: the address cannot be listened on.
    """
    if port:
        bind(host, port).close()  # says what is wrong; gRPC itself only says that it failed
    server = grpc.aio.server(options=_OPTIONS)
    for service, handlers in _handlers(operations, authenticate).items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    try:
        bound = server.add_insecure_port(_address(host, port))
    except RuntimeError as error:
        raise PortTakenError(
            f"Port {port} on {host} is taken by another program; stop it or choose another port.",
            host=host,
            port=port,
        ) from error
    await server.start()
    try:
        yield GrpcServer(host, bound)
    finally:
        await server.stop(_GRACE_S)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _handlers(
    operations: Operations, authenticate: Authenticate
) -> Mapping[str, dict[str, grpc.RpcMethodHandler[Any, Any]]]:
    services: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
    for operation in operations.registry:
        method = operation.method
        # Bytes in, bytes out: what cannot be decoded is then an error of ours, not gRPC's.
        services.setdefault(method.service, {})[method.descriptor.name] = (
            grpc.unary_unary_rpc_method_handler(_handler(operations, authenticate, method))
        )
    return services


def _handler(operations: Operations, authenticate: Authenticate, method: Method) -> Handler:
    async def handle(body: bytes, context: ServicerContext) -> bytes:
        request_id = str(new_id())
        try:
            actor = await authenticate(_token(context))
            base = operations.context(actor)
            ctx = CallContext(actor, base.clock, base.instance_id, request_id)
            response = await operations.invoke(method.name, _decoded(method, body), ctx)
            return response.SerializeToString()
        except AutovibeError as error:
            failure = error
        except Exception:
            _logger.exception("request %s: %s failed", request_id, method.name)
            failure = AutovibeError(
                "Something went wrong inside autovibe; its log tells more under request "
                f"{request_id}.",
                request_id=request_id,
            )
        await context.abort(
            status_code(failure.code),
            shortened(failure.message),
            trailing_metadata(failure, request_id),
        )
        raise AssertionError("unreachable: abort raises")

    return handle


def _decoded(method: Method, body: bytes) -> Message:
    request = method.request_type()
    try:
        request.ParseFromString(body)
    except DecodeError:
        raise InvalidArgumentError(
            f"The request is no {method.descriptor.input_type.full_name}; send one."
        ) from None
    return request


def _token(context: ServicerContext) -> str:
    given = [
        value for name, value in context.invocation_metadata() or () if name == "authorization"
    ]
    if len(given) != 1 or not isinstance(given[0], str) or not given[0].lower().startswith(_BEARER):
        raise UnauthenticatedError(
            "Send your token as metadata: `authorization` with the value `Bearer TOKEN`."
        )
    return given[0][len(_BEARER) :].strip()
