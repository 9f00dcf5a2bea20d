"""Calls of our own processes outlast a server that is started again, and are done once."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from stubs import all_stubs, authenticate

from autovibe.db import open_database
from autovibe.domains.projects import ProjectService
from autovibe.kernel.errors import AutovibeError, UnauthenticatedError, UnavailableError
from autovibe.operations import Operations, Registry
from autovibe.sdk.grpc_remote import Patience, connect_grpc
from autovibe.skins.grpc import serve_grpc
from autovibe.testing.databases import TestDatabases
from autovibe.v1 import projects_pb2, queue_pb2


@pytest.fixture
async def operations(databases: TestDatabases, tmp_path: Path) -> AsyncGenerator[Operations]:
    database = open_database(await databases.sqlite(tmp_path))
    registry = Registry({**all_stubs(), "autovibe.v1.ProjectService": ProjectService()})
    yield Operations(database, registry, instance_id=uuid.uuid4())
    await database.close()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def test_a_call_waits_for_a_server_that_is_started_later(operations: Operations) -> None:
    port = free_port()
    async with connect_grpc(f"127.0.0.1:{port}", "all", patience=Patience(60)) as services:
        calling = asyncio.create_task(
            services.projects.create_project(projects_pb2.CreateProjectRequest(name="late"))
        )
        await asyncio.sleep(0)
        async with serve_grpc(operations, authenticate, "127.0.0.1", port):
            assert (await calling).name == "late"
            listed = await services.projects.list_projects(projects_pb2.ListProjectsRequest())
    assert [project.name for project in listed.projects] == ["late"]


async def test_an_answer_that_was_lost_is_given_again_and_nothing_is_done_twice(
    operations: Operations, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke, lost = operations.invoke, [UnavailableError("the answer was lost")]

    async def lose(*arguments: Any) -> Any:
        answer = await invoke(*arguments)
        if lost:
            raise lost.pop()
        return answer

    monkeypatch.setattr(operations, "invoke", lose)
    async with (
        serve_grpc(operations, authenticate, "127.0.0.1", 0) as server,
        connect_grpc(server.target, "all", patience=Patience(60)) as services,
    ):
        made = await services.projects.create_project(
            projects_pb2.CreateProjectRequest(name="once")
        )
        assert made.name == "once"
        listed = await services.projects.list_projects(projects_pb2.ListProjectsRequest())
        assert [project.id for project in listed.projects] == [made.id]
        lost.append(UnavailableError("this one, too"))
        with pytest.raises(
            AutovibeError, match="this one, too"
        ):  # a repeat would take the next orders
            await services.queue.claim_many(
                queue_pb2.ClaimManyRequest(
                    worker_id=made.id, instance_id=made.id, lease_s=60, limit=1
                )
            )


async def test_a_new_token_is_taken_when_the_first_is_refused(operations: Operations) -> None:
    async with serve_grpc(operations, authenticate, "127.0.0.1", 0) as server:
        renewed = Patience(60, lambda: "all")
        async with connect_grpc(server.target, "revoked", patience=renewed) as services:
            await services.projects.list_projects(projects_pb2.ListProjectsRequest())
        async with connect_grpc(server.target, "revoked", patience=Patience(60)) as services:
            with pytest.raises(AutovibeError) as caught:
                await services.projects.list_projects(projects_pb2.ListProjectsRequest())
            assert caught.value.code == UnauthenticatedError.code
