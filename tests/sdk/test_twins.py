"""A remote twin behaves as the local one."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from served import Served
from stubs import TOKENS

from autovibe.kernel.errors import (
    AutovibeError,
    Code,
    InvalidArgumentError,
    RemoteError,
    UnavailableError,
)
from autovibe.operations import local_twin
from autovibe.sdk.grpc_remote import connect_grpc
from autovibe.sdk.remote import connect_http
from autovibe.sdk.services import Services
from autovibe.v1 import projects_pb2, work_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(params=["local", "http", "grpc"])
def twin(request: pytest.FixtureRequest, server: Served) -> Services:
    local = local_twin(server.operations, lambda: server.operations.context(TOKENS["all"]))
    return {"local": local, "http": server.http, "grpc": server.rpc}[request.param]


async def test_a_project_is_made_and_found_by_any_name(twin: Services) -> None:
    mark = uuid.uuid4().hex
    names = [f"{mark}{end}" for end in ("plain", "a/b", "ü %2F?#", "x:ensure")]
    for name in names:
        made = await twin.projects.create_project(projects_pb2.CreateProjectRequest(name=name))
        found = await twin.projects.get_project(projects_pb2.GetProjectRequest(project=name))
        assert found == made
    for dots in (".", ".."):
        ensured = await twin.projects.ensure_project(
            projects_pb2.EnsureProjectRequest(project=dots)
        )
        found = await twin.projects.get_project(projects_pb2.GetProjectRequest(project=dots))
        assert found == ensured.project
    listed: list[str] = []
    request = projects_pb2.ListProjectsRequest(page_size=2)
    while True:
        page = await twin.projects.list_projects(request)
        listed += [project.name for project in page.projects]
        if not page.next_page_token:
            break
        assert len(page.projects) == 2
        request.page_token = page.next_page_token
    assert {".", "..", *names} <= set(listed)
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize(
    ("call", "code", "reason", "params"),
    [
        (
            lambda s: s.projects.get_project(projects_pb2.GetProjectRequest(project="ghost")),
            Code.NOT_FOUND,
            "PROJECT_NOT_FOUND",
            {"project": "ghost"},
        ),
        (
            lambda s: s.projects.get_project(projects_pb2.GetProjectRequest()),
            Code.INVALID_ARGUMENT,
            "INVALID_ARGUMENT",
            {"field": "project"},
        ),
        (
            lambda s: s.projects.create_project(projects_pb2.CreateProjectRequest(greediness="x")),
            Code.INVALID_ARGUMENT,
            "INVALID_ARGUMENT",
            {"field": "name"},
        ),
    ],
)
async def test_errors_are_the_same(
    twin: Services,
    call: Callable[[Services], Awaitable[Any]],
    code: Code,
    reason: str,
    params: dict[str, Any],
) -> None:
    with pytest.raises(AutovibeError) as caught:
        await call(twin)
    error = caught.value
    assert (error.code, error.reason, error.params) == (code, reason, params)
    assert error.exit_status == 2


async def test_codes_that_share_a_status_are_told_apart(server: Served) -> None:
    request = projects_pb2.CreateProjectRequest(name="a")
    for services in (server.http, server.rpc):
        await server.http.projects.ensure_project(projects_pb2.EnsureProjectRequest(project="a"))
        with pytest.raises(RemoteError) as caught:
            await services.projects.create_project(request)
        assert caught.value.code == Code.ALREADY_EXISTS


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_a_server_that_is_not_there_is_named_with_what_to_do() -> None:
    port = free_port()
    async with (
        connect_http(f"http://127.0.0.1:{port}", "t") as http,
        connect_grpc(f"127.0.0.1:{port}", "t") as rpc,
    ):
        for services in (http, rpc):
            with pytest.raises(UnavailableError) as caught:
                await services.projects.list_projects(projects_pb2.ListProjectsRequest())
            assert str(port) in caught.value.message
            assert "start one with `autovibe up`" in caught.value.message


async def test_a_wrong_token_is_said(server: Served) -> None:
    async with (
        connect_http(server.rest.url, "wrong") as http,
        connect_grpc(server.grpc.target, "wrong") as rpc,
    ):
        for services in (http, rpc):
            with pytest.raises(RemoteError) as caught:
                await services.projects.list_projects(projects_pb2.ListProjectsRequest())
            assert caught.value.reason == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8420",
        "ftp://a",
        "http://",
        "http://u:p@a",
        "http://a/x",
        "http://a:b",
        "http://a?q",
    ],
)
async def test_a_malformed_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is not a server address"):
        async with connect_http(url, "t"):
            pytest.fail("it was taken")


async def answering(answer: bytes) -> tuple[asyncio.Server, str]:
    """Start a server that gives one answer to whatever it is asked."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("head", "body", "code", "message"),
    [
        ("502 Bad Gateway", "<html>", Code.INTERNAL, "The server answered with HTTP status 502."),
        ("302 Found\r\nLocation: http://x/", "", Code.INTERNAL, "HTTP status 302"),
        ("404 Not Found", "[1]", Code.NOT_FOUND, "HTTP status 404"),
        ("503 Busy", '{"code": "UNAVAILABLE", "detail": "Later."}', Code.UNAVAILABLE, "Later."),
        ("200 OK", "<html>", Code.UNAVAILABLE, "speaks another protocol"),
    ],
)
async def test_what_another_program_answers_is_an_error(
    head: str, body: str, code: Code, message: str
) -> None:
    answer = f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    server, url = await answering(answer.encode())
    async with server, connect_http(url, "t") as services:
        with pytest.raises(AutovibeError) as caught:
            await services.projects.list_projects(projects_pb2.ListProjectsRequest())
    assert caught.value.code == code
    assert message in caught.value.message


async def test_fields_of_a_newer_server_are_ignored() -> None:
    body = '{"name": "p", "colour": "red", "metadata": {"a": 1}}'
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    server, url = await answering(answer.encode())
    async with server, connect_http(url, "t") as services:
        project = await services.projects.get_project(projects_pb2.GetProjectRequest(project="p"))
    assert project.name == "p"
    assert dict(project.metadata) == {"a": 1}


async def test_a_lost_connection_is_unavailable() -> None:
    server, url = await answering(b"")
    async with server, connect_http(url, "t") as services:
        with pytest.raises(UnavailableError):
            await services.work.get_task(work_pb2.GetTaskRequest(task_id="abcdefab"))
