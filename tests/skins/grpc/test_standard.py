"""gRPC: health and reflection, behind the same gate as every call."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from served import ALL_METHODS, Served
from stubs import authenticate

from autovibe.kernel.context import Actor
from autovibe.kernel.errors import UnavailableError
from autovibe.skins.grpc import serve_grpc

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECT = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
]
SERVICES = {method.service for method in ALL_METHODS}
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
ALL = (("authorization", "Bearer all"),)


def bearer(token: str | None) -> Any:
    return (("authorization", token),) if token is not None else ()


async def health(server: Served, service: str, metadata: Any = ALL) -> int:
    request = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    async with grpc.aio.insecure_channel(server.grpc.target) as channel:
        answer = await channel.unary_unary(CHECK)(request, metadata=metadata)
    return health_pb2.HealthCheckResponse.FromString(answer).status


async def reflect(server: Served, path: str, *requests: Any, metadata: Any = ALL) -> list[Any]:
    async with grpc.aio.insecure_channel(server.grpc.target) as channel:
        call = channel.stream_stream(path)(
            iter([request.SerializeToString() for request in requests]), metadata=metadata
        )
        return [reflection_pb2.ServerReflectionResponse.FromString(one) async for one in call]


@pytest.mark.req("S2-17")
async def test_the_server_and_each_of_its_services_are_healthy(server: Served) -> None:
    for service in ("", *SERVICES):
        assert await health(server, service) == SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health(server, "autovibe.v1.NoService")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_whoever_watches_is_told_when_the_server_ends(server: Served) -> None:
    async with contextlib.AsyncExitStack() as stack:
        ending = contextlib.AsyncExitStack()
        running = await ending.enter_async_context(
            serve_grpc(server.operations, authenticate, "127.0.0.1", 0)
        )
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(running.target))
        watching = channel.unary_stream(WATCH)(b"", metadata=ALL)

        async def told() -> int:
            return health_pb2.HealthCheckResponse.FromString(await watching.read()).status

        assert await told() == SERVING
        closing = asyncio.create_task(ending.aclose())
        assert await told() == NOT_SERVING
        watching.cancel()
        await closing


@pytest.mark.parametrize("path", REFLECT)
async def test_reflection_names_every_service_and_gives_its_descriptors(
    server: Served, path: str
) -> None:
    listing = reflection_pb2.ServerReflectionRequest(list_services="*")
    symbol = reflection_pb2.ServerReflectionRequest(
        file_containing_symbol="autovibe.v1.WorkService"
    )
    unknown = reflection_pb2.ServerReflectionRequest(file_containing_symbol="autovibe.v1.Nothing")
    listed, described, missing = await reflect(server, path, listing, symbol, unknown)
    names = {service.name for service in listed.list_services_response.service}
    assert SERVICES | {"grpc.health.v1.Health"} < names
    pool = descriptor_pool.DescriptorPool()
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(file)
        for file in described.file_descriptor_response.file_descriptor_proto
    ]
    by_name = {file.name: file for file in files}
    added: set[str] = set()

    def add(name: str) -> None:
        if name not in added:
            added.add(name)
            for needed in by_name[name].dependency:
                add(needed)
            pool.Add(by_name[name])

    for name in by_name:
        add(name)
    service = pool.FindServiceByName("autovibe.v1.WorkService")
    method = service.methods_by_name["CreateTask"]
    assert method.input_type.full_name == "autovibe.v1.CreateTaskRequest"
    assert missing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.parametrize("token", [None, "Bearer wrong", "Bearer ", "all", "Basic all"])
async def test_neither_is_answered_without_a_token(server: Served, token: str | None) -> None:
    metadata = bearer(token)
    listing = reflection_pb2.ServerReflectionRequest(list_services="*")
    calls = [health(server, "", metadata)]
    calls += [reflect(server, path, listing, metadata=metadata) for path in REFLECT]
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        if caught.value.details() == "Internal error from Core":
            # The client was still writing to the stream when it was refused, and saw only that.
            continue
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert dict(caught.value.trailing_metadata())["autovibe-reason"] == "UNAUTHENTICATED"


async def test_a_stream_without_a_token_is_refused_before_its_first_message(
    server: Served,
) -> None:
    async with grpc.aio.insecure_channel(server.grpc.target) as channel:
        for call in (
            channel.stream_stream(REFLECT[0])(),
            channel.stream_unary("/autovibe.v1.ProjectService/GetProject")(),
        ):
            assert await call.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_which_methods_there_are_is_told_to_nobody_without_a_token(server: Served) -> None:
    async with grpc.aio.insecure_channel(server.grpc.target) as channel:
        unknown = channel.unary_unary("/autovibe.v1.ProjectService/Nothing")
        codes = [await unknown(b"", metadata=given).code() for given in ((), ALL)]
    assert codes == [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED]


async def test_a_token_is_needed_once_per_call_and_belongs_to_that_call(server: Served) -> None:
    path = "/autovibe.v1.IdentityService/ListInstances"

    async def code(channel: grpc.aio.Channel, token: str) -> grpc.StatusCode:
        return await channel.unary_unary(path)(b"", metadata=bearer(f"Bearer {token}")).code()

    async with grpc.aio.insecure_channel(server.grpc.target) as channel:
        codes = await asyncio.gather(
            *(code(channel, ("all", "reader", "wrong")[n % 3]) for n in range(60))
        )
    wanted = [
        grpc.StatusCode.OK,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
    ]
    assert codes == wanted * 20


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (UnavailableError("Later."), grpc.StatusCode.UNAVAILABLE, "Later."),
        (RuntimeError("secret"), grpc.StatusCode.INTERNAL, "its log tells more under request"),
    ],
)
async def test_a_token_that_cannot_be_looked_up_opens_nothing(
    server: Served, error: Exception, code: grpc.StatusCode, told: str
) -> None:
    async def broken(_token: str) -> Actor:
        raise error

    async with (
        serve_grpc(server.operations, broken, "127.0.0.1", 0) as running,
        grpc.aio.insecure_channel(running.target) as channel,
    ):
        for path in (CHECK, "/autovibe.v1.ProjectService/ListProjects"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(path)(b"", metadata=ALL)
            assert caught.value.code() == code
            assert told in str(caught.value.details())
            assert "secret" not in str(caught.value.details())
