from __future__ import annotations

import asyncio
import uuid

import pytest
from plane import Plane

from autovibe.domains.projects import advance_current_checkpoint, remember_in_metadata
from autovibe.domains.projects.errors import ProjectExistsError, ProjectNotFoundError
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import projects_pb2


async def _create(plane: Plane, **fields: str) -> projects_pb2.Project:
    return await plane.services.projects.create_project(projects_pb2.CreateProjectRequest(**fields))


async def _get(plane: Plane, project: str) -> projects_pb2.Project:
    return await plane.services.projects.get_project(
        projects_pb2.GetProjectRequest(project=project)
    )


async def _ensure(plane: Plane, **fields: str) -> projects_pb2.EnsureProjectResponse:
    return await plane.services.projects.ensure_project(projects_pb2.EnsureProjectRequest(**fields))


async def test_a_project_is_found_by_id_and_by_name_with_its_defaults(plane: Plane):
    made = await _create(plane, name="web site", description="pages", repo_path="/srv/web")
    assert (made.greediness, made.status, made.metadata["repo_path"]) == (
        "0.50",
        "active",
        "/srv/web",
    )
    assert await _get(plane, "web site") == made == await _get(plane, made.id)
    with pytest.raises(ProjectNotFoundError):
        await _get(plane, "website")
    with pytest.raises(ProjectNotFoundError):
        await _get(plane, str(uuid.uuid4()))
    with pytest.raises(ProjectExistsError):
        await _create(plane, name="web site")


@pytest.mark.parametrize(
    "fields",
    [
        {"name": " x"},
        {"name": "x "},
        {"name": "\t"},
        {"name": "a\x1b[2Jb"},
        {"name": "n" * 256},
        {"name": "x", "greediness": "1.01"},
        {"name": "x", "greediness": "-1"},
        {"name": "x", "greediness": "much"},
    ],
)
async def test_a_malformed_project_is_refused(one_plane: Plane, fields: dict[str, str]):
    with pytest.raises(InvalidArgumentError):
        await _create(one_plane, **fields)
    assert await one_plane.rows("SELECT count(*) FROM projects") == [(0,)]


async def test_the_list_gives_every_project_once_in_order(plane: Plane):
    names = ["b", "A", "a-2", "a", "é", "a%b", "a_b"]
    for name in names:
        await _create(plane, name=name)
    found: list[str] = []
    token = ""
    while True:
        page = await plane.services.projects.list_projects(
            projects_pb2.ListProjectsRequest(page_size=2, page_token=token)
        )
        found += [project.name for project in page.projects]
        token = page.next_page_token
        if not token:
            break
    assert sorted(found) == sorted(names)
    with pytest.raises(InvalidArgumentError):
        await plane.services.projects.list_projects(
            projects_pb2.ListProjectsRequest(page_token="rubbish")
        )


async def test_a_directory_has_one_project_named_after_it_with_a_number_when_taken(plane: Plane):
    first = await _ensure(plane, repo_path="/srv/a/site")
    again = await _ensure(plane, repo_path="/srv/a/site")
    assert (first.created, again.created, first.project.name) == (True, False, "site")
    assert again.project == first.project
    # "site_2" and "site%" must not count as names that begin with "site-".
    await _create(plane, name="site_2")
    second = await _ensure(plane, repo_path="/srv/b/site")
    third = await _ensure(plane, repo_path="/srv/c/site")
    assert [second.project.name, third.project.name] == ["site-2", "site-3"]
    assert (await _ensure(plane, repo_path="/")).project.name == "project"
    odd = await _ensure(plane, repo_path="/x/" + "n" * 199 + " tail")
    assert odd.project.name == "n" * 199


async def test_a_named_project_is_created_when_absent_and_keeps_its_directory(plane: Plane):
    made = await _ensure(plane, project="api", repo_path="/srv/api")
    assert made.created
    assert made.project.metadata["repo_path"] == "/srv/api"
    assert not (await _ensure(plane, project="api", repo_path="/elsewhere")).created
    assert (await _ensure(plane, project=made.project.id)).project == made.project
    assert (await _ensure(plane, repo_path="/srv/api")).project == made.project
    with pytest.raises(InvalidArgumentError):
        await _ensure(plane)


async def test_directories_of_one_name_that_come_at_once_get_names_of_their_own(plane: Plane):
    answers = await asyncio.gather(*(_ensure(plane, repo_path=f"/{i}/same") for i in range(4)))
    assert sorted(answer.project.name for answer in answers) == [
        "same",
        "same-2",
        "same-3",
        "same-4",
    ]


@pytest.mark.req("S0-17", "S0-38")
async def test_the_current_checkpoint_moves_only_from_what_was_expected(plane: Plane):
    project = await plane.project()
    project_id = uuid.UUID(project.id)
    first, second, third = (uuid.uuid4() for _ in range(3))

    async def advance(expected: uuid.UUID | None, target: uuid.UUID) -> bool:
        async with plane.db.write() as tx:
            return await advance_current_checkpoint(tx, project_id, expected, target)

    assert not await advance(first, second)
    assert await advance(None, first)
    assert not await advance(None, second)
    assert await advance(first, second)
    moved = await asyncio.gather(advance(second, third), advance(second, first))
    assert sorted(moved) == [False, True]
    shown = await _get(plane, project.id)
    assert shown.initial_checkpoint_id == str(first)
    assert shown.current_checkpoint_id == str(third if moved[0] else first)


async def test_two_writers_of_metadata_both_keep_what_they_added(plane: Plane):
    project = await plane.project()

    async def remember(name: str) -> None:
        async with plane.db.write() as tx:
            await remember_in_metadata(tx, uuid.UUID(project.id), **{name: [name]})

    await asyncio.gather(*(remember(name) for name in "abcdef"))
    shown = await _get(plane, project.id)
    assert sorted(shown.metadata.keys()) == list("abcdef")
