"""Server-sent events of a log: resumed by id, through a server that is started again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from composed import Composed, composed
from machine_at_work import put_to_work
from plane import make_repository

from autovibe.cli.client.connection import Connection
from autovibe.cli.client.following import stream
from autovibe.kernel.errors import AutovibeError
from autovibe.operations import Operations, token_authenticator
from autovibe.sdk.grpc_remote import connect_grpc
from autovibe.sdk.remote import connect_http
from autovibe.sdk.services import Services
from autovibe.skins.rest import RestServer, serve_rest
from autovibe.v1 import (
    checkpoints_pb2,
    identity_pb2,
    logs_pb2,
    projects_pb2,
    work_pb2,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Composed]:
    home = tmp_path_factory.mktemp("streams")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        async with composed(home) as one:
            repo: Path = make_repository(home / "website", {"a.txt": "one\n"})
            await one.local.projects.create_project(
                projects_pb2.CreateProjectRequest(name="website", repo_path=str(repo))
            )
            await one.local.checkpoints.import_directory(
                checkpoints_pb2.ImportDirectoryRequest(project="website", directory=str(repo))
            )
            yield one


class Writer:
    """Writes the log of one execution."""

    def __init__(self, services: Services, order: work_pb2.ClaimedOrder) -> None:
        self.services, self.order, self.seq = services, order, 0

    async def write(self, count: int) -> None:
        entries: list[work_pb2.LogEntry] = []
        for _ in range(count):
            self.seq += 1
            entry = work_pb2.LogEntry(
                execution_id=self.order.execution.id,
                seq=self.seq,
                message=f"line {self.seq} ü\n\u2028",
                event=work_pb2.LogEvent(kind="output"),
            )
            entry.logged_at.GetCurrentTime()
            entries.append(entry)
        await self.services.work.append_execution_logs(
            work_pb2.AppendExecutionLogsRequest(
                execution_id=self.order.execution.id,
                lease_generation=self.order.lease_generation,
                entries=entries,
            )
        )

    async def finish(self) -> None:
        await self.services.work.finish_execution(
            work_pb2.FinishExecutionRequest(
                execution_id=self.order.execution.id,
                lease_generation=self.order.lease_generation,
                outcome="failed",
                stdout_log="the end",
            )
        )


async def writer_of(world: Composed) -> Writer:
    task = await world.local.work.create_task(
        work_pb2.CreateTaskRequest(
            project="website",
            description="Log",
            start=True,
            context=work_pb2.TaskContext(
                agent="shell", isolation="process", agent_args=["true"], max_retries=0
            ),
        )
    )
    order, _ = await put_to_work(world.local, str(world.plane.instance_id), task)
    return Writer(world.local, order)


async def events(answer: aiohttp.ClientResponse) -> AsyncGenerator[dict[str, str]]:
    """Parse events as a browser does."""
    found: dict[str, str] = {}
    async for raw in answer.content:
        line = raw.decode().rstrip("\n")
        if not line:
            if "data" in found:
                yield found
            found = {}
            continue
        name, _, value = line.partition(": ")
        found[name] = value


async def test_events_are_resumed_behind_the_last_id(world: Composed) -> None:
    writer = await writer_of(world)
    path = f"/api/v1/executions/{writer.order.execution.id}/logs:stream"
    headers = {"authorization": f"Bearer {world.token}"}
    await writer.write(3)
    async with aiohttp.ClientSession(world.rest.url, headers=headers) as http:
        async with http.get(path) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["cache-control"] == "no-store"
            first = await anext(events(answer))
        assert [one["seq"] for one in json.loads(first["data"])["entries"]] == [1, 2, 3]
        await writer.write(2)
        await writer.finish()
        async with http.get(path, headers={"last-event-id": first["id"]}) as answer:
            rest = [event async for event in events(answer)]
        seqs = [one["seq"] for event in rest for one in json.loads(event["data"])["entries"]]
        assert seqs == [4, 5]
        assert rest[-1]["event"] == "end"
        async with http.get(path, params={"cursor": "x"}) as answer:
            assert (answer.status, (await answer.json())["reason"]) == (400, "INVALID_ARGUMENT")
        nothing = "/api/v1/executions/00000000-0000-4000-8000-000000000000/logs:stream"
        async with http.get(nothing) as answer:
            assert (answer.status, (await answer.json())["reason"]) == (404, "EXECUTION_NOT_FOUND")
    shown = await world.http.logs.get_execution(
        logs_pb2.GetExecutionRequest(execution_id=writer.order.execution.id[:8])
    )
    assert shown.stdout_log == "the end"


async def test_both_skins_and_the_local_twin_stream_the_same(world: Composed) -> None:
    writer = await writer_of(world)

    async def read(services: Services) -> list[str]:
        request = logs_pb2.StreamTaskLogsRequest(task_id=writer.order.task.id, search="LINE")
        pages = services.logs.stream_task_logs(request)
        return [entry.message async for page in pages for entry in page.entries]

    reading = [
        asyncio.create_task(read(twin)) for twin in (world.local, world.http, world.rpc, world.rpc)
    ]
    for count in (1, 40, 300):
        await writer.write(count)
    await writer.finish()
    found = await asyncio.gather(*reading)
    assert found[0] == [f"line {seq} ü\n\u2028" for seq in range(1, 342)]
    assert all(one == found[0] for one in found)


async def test_a_follower_outlives_the_server_without_gap_or_repeat(world: Composed) -> None:
    writer = await writer_of(world)
    authenticate = token_authenticator(world.plane.operations)
    seen: list[int] = []
    port = 0
    tokens = [""]

    @contextlib.asynccontextmanager
    async def server() -> AsyncGenerator[RestServer]:
        nonlocal port
        # As in a process that starts again.
        operations = Operations(
            world.plane.database,
            world.plane.operations.registry,
            instance_id=world.plane.instance_id,
        )
        issued = await world.local.identity.issue_token(
            identity_pb2.IssueTokenRequest(name="owner", scopes=["*"])
        )
        tokens[0] = issued.token
        async with serve_rest(operations, authenticate, "127.0.0.1", port) as one:
            port = one.port
            yield one
        await world.local.identity.revoke_token(
            identity_pb2.RevokeTokenRequest(token_id=issued.token_id)
        )

    @contextlib.asynccontextmanager
    async def reopen() -> AsyncGenerator[Connection | None]:
        async with connect_http(f"http://127.0.0.1:{port}", tokens[0]) as services:
            yield Connection(services)

    following: asyncio.Task[Any] | None = None
    opened = contextlib.AsyncExitStack()
    for _ in range(2):
        async with server():
            if following is None:
                services = await opened.enter_async_context(
                    connect_http(f"http://127.0.0.1:{port}", tokens[0])
                )
                wanted = work_pb2.ListTaskLogsRequest(task_id=writer.order.task.id)
                following = asyncio.create_task(
                    stream(
                        Connection(services), wanted, lambda entry: seen.append(entry.seq), reopen
                    )
                )
            for _ in range(5):
                await writer.write(7)
                await asyncio.sleep(0.02)
        await writer.write(3)
    async with server():
        await writer.finish()
        assert following is not None
        await asyncio.wait_for(following, 60)
    await opened.aclose()
    assert seen == list(range(1, writer.seq + 1))


async def test_a_revoked_token_ends_its_streams(
    world: Composed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autovibe.operations.streaming.RENEW_S", 0.0)
    writer = await writer_of(world)
    issued = await world.local.identity.issue_token(
        identity_pb2.IssueTokenRequest(name="guest", scopes=["tasks.read"])
    )
    request = logs_pb2.StreamTaskLogsRequest(task_id=writer.order.task.id)
    async with (
        connect_http(world.rest.url, issued.token) as http,
        connect_grpc(world.grpc.target, issued.token) as rpc,
    ):
        streams = [twin.logs.stream_task_logs(request) for twin in (http, rpc)]
        for one in streams:
            await anext(one)
        await world.local.identity.revoke_token(
            identity_pb2.RevokeTokenRequest(token_id=issued.token_id)
        )
        await writer.write(1)
        for one in streams:
            with pytest.raises(AutovibeError) as refused:
                async for _ in one:
                    pass
            assert refused.value.reason == "UNAUTHENTICATED"
