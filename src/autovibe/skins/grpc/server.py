"""Serving every operation over gRPC: one generic handler, looped over the descriptors."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import unquote

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from autovibe.domains.contract import StreamPage
from autovibe.kernel.errors import AutovibeError, InvalidArgumentError
from autovibe.kernel.ids import new_id
from autovibe.operations import Authenticate, Operations
from autovibe.sdk.contract import Method
from autovibe.skins.errors import PortTakenError
from autovibe.skins.grpc.errors import abort, unexpected
from autovibe.skins.grpc.gate import Gate, ServicerContext, asking_again, current_actor
from autovibe.skins.grpc.standard import Health, add_reflection
from autovibe.skins.listening import bind
from autovibe.v1 import options_pb2

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
MAX_METADATA_BYTES: Final = 64 * 1024
_GRACE_S: Final = 5.0
_LONGEST_KEY: Final = 200
_SHARED: Final = "protobuf"
_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # otherwise a second server would silently share the port
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
)

Streamer = Callable[[bytes, ServicerContext], AsyncGenerator[bytes]]
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
    operations: Operations,
    authenticate: Authenticate,
    host: str,
    port: int,
    *,
    credentials: tuple[bytes, bytes] | None = None,
) -> AsyncGenerator[GrpcServer]:
    """Serve the operations for people and for our own processes until the block ends.

    The latter need the permission `internal`, which the contract names and `invoke()` checks.
    Beside them stand health (`grpc.health.v1`) and reflection, for whoever has any token.
    Calls under way get five seconds to end. A call whose deadline passes is cancelled.

    With `credentials`, key and certificate in PEM, it speaks TLS, and nothing else.

    Raises:
        PortTakenError: another program listens there.
        AddressUnusableError: the address cannot be listened on.
    """
    if port:
        bind(host, port).close()  # says what is wrong; gRPC itself only says that it failed
    anonymous = {f"/{one.method.name}" for one in operations.registry if one.is_anonymous}
    server = grpc.aio.server(interceptors=(Gate(authenticate, anonymous),), options=_OPTIONS)
    services = _handlers(operations)
    for service, handlers in services.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    add_reflection(server, services)
    health = Health()
    await health.begin(server, services)
    try:
        if credentials is None:
            bound = server.add_insecure_port(_address(host, port))
        else:
            secured = grpc.ssl_server_credentials([credentials])
            bound = server.add_secure_port(_address(host, port), secured)
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
        await health.end()
        operations.end_streams()
        await server.stop(_GRACE_S)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _handlers(
    operations: Operations,
) -> Mapping[str, dict[str, grpc.RpcMethodHandler[Any, Any]]]:
    services: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
    for operation in operations.registry:
        method = operation.method
        if method.operation.audience == options_pb2.AUDIENCE_MACHINE:
            continue  # only a machine's own listener serves it (decision C7)
        # Bytes in, bytes out: what cannot be decoded is then an error of ours, not gRPC's.
        services.setdefault(method.service, {})[method.descriptor.name] = (
            grpc.unary_unary_rpc_method_handler(_handler(operations, method))
        )
    for operation in operations.registry.streams:
        method = operation.method
        services.setdefault(method.service, {})[method.descriptor.name] = (
            grpc.unary_stream_rpc_method_handler(_streamer(operations, method))
        )
    return services


def _streamer(operations: Operations, method: Method) -> Streamer:
    async def stream(body: bytes, context: ServicerContext) -> AsyncGenerator[bytes]:
        request_id = str(new_id())
        failure: AutovibeError | None = None
        try:
            ctx = replace(
                operations.context(current_actor()), request_id=request_id, address=_peer(context)
            )
            pages = operations.stream(method.name, _decoded(method, body), ctx, asking_again())
            async with contextlib.aclosing(pages):
                # gRPC takes the next one when there is room for it at the other end.
                async for page in pages:
                    yield _encoded(page)
        except AutovibeError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - it is logged there
            failure = unexpected(method.name, request_id, error)
        if failure is not None:
            await abort(context, failure, request_id)

    return stream


def _encoded(page: StreamPage) -> bytes:
    """Return a page as bytes, which those who share the page share."""
    found = page.encoded.get(_SHARED)
    if found is None:
        found = page.encoded[_SHARED] = page.message.SerializeToString()
    return found


def _handler(operations: Operations, method: Method) -> Handler:
    async def handle(body: bytes, context: ServicerContext) -> bytes:
        request_id = str(new_id())
        try:
            ctx = replace(
                operations.context(current_actor()),
                request_id=request_id,
                address=_peer(context),
                idempotency_key=_idempotency_key(context),
            )
            response = await operations.invoke(method.name, _decoded(method, body), ctx)
            return response.SerializeToString()
        except AutovibeError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - it is logged there
            failure = unexpected(method.name, request_id, error)
        return await abort(context, failure, request_id)

    return handle


def _peer(context: ServicerContext) -> str:
    """Return the address that a call comes from, without its port."""
    kind, _, rest = unquote(context.peer()).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in {"ipv4", "ipv6"} else ""


def _idempotency_key(context: ServicerContext) -> str:
    for name, value in context.invocation_metadata() or ():
        if name == "idempotency-key" and isinstance(value, str):
            if len(value) > _LONGEST_KEY:
                raise InvalidArgumentError(
                    f"idempotency-key must have {_LONGEST_KEY} characters at most.",
                    field="idempotency-key",
                )
            return value
    return ""


def _decoded(method: Method, body: bytes) -> Message:
    request = method.request_type()
    try:
        request.ParseFromString(body)
    except DecodeError:
        raise InvalidArgumentError(
            f"The request is no {method.descriptor.input_type.full_name}; send one."
        ) from None
    return request
