"""`autovibe worker`: a process that does orders without a database."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cli_user import User, ended, processes_mentioning
from serving import server_of

from autovibe.testing.demo_repository import PROMPT

# Opening it would fail at once: nothing listens on port 1.
NO_DATABASE = {"AUTOVIBE_DATABASE_URL": "postgresql://nobody:none@127.0.0.1:1/none"}


@asynccontextmanager
async def worker_of(user: User, *options: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run `autovibe worker start` until the block ends."""
    process = await user.start("worker", "start", "--json", *options, environment=NO_DATABASE)
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 60)
    assert b"worker_id" in line, await ended(process)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            stopped = await asyncio.wait_for(ended(process), 60)
            assert stopped.status == 0, stopped.err


def open_files(pid: int) -> list[str]:
    return [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]


async def test_a_worker_without_a_database_does_the_whole_job(user: User) -> None:
    async with server_of(user, "--slots", "0"), worker_of(user) as worker:
        run = await user.run(PROMPT)
        assert run.status == 0, run.err
        assert run.json["status"] == "completed"
        assert not [name for name in open_files(worker.pid) if "autovibe.db" in name]
        applied = await user.autovibe("apply", run.json["task_id"], "--branch", "by-a-worker")
        assert applied.status == 0, applied.err


@pytest.mark.long
async def test_a_worker_that_is_stopped_pauses_its_task_and_another_goes_on(user: User) -> None:
    async with server_of(user, "--slots", "0"):
        async with worker_of(user) as worker:
            run = await user.start(
                "run", "--repo", str(user.repo), "--json", "wait", "--agent", "shell",
                "--", "/bin/sh", "-c", "test -e kept && exit 0; touch kept; exec sleep 300",
            )  # fmt: skip
            machines = user.home / ".autovibe/machines"
            for _ in range(600):
                if list(machines.glob("*/tree/workspace/kept")):
                    break
                await asyncio.sleep(0.05)
            worker.send_signal(signal.SIGTERM)
            stopped = await asyncio.wait_for(ended(worker), 60)
            assert stopped.status == 0, stopped.err
            told = await asyncio.wait_for(ended(run), 60)
        assert told.json["error"]["reason"] == "INTERRUPTED"
        async with worker_of(user, "--slots", "2"):
            resumed = await user.autovibe("task", "resume", told.json["task_id"], "--json")
        assert resumed.status == 0, resumed.err


@pytest.mark.long
@pytest.mark.parametrize(
    "point",
    [
        "order_claimed",
        "machine_recorded",
        "machine_spawned",
        "after_hold",
        "after_forward",
        "after_settle",
        "checkpoint_recorded",
        "before_final_checkpoint",
        "before_finish",
        "after_finish",
    ],
)
async def test_wherever_a_worker_is_killed_another_one_completes_its_task(
    user: User, point: str
) -> None:
    async with server_of(user, "--slots", "0"):
        doomed = await user.start(
            "worker", "start", "--json", environment={**NO_DATABASE, "AUTOVIBE_FAULT": point}
        )
        run = await user.start("run", PROMPT, "--repo", str(user.repo), "--json")
        assert (await asyncio.wait_for(ended(doomed), 120)).status == -signal.SIGKILL
        async with worker_of(user):
            told = await asyncio.wait_for(ended(run), 120)
        assert told.status == 0, told.err
        assert told.json["status"] == "completed"
        applied = await user.autovibe("apply", told.json["task_id"], "--branch", "after-all")
        assert applied.status == 0, applied.err
        assert not processes_mentioning(str(user.home / ".autovibe/machines"))


async def test_a_task_that_another_process_works_on_is_cancelled(user: User) -> None:
    async with server_of(user, "--slots", "0"), worker_of(user):
        run = await user.start(
            "run", "--repo", str(user.repo), "--json", "wait", "--agent", "shell",
            "--", "/bin/sh", "-c", "touch kept; exec sleep 300",
        )  # fmt: skip
        await _workspace_file(user, "kept")
        (task,) = (await user.autovibe("task", "list", "--json")).json["tasks"]
        cancelled = await user.autovibe("task", "cancel", task["id"], "--json")
        assert cancelled.status == 0, cancelled.err
        await asyncio.wait_for(ended(run), 60)
        shown = await user.autovibe("task", "show", task["id"], "--json")
        assert shown.json["status"] == "cancelled"


@pytest.mark.long
async def test_a_worker_that_is_drained_ends_its_task_and_then_itself(user: User) -> None:
    async with server_of(user, "--slots", "0"), worker_of(user, "--name", "builder") as worker:
        run = await user.start(
            "run", "--repo", str(user.repo), "--json", "wait", "--agent", "shell",
            "--", "/bin/sh", "-c", "touch kept; while [ ! -e go ]; do sleep 0.05; done",
        )  # fmt: skip
        kept = await _workspace_file(user, "kept")
        (found,) = (await user.autovibe("worker", "list", "--json")).json["workers"]
        assert (found["name"], found["status"]) == ("builder", "busy")
        drained = await user.autovibe("worker", "drain", found["id"], "--json")
        assert drained.json["traits"]["draining"] is True
        kept.with_name("go").touch()
        assert (await asyncio.wait_for(ended(run), 60)).json["status"] == "completed"
        stopped = await asyncio.wait_for(ended(worker), 60)
        assert stopped.status == 0, stopped.err
        shown = await user.autovibe("worker", "show", found["id"], "--json")
        assert shown.json["status"] == "offline"


@pytest.mark.long
async def test_over_tls_the_server_is_known_by_its_fingerprint(user: User) -> None:
    port = free_port()
    target = f"localhost:{port}"
    invited = await user.autovibe("worker", "invite", "--json")
    assert invited.status == 0, invited.err
    token = {"AUTOVIBE_TOKEN": invited.json["token"]}
    fingerprint = invited.json["fingerprint"]
    listening = ("--worker-host", "127.0.0.1", "--worker-port", str(port))
    async with server_of(user, "--slots", "0", *listening):
        for wrong in ("00" * 32, "rubbish"):
            told = await user.autovibe(
                "worker", "start", "--server", target, "--fingerprint", wrong, environment=token
            )
            assert told.status in {1, 2}
            assert "fingerprint" in told.err or "another certificate" in told.err
        elsewhere = await user.autovibe("worker", "start", "--server", f"example.org:{port}")
        assert "--fingerprint" in elsewhere.err
        async with worker_of(user, "--server", target, "--fingerprint", fingerprint):
            run = await user.run(PROMPT)
            assert run.status == 0, run.err
            assert run.json["status"] == "completed"


async def _workspace_file(user: User, name: str) -> Path:
    """Wait until a machine has made a file."""
    machines = user.home / ".autovibe/machines"
    for _ in range(1_200):
        found = list(machines.glob(f"*/tree/workspace/{name}"))
        if found:
            return found[0]
        await asyncio.sleep(0.05)
    raise AssertionError(f"no machine made {name}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("target", ["nowhere", ":8421"])
async def test_what_is_no_address_is_refused(user: User, target: str) -> None:
    told = await user.autovibe("worker", "start", "--server", target)
    assert told.status == 2
    assert "127.0.0.1:8421" in told.err


async def test_without_a_server_the_way_to_one_is_said(user: User) -> None:
    told = await user.autovibe("worker", "start")
    assert told.status == 1
    assert "autovibe up" in told.err
