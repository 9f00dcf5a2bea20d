"""Many runs at once in one home: nothing collides, nothing of one is in another (decision A7).

A small agent in a real sandbox talks to the scripted model through the real gateway.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from aftermath import Aftermath
from cli_user import Ended, User, ended, git
from serving import free_port, server_of

from autovibe.testing.databases import TestDatabases
from autovibe.testing.demo_repository import PROMPT
from autovibe.testing.fixtures import BACKENDS
from autovibe.testing.scripts import Usage, steps

AGENT = (Path(__file__).parents[1] / "support/stepping_agent.py").read_text()
STEPS = 2


@pytest.fixture(params=BACKENDS)
async def after(
    request: pytest.FixtureRequest, user: User, databases: TestDatabases, tmp_path: Path
) -> Aftermath:
    """Give a user with an empty home and an empty database, which the first command makes."""
    url = (
        f"sqlite:///{tmp_path / 'new.db'}"
        if request.param == "sqlite"
        else await databases.empty_postgresql()
    )
    user.environment["AUTOVIBE_DATABASE_URL"] = url
    return Aftermath(user, url)


def command(user: User, *options: str, title: str = "do the steps") -> tuple[str, ...]:
    return (
        "run", title, "--repo", str(user.repo), "--json", "--agent", "shell", *options,
        "--", "python3", "-c", AGENT, str(user.home),
    )  # fmt: skip


async def run_all(user: User, count: int, *options: str) -> list[Ended]:
    """Start runs at the same moment and wait for them all."""
    started = [await user.start(*command(user, *options)) for _ in range(count)]
    return list(await asyncio.gather(*(ended(process) for process in started)))


def nobody_was_busy(runs: Sequence[Ended]) -> None:
    for run in runs:
        assert not {"locked", "busy"} & set(run.err.lower().split()), run.err
        assert "DATABASE_BUSY" not in run.out


async def completed(after: Aftermath, runs: Sequence[Ended]) -> None:
    """Check that each run completed as a task of its own, with its own files and its own calls."""
    nobody_was_busy(runs)
    for run in runs:
        assert run.status == 0, (run.out, run.err)
        assert run.json["status"] == "completed"
        done = await after.text_of(run.json["result_checkpoint_id"], "steps.txt")
        assert done.splitlines() == [f"step {number}" for number in range(1, STEPS + 1)]
    assert len({run.json["task_id"] for run in runs}) == len(runs)
    assert len({run.json["project_id"] for run in runs}) == 1
    calls, uncertain = await after.calls()
    assert (calls, uncertain) == (len(after.user.server.billed), 0)
    assert calls == len(runs) * (STEPS + 1)
    await after.nothing_is_left()


@pytest.mark.long
@pytest.mark.parametrize("after", ["sqlite", "postgresql"], indirect=True)
async def test_two_first_runs_of_a_real_agent_at_once(after: Aftermath) -> None:
    user = after.user
    runs = list(await asyncio.gather(user.run(PROMPT), user.run(PROMPT)))
    nobody_was_busy(runs)
    for run in runs:
        assert run.status == 0, (run.out, run.err)
    assert len({run.json["project_id"] for run in runs}) == 1
    # Both results are applied at the same moment, to branches of their own.
    applied = await asyncio.gather(
        *(
            user.autovibe("apply", run.json["task_id"], "--branch", f"result-{number}", "--json")
            for number, run in enumerate(runs)
        )
    )
    assert [one.status for one in applied] == [0, 0], applied
    for number in range(2):
        assert "a + b" in git(user.repo, "show", f"result-{number}:calc.py")
    assert "missing" not in git(user.repo, "fsck", "--full", "--strict")
    calls, _ = await after.calls()
    assert calls == len(user.server.billed)
    await after.nothing_is_left()


@pytest.mark.long
@pytest.mark.parametrize("after", ["sqlite"], indirect=True)
async def test_ten_runs_at_once_have_only_their_own_files(after: Aftermath) -> None:
    after.user.server.script = steps(STEPS)
    await completed(after, await run_all(after.user, 10))


@pytest.mark.long
async def test_ten_runs_at_once_three_times_over(after: Aftermath) -> None:
    after.user.server.script = steps(STEPS)
    runs: list[Ended] = []
    for _ in range(3):
        runs += await run_all(after.user, 10)
        await completed(after, runs)


@pytest.mark.long
@pytest.mark.parametrize("after", ["postgresql"], indirect=True)
async def test_runs_that_share_a_budget_never_pass_it(after: Aftermath) -> None:
    user = after.user
    user.server.script = steps(STEPS, usage=Usage(input_tokens=1_000, output_tokens=1_000))
    probe = (await run_all(user, 1, "--project", "probe"))[0]
    assert probe.status == 0, probe.err
    # There is room for two and a part of a third.
    limit = (Decimal(probe.json["cost_cad"]) * Decimal("2.4")).quantize(Decimal("0.000001"))
    for told in (
        await user.autovibe("project", "create", "shared"),
        await user.autovibe("budget", "set", "shared", "money", f"{limit}CAD"),
    ):
        assert told.status == 0, told.err
    runs = await run_all(user, 5, "--project", "shared")
    nobody_was_busy(runs)
    # How many come to their end depends on how their calls fall; not all can.
    assert 3 in {run.status for run in runs} <= {0, 3}
    for run in runs:
        if run.status == 3:
            assert run.json["error"]["reason"] in {"BUDGET_EXHAUSTED", "BUDGET_HELD"}
            assert run.json["verified"] is True
    (used,) = await after.column("SELECT used_amount FROM resource_budgets WHERE task_id IS NULL")
    assert Decimal(used) <= limit
    assert Decimal(used) == sum((Decimal(run.json["cost_cad"]) for run in runs), Decimal(0))
    await after.nothing_is_left()


async def waiting_runs(user: User, count: int) -> list[asyncio.subprocess.Process]:
    """Start runs whose agents wait until their workspace has a file `go`."""
    script = "echo x > mine.txt; touch ready; while test ! -e go; do sleep 0.1; done"
    processes = [
        await user.start(
            "run", "wait", "--agent", "shell", "--repo", str(user.repo), "--json",
            "--", "/bin/sh", "-c", script,
        )
        for _ in range(count)
    ]  # fmt: skip
    for _ in range(1200):
        if len(ready_places(user)) == count:
            return processes
        await asyncio.sleep(0.05)
    raise AssertionError("the agents never worked")


def ready_places(user: User) -> list[Path]:
    return [path.parent for path in user.home.glob(".autovibe/machines/*/tree/workspace/ready")]


@pytest.mark.long
@pytest.mark.parametrize("after", ["sqlite"], indirect=True)
async def test_a_killed_run_leaves_the_others_alone(after: Aftermath) -> None:
    user = after.user
    processes = await waiting_runs(user, 3)
    processes[0].send_signal(signal.SIGKILL)
    await ended(processes[0])
    # The next command recovers what was killed, while the others go on.
    listed = (await user.autovibe("task", "list", "--json")).json["tasks"]
    by_status = sorted(task["status"] for task in listed)
    assert by_status == ["blocked", "in_progress", "in_progress"]
    for place in ready_places(user):
        (place / "go").touch()
    others = [await ended(process) for process in processes[1:]]
    assert [one.status for one in others] == [0, 0], others
    await after.nothing_is_left()


@pytest.mark.long
@pytest.mark.parametrize("after", ["sqlite"], indirect=True)
async def test_a_server_with_many_clients_keeps_to_its_slots(after: Aftermath) -> None:
    user = after.user
    user.server.script = steps(STEPS)
    async with server_of(user, "--slots", "2"):
        runs = [await user.start(*command(user, title=f"task {number}")) for number in range(4)]
        most = 0
        while any(process.returncode is None for process in runs):
            answers = await asyncio.gather(
                user.autovibe("task", "list", "--json"),
                user.autovibe("usage", "--json"),
                user.autovibe("status", "--json"),
            )
            assert [answer.status for answer in answers] == [0, 0, 0], answers
            tasks = json.loads(answers[0].out)["tasks"]
            most = max(most, sum(task["status"] == "in_progress" for task in tasks))
            await asyncio.wait(
                [asyncio.ensure_future(process.wait()) for process in runs], timeout=0.2
            )
        done = [await ended(process) for process in runs]
        assert most == 2
        for run in done:
            assert run.status == 0, (run.out, run.err)
    await completed(after, done)


@pytest.mark.long
@pytest.mark.parametrize("after", ["sqlite"], indirect=True)
async def test_a_server_that_is_stopped_pauses_what_runs_and_the_next_one_goes_on(
    after: Aftermath,
) -> None:
    user = after.user
    server = await user.start(
        "up", "--http-port", str(free_port()), "--grpc-port", str(free_port()), "--json"
    )
    assert server.stdout is not None
    await asyncio.wait_for(server.stdout.readline(), 60)
    clients = await waiting_runs(user, 2)
    server.send_signal(signal.SIGTERM)
    stopped = await asyncio.wait_for(ended(server), 60)
    assert stopped.status == 0, stopped.err
    for client in clients:
        told = await asyncio.wait_for(ended(client), 60)
        assert told.status in {1, 130}, told
        assert "Traceback" not in told.err
    listed = (await user.autovibe("task", "list", "--json")).json["tasks"]
    assert [task["status"] for task in listed] == ["blocked", "blocked"]
    await after.nothing_is_left()
    await after.checkpoints_verify()
    async with server_of(user):
        going = [
            asyncio.ensure_future(user.autovibe("task", "resume", task["id"], "--json"))
            for task in listed
        ]
        for _ in range(1200):
            if len(ready_places(user)) == 2:
                break
            await asyncio.sleep(0.05)
        for place in ready_places(user):
            (place / "go").touch()
        for resumed in await asyncio.gather(*going):
            assert resumed.status == 0, resumed.err
