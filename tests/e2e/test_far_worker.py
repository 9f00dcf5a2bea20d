"""A worker on another host: it has a home of its own, no database and no store of the server."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aftermath import Aftermath
from cli_user import User, ended
from serving import free_port, server_of

from autovibe.testing.demo_repository import PROMPT
from autovibe.testing.scripts import steps

AGENT = (Path(__file__).parents[1] / "support/stepping_agent.py").read_text()
NO_DATABASE = {"AUTOVIBE_DATABASE_URL": "postgresql://nobody:none@127.0.0.1:1/none"}


@dataclass(frozen=True)
class Invited:
    """What a worker on another host was given."""

    target: str
    token: str
    fingerprint: str


@asynccontextmanager
async def inviting(user: User) -> AsyncGenerator[Invited]:
    """Run a server that works on nothing itself, and invite a worker."""
    port = free_port()
    told = await user.autovibe("worker", "invite", "--json")
    assert told.status == 0, told.err
    listening = ("--worker-host", "127.0.0.1", "--worker-port", str(port))
    async with server_of(user, "--slots", "0", *listening):
        yield Invited(f"localhost:{port}", told.json["token"], told.json["fingerprint"])


async def far_worker(
    user: User, invited: Invited, home: str, environment: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    """Start a worker with a home of its own."""
    process = await user.start(
        "worker", "start", "--json", "--server", invited.target,
        "--fingerprint", invited.fingerprint,
        environment={
            **NO_DATABASE,
            "AUTOVIBE_HOME": str(user.home / home),
            "AUTOVIBE_TOKEN": invited.token,
            **(environment or {}),
        },
    )  # fmt: skip
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 60)
    assert b"worker_id" in line, await ended(process)
    return process


async def stopped(worker: asyncio.subprocess.Process) -> None:
    """Let a worker end in order."""
    worker.send_signal(signal.SIGTERM)
    told = await asyncio.wait_for(ended(worker), 60)
    assert told.status == 0, told.err


async def test_checkpoints_of_a_worker_with_its_own_home_reach_the_server(user: User) -> None:
    async with inviting(user) as invited:
        worker = await far_worker(user, invited, "elsewhere")
        run = await user.run(PROMPT)
        assert run.status == 0, run.err
        await stopped(worker)
        assert not (user.home / "elsewhere/store").exists()
        verified = await user.autovibe(
            "checkpoint", "verify", run.json["result_checkpoint_id"], "--json"
        )
        assert verified.status == 0, verified.err
        applied = await user.autovibe("apply", run.json["task_id"], "--branch", "from-afar")
        assert applied.status == 0, applied.err


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_a_task_goes_on_elsewhere_from_the_last_checkpoint_that_was_sent(user: User) -> None:
    user.server.script = steps(5)
    async with inviting(user) as invited:
        doomed = await far_worker(user, invited, "elsewhere", {"AUTOVIBE_FAULT": "after_forward:4"})
        run = await user.start(
            "run", "do the steps", "--repo", str(user.repo), "--json", "--agent", "shell",
            "--", "python3", "-c", AGENT, str(user.home),
        )  # fmt: skip
        await asyncio.wait_for(doomed.wait(), 120)
        assert doomed.returncode == -signal.SIGKILL
        another = await far_worker(user, invited, "third-place")
        told = await asyncio.wait_for(ended(run), 300)
        assert told.status == 0, (told.out, told.err)
        await stopped(another)
        after = Aftermath(user, f"sqlite:///{user.home / '.autovibe/autovibe.db'}")
        done = await after.text_of(told.json["result_checkpoint_id"], "steps.txt")
        assert done.splitlines() == [f"step {number}" for number in range(1, 6)]
        attempts = await after.rows("SELECT attempt, status FROM executions ORDER BY attempt")
        assert len(attempts) == 2
        # It did not begin anew: that would have been six calls more. One was under way.
        calls, uncertain = await after.calls()
        assert uncertain == 1
        assert calls < 4 + 6
