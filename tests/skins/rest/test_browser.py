"""Sessions of browsers: one link, one cookie, and no change unasked (decision C11)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from http.cookies import SimpleCookie

import pytest
import pytest_asyncio
from served import Served, served

from autovibe.db import Database
from autovibe.domains.identity import IdentityService
from autovibe.domains.projects import ProjectService

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROJECTS = "/api/v1/projects"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(sqlite: Database) -> AsyncGenerator[Served]:
    """A server whose people and projects are real."""
    async with served(
        sqlite, IdentityService=IdentityService(), ProjectService=ProjectService()
    ) as serving:
        yield serving


async def link(server: Served) -> str:
    answer = await server.request("POST", "/api/v1/browser-links", json={})
    assert answer.status == 200, await answer.text()
    return (await answer.json())["path"]


async def session(server: Served) -> str:
    """Follow a link as a browser does, and return the header `Cookie` of what it has then."""
    answer = await server.request(
        "GET", await link(server), headers={"authorization": None}, allow_redirects=False
    )
    assert (answer.status, answer.headers["location"]) == (303, "/docs")
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert (cookie["httponly"], cookie["samesite"].lower(), cookie["path"]) == (True, "strict", "/")
    assert str(server.rest.port) in cookie.key
    return f"{cookie.key}={cookie.value}"


async def asked(server: Served, verb: str, path: str, cookie: str, **headers: str) -> int:
    answer = await server.request(
        verb,
        path,
        json={"name": "made-in-a-browser"} if verb == "POST" else None,
        headers={"authorization": None, "cookie": cookie} | headers,
    )
    return answer.status


async def test_a_link_logs_a_browser_in_once(server: Served) -> None:
    path = await link(server)
    bare = {"headers": {"authorization": None}, "allow_redirects": False}
    assert (await server.request("GET", path, **bare)).status == 303
    again = await server.request("GET", path, **bare)
    assert again.status == 401
    assert "autovibe open" in (await again.json())["detail"]
    assert (await server.request("GET", "/browser/avt_guessed", **bare)).status == 401


async def test_a_cookie_opens_every_page(server: Served) -> None:
    cookie = await session(server)
    for path in ("/docs", "/openapi.json", PROJECTS):
        assert await asked(server, "GET", path, cookie) == 200


async def test_a_change_needs_what_only_a_page_of_ours_can_learn(server: Served) -> None:
    cookie = await session(server)
    assert await asked(server, "POST", PROJECTS, cookie) == 403
    assert await asked(server, "POST", PROJECTS, cookie, **{"x-csrf-token": "guessed"}) == 403
    told = await server.request(
        "GET", "/browser", headers={"authorization": None, "cookie": cookie}
    )
    csrf = (await told.json())["csrf_token"]
    assert await asked(server, "POST", PROJECTS, cookie, **{"x-csrf-token": csrf}) == 200
    other = await session(server)
    assert await asked(server, "POST", PROJECTS, other, **{"x-csrf-token": csrf}) == 403


async def test_a_page_of_another_port_changes_nothing(server: Served) -> None:
    cookie = await session(server)
    told = await server.request(
        "GET", "/browser", headers={"authorization": None, "cookie": cookie}
    )
    csrf = {"x-csrf-token": (await told.json())["csrf_token"]}
    origin = {"origin": "http://127.0.0.1:1"}
    assert await asked(server, "POST", PROJECTS, cookie, **csrf, **origin) == 403
    foreign = await server.request(
        "GET", "/browser", headers={"authorization": None, "cookie": cookie} | origin
    )
    assert foreign.status == 403


async def test_a_session_that_was_ended_opens_nothing(server: Served) -> None:
    cookie = await session(server)
    headers = {"authorization": None, "cookie": cookie}
    told = await server.request("GET", "/browser", headers=headers)
    headers["x-csrf-token"] = (await told.json())["csrf_token"]
    ended = await server.request("POST", "/api/v1/logout", json={}, headers=headers)
    assert await ended.json() == {"ended": True}
    assert await asked(server, "GET", PROJECTS, cookie) == 401


async def test_a_token_in_the_header_counts_and_not_the_cookie(server: Served) -> None:
    answer = await server.request(
        "GET", PROJECTS, headers={"authorization": "Bearer wrong", "cookie": await session(server)}
    )
    assert answer.status == 401


async def test_a_link_is_no_token(server: Served) -> None:
    secret = (await link(server)).rpartition("/")[2]
    answer = await server.request("GET", PROJECTS, headers={"authorization": f"Bearer {secret}"})
    assert answer.status == 401
