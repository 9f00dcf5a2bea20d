"""Who may reach the REST skin at all (decision C11)."""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any

import pytest
from served import ALL_METHODS, Served

from autovibe.skins.rest.guard import MAX_BODY_BYTES, local_hosts

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROJECTS = "/api/v1/projects"
PATHS = [PROJECTS, "/docs", "/openapi.json", "/healthz", "/nothing", "/api/v1/projects/x"]


async def problem(server: Served, verb: str, path: str, **options: Any) -> tuple[int, str]:
    answer = await server.request(verb, path, **options)
    return answer.status, (await answer.json())["reason"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer ", "Basic all", "all", ""])
async def test_nothing_is_answered_without_a_token(
    server: Served, path: str, header: str | None
) -> None:
    answer = await server.request("GET", path, headers={"authorization": header})
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert (await answer.json())["reason"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/healthz"])
async def test_a_token_opens_every_page(server: Served, path: str) -> None:
    answer = await server.request("GET", path)
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"


async def test_the_health_page_says_ok_only(server: Served) -> None:
    assert await (await server.request("GET", "/healthz")).text() == "ok"


@pytest.mark.parametrize("host", ["evil.example:80", "127.0.0.1", "localhost", "127.0.0.1:1", ""])
async def test_a_foreign_host_is_refused(server: Served, host: str) -> None:
    assert await problem(server, "GET", PROJECTS, headers={"host": host}) == (
        403,
        "HOST_NOT_ALLOWED",
    )


async def test_the_names_of_the_loopback_are_answered(server: Served) -> None:
    for host in local_hosts(server.rest.port):
        assert (await server.request("GET", PROJECTS, headers={"host": host})).status == 200


async def test_two_host_headers_are_refused(server: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.rest.port)
    host = f"127.0.0.1:{server.rest.port}"
    writer.write(
        f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n"
        "Authorization: Bearer all\r\nConnection: close\r\n\r\n".encode()
    )
    status = (await reader.readline()).split()[1]
    await reader.read()
    writer.close()
    await writer.wait_closed()
    assert status in {b"400", b"403"}


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1"]
)
async def test_a_page_of_another_site_is_refused(server: Served, origin: str) -> None:
    assert await problem(server, "GET", PROJECTS, headers={"origin": origin}) == (
        403,
        "ORIGIN_NOT_ALLOWED",
    )


async def test_a_page_of_its_own_is_answered(server: Served) -> None:
    answer = await server.request("GET", PROJECTS, headers={"origin": server.rest.url})
    assert answer.status == 200


async def test_a_page_under_another_allowed_name_is_still_another_site(server: Served) -> None:
    other = f"http://localhost:{server.rest.port}"
    assert await problem(server, "GET", PROJECTS, headers={"origin": other}) == (
        403,
        "ORIGIN_NOT_ALLOWED",
    )


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""]
)
async def test_a_change_must_be_declared_as_json(server: Served, kind: str) -> None:
    sent = await problem(
        server, "POST", PROJECTS, data=b'{"name": "forged"}', headers={"content-type": kind}
    )
    assert sent == (415, "CONTENT_TYPE_NOT_JSON")
    assert (await server.request("GET", f"{PROJECTS}/forged")).status == 404


async def test_no_operation_is_reached_by_what_a_foreign_form_can_send(stubs: Served) -> None:
    # A page of another site may send no DELETE before it has asked, and is told no.
    told = {"GET", "DELETE"}
    reached = [method for method in ALL_METHODS if method.http and method.http.verb not in told]
    assert len(reached) > 10
    for method in reached:
        path = re.sub("{[a-z_]+}", "abcdef01", method.http.template)
        for kind in ("text/plain", "multipart/form-data; boundary=x", None):
            sent = await problem(
                stubs, method.http.verb, path, data=b"{}", headers={"content-type": kind}
            )
            assert sent == (415, "CONTENT_TYPE_NOT_JSON"), method.name
        assert not stubs.stubs[method.service].calls


async def test_json_with_a_character_set_is_json(server: Served) -> None:
    kind = {"content-type": "Application/JSON; charset=utf-8"}
    answer = await server.request("POST", PROJECTS, data=b'{"name": "a"}', headers=kind)
    assert answer.status == 200


async def test_a_body_that_is_too_large_is_refused(server: Served) -> None:
    big = b'{"name": "' + b"a" * MAX_BODY_BYTES + b'"}'
    kind = {"content-type": "application/json"}
    declared = await server.request("POST", PROJECTS, data=io.BytesIO(big), headers=kind)
    assert (declared.status, (await declared.json())["reason"]) == (413, "REQUEST_TOO_LARGE")

    async def chunks():
        for start in range(0, len(big), 2**20):
            yield big[start : start + 2**20]

    undeclared = await server.request("POST", PROJECTS, data=chunks(), headers=kind)
    assert (undeclared.status, (await undeclared.json())["reason"]) == (413, "REQUEST_TOO_LARGE")


async def test_a_token_that_may_only_read_cannot_write(server: Served) -> None:
    reader = {"authorization": "Bearer reader"}
    assert (await server.request("GET", PROJECTS, headers=reader)).status == 200
    assert await problem(server, "POST", PROJECTS, json={"name": "a"}, headers=reader) == (
        403,
        "PERMISSION_DENIED",
    )
