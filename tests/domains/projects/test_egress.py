from __future__ import annotations

import pytest
from plane import Plane

from autovibe.domains.projects.egress import stated_egress
from autovibe.domains.projects.errors import ProjectNotFoundError
from autovibe.kernel.egress import parse_rules
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import projects_pb2


async def state(plane: Plane, *allow: str, inherited: bool = False) -> projects_pb2.Egress:
    return await plane.services.projects.set_egress(
        projects_pb2.SetEgressRequest(
            project="website", egress=projects_pb2.Egress(allow=allow, inherited=inherited)
        )
    )


async def stated(plane: Plane) -> projects_pb2.Egress:
    return await plane.services.projects.get_egress(
        projects_pb2.GetEgressRequest(project="website")
    )


async def test_a_project_reaches_nothing_until_its_list_says_so(plane: Plane):
    await plane.project()
    assert await stated(plane) == projects_pb2.Egress(inherited=True)
    told = await state(
        plane, "Packages.Example.net", "*.example.org:8443", "packages.example.net:443"
    )
    assert list(told.allow) == ["packages.example.net", "*.example.org:8443"]
    assert await stated(plane) == told
    # An empty list of its own is not the same as none.
    assert await state(plane) == await stated(plane) == projects_pb2.Egress()
    await state(plane, inherited=True)
    assert (await stated(plane)).inherited


async def test_a_project_keeps_what_else_its_metadata_has(one_plane: Plane):
    await one_plane.services.projects.ensure_project(
        projects_pb2.EnsureProjectRequest(project="website", repo_path="/srv/website")
    )
    await state(one_plane, "packages.example.net")
    found = await one_plane.services.projects.get_project(
        projects_pb2.GetProjectRequest(project="website")
    )
    assert found.metadata["repo_path"] == "/srv/website"


async def test_malformed_hosts_and_unknown_projects_are_refused(one_plane: Plane):
    with pytest.raises(ProjectNotFoundError):
        await state(one_plane, "packages.example.net")
    await one_plane.project()
    await state(one_plane, "packages.example.net")
    for text in ("*", "https://packages.example.net", "packages.example.net/simple"):
        with pytest.raises(InvalidArgumentError):
            await state(one_plane, "example.org", text)
    assert list((await stated(one_plane)).allow) == ["packages.example.net"]


def test_the_settings_serve_projects_without_a_list_of_their_own():
    default = parse_rules(["packages.example.net"])
    assert stated_egress({}, default) == projects_pb2.Egress(
        allow=["packages.example.net"], inherited=True
    )
    assert stated_egress({"egress_allow": []}, default) == projects_pb2.Egress()
    assert stated_egress({"egress_allow": None}, default).inherited
