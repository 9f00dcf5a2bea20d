"""`autovibe logs -f` through the death of the server."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest
from cli_user import User
from serving import free_port

_LINES = 300


async def _up(user: User, ports: tuple[str, ...]) -> asyncio.subprocess.Process:
    """Start the server and wait until it answers to this home."""
    told = user.home / ".autovibe/server.json"
    told.unlink(missing_ok=True)
    process = await user.start("up", "--slots", "0", *ports)
    for _ in range(1200):
        if told.exists() or process.returncode is not None:
            break
        await asyncio.sleep(0.05)
    assert told.exists()
    return process


@pytest.mark.long
async def test_a_follower_sees_each_line_once_though_the_server_is_killed(user: User) -> None:
    ports = ("--http-port", str(free_port()), "--grpc-port", str(free_port()))
    server = await _up(user, ports)
    worker = await user.start(
        "worker", "start", "--json", environment={"AUTOVIBE_DATABASE_URL": "sqlite:////nowhere/x"}
    )
    assert worker.stdout is not None
    await worker.stdout.readline()
    script = f"for i in $(seq {_LINES}); do echo line $i; sleep 0.05; done"
    run = await user.start(
        "run", "x", "--agent", "shell", "--repo", str(user.repo), "--json",
        "--", "/bin/sh", "-c", script,
    )  # fmt: skip
    task_id = ""
    while not task_id:
        listed = (await user.autovibe("task", "list", "--json")).json["tasks"]
        task_id = listed[0]["id"] if listed else ""
    following = await user.start("logs", task_id, "-f", "--json")
    assert following.stdout is not None
    seen: list[str] = []
    third = asyncio.Event()

    async def read() -> None:
        assert following.stdout is not None
        async for line in following.stdout:
            entry = json.loads(line)
            if entry["event"]["kind"] == "agent":
                seen.append(entry["message"])
            if len(seen) >= _LINES // 3:
                third.set()

    reading = asyncio.create_task(read())
    await third.wait()
    server.send_signal(signal.SIGKILL)
    await server.wait()
    server = await _up(user, ports)
    await asyncio.wait_for(reading, 90)
    assert await following.wait() == 0
    run.send_signal(signal.SIGKILL)
    await run.wait()
    assert seen == [f"line {number}" for number in range(1, _LINES + 1)]
