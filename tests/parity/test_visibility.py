"""What one may not see is not there, in any rpc over any skin (E6); and who may do what."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from composed import Composed, composed
from google.protobuf.message import Message
from served import ALL_METHODS, call
from stubs import sample
from walk import Walk
from walk_steps import walk

from autovibe.db.base import Base
from autovibe.db.discovery import load_models
from autovibe.db.visibility import limited_tables
from autovibe.kernel.errors import AutovibeError, Code
from autovibe.kernel.permissions import (
    LEAST_ROLE,
    OF_MACHINES,
    OF_OUR_PROCESSES,
    ROLES,
    may_somewhere,
)
from autovibe.kernel.protojson import to_json_bytes
from autovibe.sdk.contract import Method
from autovibe.sdk.grpc_remote import connect_grpc
from autovibe.sdk.remote import connect_http
from autovibe.sdk.services import Services, build_services
from autovibe.v1 import identity_pb2, options_pb2, projects_pb2

in_module = pytest.mark.asyncio(loop_scope="module")
PEOPLE: Final = options_pb2.AUDIENCE_PEOPLE
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

NOT_OF_A_PROJECT: Final = {
    "api_tokens": "a service shows one's own only",
    "hub_checkpoints": "a hub serves every project, and no operation for people shows it",
    "hub_experiments": "as hub_checkpoints",
    "hub_instances": "as hub_checkpoints",
}
"""Tables that lead to a project by some key and are not limited, each with its reason."""
OF_NO_PROJECT: Final = {
    "CheckTaskContext": "it looks at agents of this host",
    "GetExchangeRate": "rates are the same for all",
    "ListExchangeRates": "as GetExchangeRate",
    "ListWorkers": "workers serve every project",
    "GetWorker": "as ListWorkers",
    "WhoAmI": "it is about the caller",
    "Logout": "as WhoAmI",
    "ChangePassword": "as WhoAmI",
    "RequestEmailVerification": "as WhoAmI",
    "Login": "it is called without a token",
    "VerifyEmail": "as Login",
    "CreateProject": "it makes one of the caller's own, or the name is taken",
    "EnsureProject": "as CreateProject",
}
"""Operations for people that name no project and nothing in one."""


_NAMING: Final = {"project", "task_id", "checkpoint_id", "machine_id", "work_order_id"}
_MOVING: Final[set[str]] = set()


@dataclass(frozen=True)
class World:
    """A control plane after a walk, what the walk asked for, and clients of people of each role."""

    composed: Composed
    asked: list[tuple[Method, Message]]
    http: dict[str, Services]
    grpc: dict[str, Services]
    ids: set[str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World, None]:
    """Give a world in which nobody but the owner belongs to the project."""
    home: Path = tmp_path_factory.mktemp("visible")
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(composed(home))
        asked: list[tuple[Method, Message]] = []

        def noting(method: Method) -> Any:
            async def noted(request: Message, /) -> Message:
                kept = method.request_type()
                kept.CopyFrom(request)
                asked.append((method, kept))
                return await call(one.local, method, request)

            return noted

        services = build_services(noting)
        going = Walk(services, services, one.plane, home)
        await walk(going)
        http: dict[str, Services] = {}
        grpc: dict[str, Services] = {}
        for role in ROLES:
            secret = await _token_of(one, role)
            http[role] = await stack.enter_async_context(connect_http(one.rest.url, secret))
            grpc[role] = await stack.enter_async_context(connect_grpc(one.grpc.target, secret))
        yield World(one, asked, http, grpc, set(going.names))


async def _token_of(one: Composed, role: str) -> str:
    name = f"stranger-{role}"
    await one.local.identity.create_user(
        identity_pb2.CreateUserRequest(
            username=name, email=f"{name}@example.org", role=role, password="long enough"
        )
    )
    made = await one.local.identity.create_token(
        identity_pb2.CreateTokenRequest(name=role, user_id=name)
    )
    return made.secret


def test_every_table_of_a_project_is_limited_or_says_why_not() -> None:
    load_models()
    tables = Base.metadata.tables
    reached = {"projects"}
    while True:
        more = {
            name
            for name, table in tables.items()
            if any(key.column.table.name in reached for key in table.foreign_keys)
        } - reached
        if not more:
            break
        reached |= more
    assert reached - limited_tables() == set(NOT_OF_A_PROJECT)


@pytest.mark.req("S3-09")
def test_every_permission_has_a_least_role() -> None:
    named = {method.operation.permission for method in ALL_METHODS}
    assert named - {OF_OUR_PROCESSES, OF_MACHINES, "none"} <= set(LEAST_ROLE)
    for role in ROLES:
        for permission in (OF_OUR_PROCESSES, OF_MACHINES):
            assert not may_somewhere(role, permission), role
    for method in ALL_METHODS:
        operation = method.operation
        assert operation.anonymous == (operation.permission == "none"), method.name
        if operation.audience == PEOPLE:
            assert operation.permission != OF_OUR_PROCESSES, method.name
        if operation.kind != options_pb2.OPERATION_KIND_READ and not operation.anonymous:
            least = LEAST_ROLE.get(operation.permission, "admin")
            reads = operation.permission.endswith(".read")  # long ones that read
            own = operation.permission in {"account", "tokens.write"}
            assert reads or own or least != "viewer", method.name


@in_module
@pytest.mark.parametrize("skin", ["http", "grpc"])
@pytest.mark.req("S3-09")
async def test_every_rpc_is_refused_to_who_lacks_the_role(world: World, skin: str) -> None:
    rng = random.Random(7)
    for role in ROLES:
        services = getattr(world, skin)[role]
        for method in ALL_METHODS:
            allowed = may_somewhere(role, method.operation.permission)
            if allowed or method.operation.anonymous:
                continue
            with pytest.raises(AutovibeError) as caught:
                await call(services, method, sample(method.descriptor.input_type, rng))
            assert caught.value.code is Code.PERMISSION_DENIED, (role, method.name)


@in_module
@pytest.mark.parametrize("skin", ["http", "grpc"])
async def test_every_rpc_is_refused_without_a_token(world: World, skin: str) -> None:
    one = world.composed
    opened = (
        connect_http(one.rest.url, "avt_none")
        if skin == "http"
        else connect_grpc(one.grpc.target, "avt_none")
    )
    async with opened as services:
        for method in ALL_METHODS:
            if method.operation.anonymous or (skin == "http" and method.http is None):
                continue
            with pytest.raises(AutovibeError) as caught:
                await call(services, method, sample(method.descriptor.input_type, random.Random(7)))
            assert caught.value.code is Code.UNAUTHENTICATED, method.name


@in_module
@pytest.mark.parametrize("skin", ["http", pytest.param("grpc", marks=pytest.mark.long)])
async def test_nothing_of_anothers_project_is_there_for_a_stranger(world: World, skin: str) -> None:
    """Ask again, as a stranger, for all that the owner of the project asked for."""
    services = getattr(world, skin)["developer"]
    found: set[str] = set()
    for method, request in world.asked:
        name = method.descriptor.name
        if method.operation.audience != PEOPLE or name in OF_NO_PROJECT:
            continue
        if not may_somewhere("developer", method.operation.permission):
            continue
        found.add(name)
        said = await _said(services, method, request)
        if said.upper() == said:
            assert said in {"NOT_FOUND", "INVALID_ARGUMENT", "PERMISSION_DENIED"}, name
        assert not set(_ID.findall(said)) & world.ids, (name, request, said)
    assert len(found) > 30


async def _said(services: Services, method: Method, request: Message) -> str:
    """Return an answer as text, or the code of the error."""
    try:
        return to_json_bytes(await call(services, method, request)).decode()
    except AutovibeError as error:
        return error.code.value


@in_module
async def test_a_member_sees_the_project_and_does_what_the_role_there_allows(world: World) -> None:
    one = world.composed
    await one.local.projects.add_project_member(
        projects_pb2.AddProjectMemberRequest(
            project="website", user_id="stranger-developer", role="viewer"
        )
    )
    mine = world.http["developer"].projects
    seen = await mine.get_project(projects_pb2.GetProjectRequest(project="website"))
    assert seen.name == "website"
    change = projects_pb2.UpdateProjectRequest(project="website", description="Mine")
    with pytest.raises(AutovibeError) as caught:
        await mine.update_project(change)
    assert caught.value.code is Code.PERMISSION_DENIED
    await one.local.projects.add_project_member(
        projects_pb2.AddProjectMemberRequest(
            project="website", user_id="stranger-developer", role="developer"
        )
    )
    assert (await mine.update_project(change)).description == "Mine"
    member = projects_pb2.AddProjectMemberRequest(project="website", user_id="robot")
    with pytest.raises(AutovibeError) as caught:
        await mine.add_project_member(member)
    assert caught.value.code is Code.PERMISSION_DENIED
    await one.local.projects.remove_project_member(
        projects_pb2.RemoveProjectMemberRequest(project="website", user_id="stranger-developer")
    )
    with pytest.raises(AutovibeError) as caught:
        await mine.get_project(projects_pb2.GetProjectRequest(project="website"))
    assert caught.value.code is Code.NOT_FOUND


@in_module
async def test_a_member_reads_what_the_owner_reads(world: World) -> None:
    one = world.composed
    listed = await one.local.projects.list_projects(projects_pb2.ListProjectsRequest())
    for project in listed.projects:
        await one.local.projects.add_project_member(
            projects_pb2.AddProjectMemberRequest(
                project=project.id, user_id="stranger-developer", role="admin"
            )
        )
    compared: set[str] = set()
    for method, request in world.asked:
        reads = method.operation.permission.endswith(".read")
        shown = {field.name for field, _ in request.ListFields()}
        if not reads or method.operation.audience != PEOPLE or not shown & _NAMING:
            continue
        if not may_somewhere("developer", method.operation.permission):
            continue
        mine = await _said(world.http["developer"], method, request)
        if mine != await _said(one.local, method, request):
            assert method.descriptor.name in _MOVING, (method.name, request, mine)
        compared.add(method.descriptor.name)
    assert len(compared) > 15
    for project in listed.projects:
        await one.local.projects.remove_project_member(
            projects_pb2.RemoveProjectMemberRequest(
                project=project.id, user_id="stranger-developer"
            )
        )


@in_module
async def test_who_makes_a_project_is_its_admin(world: World) -> None:
    mine = world.http["developer"].projects
    made = await mine.create_project(projects_pb2.CreateProjectRequest(name="of my own"))
    members = await mine.list_project_members(
        projects_pb2.ListProjectMembersRequest(project=made.id)
    )
    assert [(one.username, one.role) for one in members.members] == [
        ("stranger-developer", "admin")
    ]
    with pytest.raises(AutovibeError) as caught:
        await mine.create_project(projects_pb2.CreateProjectRequest(name="website"))
    assert caught.value.reason == "PROJECT_EXISTS"
    with pytest.raises(AutovibeError) as caught:
        await mine.create_project(projects_pb2.CreateProjectRequest(name="x", repo_path="/srv"))
    assert caught.value.code is Code.PERMISSION_DENIED
