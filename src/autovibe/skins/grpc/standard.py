"""The services that every gRPC server has: health and reflection. The gate stands before them.

Health is therefore more than a living process: a probe without a valid token is refused, and one
whose token cannot be looked up because the database is away gets UNAVAILABLE.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

HEALTH: Final = health.SERVICE_NAME
# Version 1 is version 1alpha under its final name: the messages are the same on the wire.
REFLECTION: Final = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)


class Health:
    """What `grpc.health.v1.Health` tells: of the server as a whole, and of each service."""

    def __init__(self) -> None:
        """Tell that the server serves; of a service nothing is known yet."""
        # The stubs of the library do not know its asyncio half.
        self._servicer: Any = health.aio.HealthServicer()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # see above

    async def begin(self, server: grpc.aio.Server, services: Collection[str]) -> None:
        """Serve it, and tell that the services are served."""
        for service in (*services, HEALTH):
            await self._servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)  # pyright: ignore[reportUnknownMemberType]  # no types for asyncio, as above

    async def end(self) -> None:
        """Tell whoever watches that nothing is served any more."""
        await self._servicer.enter_graceful_shutdown()


def add_reflection(server: grpc.aio.Server, services: Collection[str]) -> None:
    """Serve the descriptors of the services, for tools that hold no proto files."""
    servicer: Any = reflection.aio.ReflectionServicer((*services, HEALTH, *REFLECTION))
    handler: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in REFLECTION:
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}),)
        )
