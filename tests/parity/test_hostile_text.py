"""Texts that somebody sends on purpose: they come back as they were, or are refused; never more."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from composed import Composed, composed
from plane import write_files

from autovibe.kernel.errors import AutovibeError
from autovibe.sdk.services import Services
from autovibe.v1 import checkpoints_pb2, identity_pb2, projects_pb2, work_pb2

SQL = (
    "'; DROP TABLE projects; --",
    '" OR ""="',
    "1); DELETE FROM users; SELECT (1",
    "%_\\%",
    "${jndi:ldap://example.org}",
)
BIDI = ("\u202egnp.exe", "a\u2066b\u2069c", "\u200b\ufeffname")
CONTROL = ("\x1b[2J\x1b[31m", "a\rb", "bell\a", "\x7f", "\x85")
ODD = (
    "\uff21\ufe64script\ufe65",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "💥" * 50,
    "e\u0301",
)
EVERY = SQL + BIDI + CONTROL + ODD
MEGABYTE = "x" * 1_000_000


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[Composed]:
    async with composed(tmp_path) as opened:
        projects = opened.local.projects
        await projects.create_project(projects_pb2.CreateProjectRequest(name="website"))
        write_files(tmp_path / "website", {"a.txt": "one"})
        await opened.local.checkpoints.import_directory(
            checkpoints_pb2.ImportDirectoryRequest(
                project="website", directory=str(tmp_path / "website")
            )
        )
        yield opened


async def new_task(services: Services, **fields: Any) -> work_pb2.Task:
    return await services.work.create_task(
        work_pb2.CreateTaskRequest(
            project="website",
            context=work_pb2.TaskContext(agent="shell", isolation="process", agent_args=["true"]),
            **fields,
        )
    )


async def error_of(call: Awaitable[object]) -> AutovibeError:
    """Return the error that a call ends with."""
    with pytest.raises(AutovibeError) as caught:
        await call
    return caught.value


@pytest.mark.parametrize("way", ["http", "rpc"])
async def test_a_text_comes_back_as_it_was_sent(world: Composed, way: str) -> None:
    services: Services = getattr(world, way)
    for text in EVERY:
        task = await new_task(services, title=text, description=text)
        found = await services.work.get_task(work_pb2.GetTaskRequest(task_id=task.id))
        assert (found.title, found.description) == (text, text)
    listed = await services.projects.list_projects(projects_pb2.ListProjectsRequest())
    assert [project.name for project in listed.projects] == ["website"]


@pytest.mark.parametrize("way", ["http", "rpc"])
async def test_a_name_is_taken_whole_or_refused_and_is_found_again(
    world: Composed, way: str
) -> None:
    services: Services = getattr(world, way)
    refused: dict[str, str] = {}
    for text in EVERY:
        try:
            made = await services.projects.create_project(
                projects_pb2.CreateProjectRequest(name=text)
            )
        except AutovibeError as error:
            refused[text] = error.reason
            continue
        asked = projects_pb2.GetProjectRequest(project=text)
        assert (made.name, await services.projects.get_project(asked)) == (text, made)
    # Names stand in commands, paths and pages: what changes how they look there is no name.
    assert {*CONTROL, *BIDI} <= set(refused)
    assert set(refused.values()) == {"INVALID_ARGUMENT"}


async def test_queries_look_for_a_text_and_run_none(world: Composed) -> None:
    for text in SQL:
        for call in (
            world.http.projects.get_project(projects_pb2.GetProjectRequest(project=text)),
            world.http.identity.get_user(identity_pb2.GetUserRequest(user_id=text)),
            world.http.work.list_tasks(work_pb2.ListTasksRequest(project=text)),
        ):
            assert (await error_of(call)).code.value in {"NOT_FOUND", "INVALID_ARGUMENT"}
        listed = await world.http.work.list_tasks(work_pb2.ListTasksRequest(labels=[f"a={text}"]))
        assert not listed.tasks
    await world.http.projects.get_project(projects_pb2.GetProjectRequest(project="website"))


@pytest.mark.parametrize("way", ["http", "rpc"])
async def test_a_name_of_a_megabyte_is_refused_by_its_length(world: Composed, way: str) -> None:
    services: Services = getattr(world, way)
    for call in (
        services.projects.create_project(projects_pb2.CreateProjectRequest(name=MEGABYTE)),
        services.identity.create_user(
            identity_pb2.CreateUserRequest(
                username=MEGABYTE, email="a@example.org", role="viewer", password="correct horse"
            )
        ),
        new_task(services, title=MEGABYTE, description="x"),
    ):
        error = await error_of(call)
        assert error.reason == "INVALID_ARGUMENT"
        assert len(error.message) < 200


async def test_paths_headers_and_queries_have_bounds(world: Composed) -> None:
    headers = {"authorization": f"Bearer {world.token}"}
    long = "x" * 100_000
    async with aiohttp.ClientSession(headers=headers) as session:
        for path, extra in (
            (f"/api/v1/projects/{long}", {}),
            (f"/api/v1/tasks?project={long}", {}),
            ("/api/v1/tasks", {"x-long": long}),
        ):
            answer = await session.get(world.rest.url + path, headers=extra)
            assert 400 <= answer.status < 500, (path[:40], answer.status)
        answer = await session.get(f"{world.rest.url}/healthz")
        assert answer.status == 200
