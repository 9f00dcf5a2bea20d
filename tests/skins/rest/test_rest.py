"""REST: JSON in and out, errors as problem documents."""

from __future__ import annotations

import json
from typing import Any

import pytest
from served import Served, served
from stubs import LongStub, Stub
from yarl import URL

from autovibe.db import Database
from autovibe.skins.errors import PortTakenError
from autovibe.skins.rest import serve_rest
from autovibe.v1 import work_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROJECTS = "/api/v1/projects"


async def refused(server: Served, verb: str, path: str, **options: Any) -> dict[str, Any]:
    """Return the problem that answers a request, checked for its shape."""
    answer = await server.request(verb, path, **options)
    assert answer.content_type == "application/problem+json"
    problem = await answer.json()
    assert set(problem) == {
        *("type", "title", "status", "detail", "code", "reason", "params", "request_id"),
    }
    assert problem["status"] == answer.status
    assert problem["type"] == "about:blank"
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


async def test_a_project_is_made_listed_and_found_by_a_name_with_a_slash(server: Served) -> None:
    made = await server.request("POST", PROJECTS, json={"name": "a/b ü", "greediness": "0.75"})
    assert made.status == 200
    project = await made.json()
    assert (project["name"], project["greediness"], project["metadata"]) == ("a/b ü", "0.75", {})
    assert project["created_at"].endswith("Z")
    listed = await server.request("GET", PROJECTS, params={"page_size": "500"})
    document = await listed.json()
    assert set(document) == {"projects", "next_page_token"}
    assert project in document["projects"]
    found = await server.session.get(
        f"{server.rest.url}{PROJECTS}/a%2Fb%20%C3%BC", headers={"authorization": "Bearer all"}
    )
    assert (found.status, await found.json()) == (200, project)


async def test_an_error_of_a_service_is_a_problem(server: Served) -> None:
    problem = await refused(server, "GET", f"{PROJECTS}/ghost")
    assert problem["status"] == 404
    assert problem["title"] == "Not Found"
    assert problem["code"] == "NOT_FOUND"
    assert problem["reason"] == "PROJECT_NOT_FOUND"
    assert problem["params"] == {"project": "ghost"}
    assert problem["detail"] == "There is no project 'ghost'; see `autovibe project list`."


@pytest.mark.parametrize(
    ("body", "field", "detail"),
    [
        ({}, "name", "name must be given."),
        ({"name": 5}, "name", "name must be text."),
        ({"name": None}, "name", "name must be text."),
        ({"name": "a", "nmae": "b"}, "nmae", "nmae is not known."),
        ({"name": "a", "repoPath": "/"}, "repoPath", "repoPath is not known."),
        (
            {"name": 1, "description": [], "x": 0},
            "name",
            "name must be text; description must be text; x is not known.",
        ),
        ({"name": "a" * 256}, "name", "name must have at most 255 characters."),
        ([], "body", "body must be an object."),
        ("text", "body", "body must be an object."),
    ],
)
async def test_a_malformed_body_is_refused(
    server: Served, body: Any, field: str, detail: str
) -> None:
    problem = await refused(server, "POST", PROJECTS, json=body)
    assert (problem["status"], problem["reason"]) == (400, "INVALID_ARGUMENT")
    assert problem["params"] == {"field": field}
    assert problem["detail"] == detail


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff", b'{"name": "\\ud800"}', b"[" * 100_000, b"", b"nul", b'{"name": "a\\u0000"}'],
)
async def test_a_body_that_cannot_be_read_is_refused(server: Served, body: bytes) -> None:
    problem = await refused(
        server, "POST", PROJECTS, data=body, headers={"content-type": "application/json"}
    )
    assert (problem["status"], problem["reason"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ('{"a": "\\ud800"}', "fit"),
        ('{"a": 1' + "0" * 400 + "}", "fit"),
        ('{"a": ' * 200 + "1" + "}" * 200, "fit"),
        ("[]", "must be an object"),
    ],
)
async def test_free_data_that_no_message_can_hold_is_refused(
    stubs: Served, metadata: str, why: str
) -> None:
    body = f'{{"project": "p", "metadata": {metadata}}}'.encode()
    problem = await refused(
        stubs, "POST", "/api/v1/tasks", data=body, headers={"content-type": "application/json"}
    )
    assert (problem["status"], problem["reason"]) == (400, "INVALID_ARGUMENT")
    assert why in problem["detail"]


async def test_wrong_types_deep_in_a_body_are_named_by_their_path(stubs: Served) -> None:
    body = {"project": "p", "context": {"timeout_s": "60", "agent_args": ["a", 1], "modle": ""}}
    problem = await refused(stubs, "POST", "/api/v1/tasks", json=body)
    assert problem["detail"] == (
        "context.timeout_s must be a whole number; context.agent_args[1] must be text; "
        "context.modle is not known."
    )


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("pagesize=1", "pagesize"),
        ("page_size=ten", "page_size"),
        ("page_size=1_0", "page_size"),
        ("page_size=-1", "page_size"),
        ("page_size=501", "page_size"),
        ("page_size=99999999999", "page_size"),
        ("page_size=1&page_size=2", "page_size"),
        ("page_size=", "page_size"),
    ],
)
async def test_a_malformed_query_is_refused(server: Served, query: str, field: str) -> None:
    problem = await refused(server, "GET", f"{PROJECTS}?{query}")
    assert (problem["status"], problem["reason"]) == (400, "INVALID_ARGUMENT")
    assert problem["params"] == {"field": field}


async def test_an_unknown_query_parameter_of_a_change_is_refused(server: Served) -> None:
    problem = await refused(server, "POST", f"{PROJECTS}?dry_run=true", json={"name": "dry"})
    assert problem["params"] == {"field": "dry_run"}
    assert (await server.request("GET", f"{PROJECTS}/dry")).status == 404


async def test_a_list_in_a_query_is_given_by_repeating(stubs: Served) -> None:
    await stubs.request("GET", "/api/v1/tasks?statuses=queued&statuses=blocked")
    _, request = stubs.stubs["autovibe.v1.WorkService"].calls.pop()
    assert list(request.statuses) == ["queued", "blocked"]


async def test_bools_and_times_in_a_query_are_read(stubs: Served) -> None:
    await stubs.request("GET", "/api/v1/checkpoints/abcdefab/diff?home=true&with_patch=false")
    _, request = stubs.stubs["autovibe.v1.CheckpointService"].calls.pop()
    assert (request.checkpoint_id, request.home, request.with_patch) == ("abcdefab", True, False)
    problem = await refused(stubs, "GET", "/api/v1/checkpoints/abcdefab/diff?home=yes")
    assert problem["detail"] == "home must be true or false."
    await stubs.request("GET", "/api/v1/usage?since=2026-01-31T12:00:00Z")
    _, request = stubs.stubs["autovibe.v1.MeteringService"].calls.pop()
    assert request.since.ToJsonString() == "2026-01-31T12:00:00Z"
    problem = await refused(stubs, "GET", "/api/v1/usage?since=yesterday")
    assert problem["detail"] == "since must be a time such as 2026-01-31T12:00:00Z."


async def test_a_change_without_fields_needs_no_body(stubs: Served) -> None:
    answer = await stubs.request(
        "POST", "/api/v1/tasks/abcdefab:pause", headers={"content-type": "application/json"}
    )
    assert answer.status == 200
    _, request = stubs.stubs["autovibe.v1.WorkService"].calls.pop()
    assert request.task_id == "abcdefab"


async def test_large_numbers_are_numbers_and_absent_messages_are_left_out(stubs: Served) -> None:
    text = await (await stubs.request("GET", "/api/v1/tasks/abcdefab/result")).text()
    result = json.loads(text)
    assert result["checkpoint_count"] == 0
    assert result["files_changed"] == []
    assert "error" not in result


@pytest.mark.parametrize(
    ("verb", "path", "status", "reason"),
    [
        ("GET", "/", 404, "NOT_FOUND"),
        ("GET", "/api/v1/nothing", 404, "NOT_FOUND"),
        ("GET", f"{PROJECTS}/", 404, "NOT_FOUND"),
        ("DELETE", PROJECTS, 405, "METHOD_NOT_ALLOWED"),
        ("GET", f"{PROJECTS}/%FF", 400, "INVALID_ARGUMENT"),
    ],
)
async def test_what_is_not_there_is_a_problem_too(
    server: Served, verb: str, path: str, status: int, reason: str
) -> None:
    answer = await server.session.request(
        verb,
        URL(server.rest.url + path, encoded=True),
        headers={"authorization": "Bearer all", "content-type": "application/json"},
    )
    problem = await answer.json()
    assert (answer.status, problem["status"], problem["reason"]) == (status, status, reason)


@pytest.mark.parametrize(
    ("verb", "path", "allow"),
    [
        ("DELETE", PROJECTS, "GET, POST"),
        ("PUT", f"{PROJECTS}/website", "GET, PATCH"),
        ("GET", "/api/v1/tasks/abcdefab:pause", "POST"),
        ("GET", "/api/v1/projects/a:b/checkpoints:import", "POST"),
        ("TRACE", "/api/v1/tasks", "GET, POST"),
        ("OPTIONS", "/api/v1/tasks/abcdefab", "GET, PATCH"),
        ("POST", "/healthz", "GET, HEAD"),
    ],
)
async def test_a_method_that_a_path_does_not_take_is_told_with_those_that_it_takes(
    server: Served, verb: str, path: str, allow: str
) -> None:
    # Without a content type: what a path does not take at all is said before how to send it.
    answer = await server.request(verb, path)
    assert (answer.status, answer.headers["allow"]) == (405, allow)
    assert (await answer.json())["reason"] == "METHOD_NOT_ALLOWED"


async def test_an_id_with_a_verb_behind_it_is_no_id(stubs: Served) -> None:
    answer = await stubs.request("GET", "/api/v1/tasks/abcdefab:dance")
    assert (answer.status, (await answer.json())["reason"]) == (404, "NOT_FOUND")
    # The name of a project may hold a colon.
    await stubs.request("GET", f"{PROJECTS}/a:b")
    _, request = stubs.stubs["autovibe.v1.ProjectService"].calls.pop()
    assert request.project == "a:b"


async def test_a_whole_number_may_have_a_point(stubs: Served) -> None:
    path = "/api/v1/tasks/abcdefab:resume"
    assert (await stubs.request("POST", path, json={"timeout_s": 60.0})).status == 200
    _, request = stubs.stubs["autovibe.v1.WorkService"].calls.pop()
    assert request.timeout_s == 60
    for value in (60.5, 1e300, "60", True):
        problem = await refused(stubs, "POST", path, json={"timeout_s": value})
        assert problem["params"] == {"field": "timeout_s"}


async def test_bytes_are_base64(sqlite: Database) -> None:
    async def patch(*_: object) -> work_pb2.GetTaskPatchResponse:
        return work_pb2.GetTaskPatchResponse(patch=b"\xff\0")

    work = Stub("autovibe.v1.WorkService", get_task_patch=LongStub(patch))
    async with served(sqlite, WorkService=work) as server:
        answer = await server.request("GET", "/api/v1/tasks/abcdefab/patch")
        assert (await answer.json())["patch"] == "/wA="
        document = await (await server.request("GET", "/openapi.json")).json()
    shown = document["components"]["schemas"]["GetTaskPatchResponse"]["properties"]["patch"]
    assert shown["contentEncoding"] == "base64"


async def test_what_nobody_expected_tells_nothing_but_its_request_id(sqlite: Database) -> None:
    async def broken(*_: object) -> None:
        msg = "secret detail"
        raise RuntimeError(msg)

    async with served(sqlite) as server:
        operation = server.operations.registry.get("autovibe.v1.ProjectService/GetProject")
        object.__setattr__(operation, "implementation", broken)
        problem = await refused(server, "GET", f"{PROJECTS}/a")
    assert (problem["status"], problem["reason"]) == (500, "INTERNAL")
    assert "secret" not in json.dumps(problem)
    assert problem["request_id"] in problem["detail"]


async def test_a_taken_port_is_said_at_once(server: Served, sqlite: Database) -> None:
    with pytest.raises(PortTakenError) as caught:
        async with serve_rest(server.operations, None, "127.0.0.1", server.rest.port):
            pytest.fail("two servers share one port")
    assert caught.value.message == (
        f"Port {server.rest.port} on 127.0.0.1 is taken by another program; stop it or choose "
        "another port."
    )
