"""gRPC: statuses, trailers, tokens, deadlines."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2
from served import Served, served
from stubs import Stub

from autovibe.db import Database
from autovibe.domains.projects.errors import ProjectNotFoundError
from autovibe.skins.errors import AddressUnusableError, PortTakenError
from autovibe.skins.grpc import serve_grpc
from autovibe.v1 import projects_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")

GET = "/autovibe.v1.ProjectService/GetProject"
LIST_INSTANCES = "/autovibe.v1.IdentityService/ListInstances"


async def raw(server: Served, path: str, body: bytes = b"", token: str | None = "Bearer all"):
    """Call a path with plain bytes, as a client that knows no autovibe would."""
    metadata = [("authorization", token)] if token is not None else []
    async with grpc.aio.insecure_channel(server.grpc.target) as channel:
        return await channel.unary_unary(path)(body, metadata=metadata)


async def failed(server: Served, path: str, body: bytes = b"", **options: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await raw(server, path, body, **options)
    return caught.value


@pytest.mark.parametrize("token", [None, "Bearer wrong", "Bearer ", "all"])
async def test_nothing_is_answered_without_a_token(server: Served, token: str | None) -> None:
    error = await failed(server, GET, token=token)
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    assert dict(error.trailing_metadata())["autovibe-reason"] == "UNAUTHENTICATED"


async def test_internal_operations_need_the_scope_internal(server: Served) -> None:
    assert await raw(server, LIST_INSTANCES) == b""
    error = await failed(server, LIST_INSTANCES, token="Bearer reader")
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED
    assert json.loads(dict(error.trailing_metadata())["autovibe-params"]) == {
        "permission": "internal",
        "operation": LIST_INSTANCES[1:],
    }


async def test_an_error_carries_reason_params_and_error_info(server: Served) -> None:
    name = "gh🜲st"
    request = projects_pb2.GetProjectRequest(project=name).SerializeToString()
    error = await failed(server, GET, request)
    assert error.code() == grpc.StatusCode.NOT_FOUND
    assert error.details() == f"There is no project {name!r}; see `autovibe project list`."
    trailers = dict(error.trailing_metadata())
    assert trailers["autovibe-reason"] == "PROJECT_NOT_FOUND"
    assert json.loads(trailers["autovibe-params"]) == {"project": name}
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.domain, info.reason, dict(info.metadata)) == (
        "autovibe",
        "PROJECT_NOT_FOUND",
        {"project": name},
    )


async def test_bytes_that_are_no_request_are_refused(server: Served) -> None:
    error = await failed(server, GET, b"\xff\xff\xff")
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "The request is no autovibe.v1.GetProjectRequest; send one."


@pytest.mark.parametrize(("char", "kept"), [("x", 2048), ("%", 682), ("ü", 341), ("🜲", 170)])
async def test_what_is_too_long_for_a_trailer_is_cut_or_left_out(
    sqlite: Database, char: str, kept: int
) -> None:
    async def wordy(*_: object) -> None:
        message = char * 100_000
        raise ProjectNotFoundError(message, project=message)

    projects = Stub("autovibe.v1.ProjectService", get_project=wordy)
    async with served(sqlite, ProjectService=projects) as server:
        request = projects_pb2.GetProjectRequest(project="p").SerializeToString()
        error = await failed(server, GET, request)
    assert error.code() == grpc.StatusCode.NOT_FOUND
    assert error.details() == char * kept + "…"
    assert dict(error.trailing_metadata())["autovibe-params"] == "{}"


async def test_a_file_name_that_is_no_unicode_is_escaped(sqlite: Database) -> None:
    async def odd(*_: object) -> None:
        raise ProjectNotFoundError("no \udcff", project="\udcff")

    projects = Stub("autovibe.v1.ProjectService", get_project=odd)
    async with served(sqlite, ProjectService=projects) as server:
        request = projects_pb2.GetProjectRequest(project="p").SerializeToString()
        error = await failed(server, GET, request)
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no \\udcff")


async def test_a_call_past_its_deadline_is_cancelled(sqlite: Database) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def never(*_: object) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    projects = Stub("autovibe.v1.ProjectService", get_project=never)
    async with served(sqlite, ProjectService=projects) as server:
        request = projects_pb2.GetProjectRequest(project="p").SerializeToString()
        async with grpc.aio.insecure_channel(server.grpc.target) as channel:
            call = channel.unary_unary(GET)(
                request, metadata=[("authorization", "Bearer all")], timeout=1
            )
            await begun.wait()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        await ended.wait()


async def test_a_taken_port_is_said_at_once(server: Served) -> None:
    with pytest.raises(PortTakenError, match=f"Port {server.grpc.port} on 127"):
        async with serve_grpc(server.operations, None, "127.0.0.1", server.grpc.port):
            pytest.fail("two servers share one port")


async def test_an_address_of_another_host_is_refused(server: Served) -> None:
    with pytest.raises(AddressUnusableError, match=r"192\.0\.2\.1:8421 cannot be listened on"):
        async with serve_grpc(server.operations, None, "192.0.2.1", 8421):
            pytest.fail("an address that is not ours was bound")
