"""`autovibe up`, and the commands of the same home as its clients."""

from __future__ import annotations

import asyncio
import signal
import socket

import aiohttp
import pytest
from cli_user import User, ended
from serving import free_port, server_of

from autovibe.testing.demo_repository import PROMPT


async def test_a_run_is_done_by_the_server_of_its_home(user: User) -> None:
    async with server_of(user) as server:
        run = await user.run(PROMPT)
        assert run.status == 0, run.err
        assert "build.log" in [item["path"] for item in run.json["files_changed"]]
        # The key is the server's: the client has none.
        headers = {"Authorization": f"Bearer {server['token']}"}
        async with (
            aiohttp.ClientSession(server["url"], headers=headers) as http,
            http.get(f"/api/v1/tasks/{run.json['task_id']}") as answer,
        ):
            assert answer.status == 200
            assert (await answer.json())["status"] == "completed"
        interrupted = await user.start(
            "run", "--repo", str(user.repo), "--json", "wait", "--agent", "shell",
            "--", "/bin/sh", "-c", "touch ready; exec sleep 300",
        )  # fmt: skip
        machines = user.home / ".autovibe/machines"
        for _ in range(600):
            if list(machines.glob("*/tree/workspace/ready")):
                break
            await asyncio.sleep(0.05)
        interrupted.send_signal(signal.SIGINT)
        stopped = await ended(interrupted)
        assert stopped.status == 130, stopped.err
        assert stopped.json["error"]["reason"] == "INTERRUPTED"
        assert "ready" in [item["path"] for item in stopped.json["files_changed"]]


async def test_a_server_needs_a_token_the_right_host_and_no_foreign_origin(user: User) -> None:
    async with server_of(user) as server, aiohttp.ClientSession(server["url"]) as http:
        bearer = {"Authorization": f"Bearer {server['token']}"}

        async def status(path: str, **headers: str) -> int:
            async with http.get(path, headers=headers) as answer:
                return answer.status

        for path in ("/api/v1/projects", "/docs", "/openapi.json"):
            assert await status(path) == 401
            assert await status(path, **bearer) == 200
        assert await status("/api/v1/projects", **bearer, Host="evil.example") in {400, 403, 421}
        assert await status("/api/v1/projects", **bearer, Origin="http://evil.example") == 403
        assert await status("/llm/anthropic/v1/models", **bearer) == 404


@pytest.mark.parametrize("option", ["--http-port", "--grpc-port"])
async def test_a_taken_port_is_said(user: User, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"--http-port": str(free_port()), "--grpc-port": str(free_port())}
        ports[option] = str(port)
        told = await user.autovibe("up", *(part for pair in ports.items() for part in pair))
    assert told.status == 1
    assert str(port) in told.err
    assert "Traceback" not in told.err
    assert not (user.home / ".autovibe/server.json").exists()
