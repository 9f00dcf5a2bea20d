"""`kill -9` of the control plane at every named point: what it leaves, and that the work goes on.

A small agent in a real sandbox talks to the scripted model through the real gateway. The control
plane kills itself at the point; the next ordinary command recovers; the task is resumed, and each
step is done exactly once, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from aftermath import Aftermath
from cli_user import Ended, User, ended, git

from autovibe.kernel import faults
from autovibe.testing.databases import TestDatabases
from autovibe.testing.fixtures import BACKENDS
from autovibe.testing.scripts import Fault, Script, Turn, steps

STEPS = 5
AGENT = (Path(__file__).parents[1] / "support/stepping_agent.py").read_text()
KILLED = -signal.SIGKILL

# Which time a run comes to a point; at the third call two steps are done and in a checkpoint.
_TIMES = {
    "before_claim": 1,
    "order_claimed": 1,
    "machine_recorded": 1,
    "machine_spawned": 1,
    "before_final_checkpoint": 1,
    "before_finish": 1,
    "after_finish": 1,
    "file_restored": 3,
}
# What recovery makes of the call that was under way (facts on metering, 5.5): one that was marked
# as forwarded may have been billed, so that it counts in full and is marked; no point lies between
# a hold and that mark, because both are one commit (decision D6).
_UNCERTAIN = {
    "before_hold": 0,
    "after_hold": 1,
    "before_forward": 1,
    "after_forward": 1,
    "first_byte": 1,
    "last_byte": 1,
    "before_settle": 1,
    "after_settle": 0,
}
# What a run passes in the store; tests/store kill at all other points of it.
_STORE = ("tree_read", "journal_written", "journal_synced", "journal_acknowledged")
# Before anything was done there is no checkpoint but the import.
_EARLY = {"order_claimed", "machine_recorded", "machine_spawned", "file_restored"}
_LATE = {"checkpoint_recorded", "before_final_checkpoint", "before_finish", "after_finish"}

SHORT = (
    ("order_claimed", "sqlite"),
    ("machine_spawned", "postgresql"),
)


async def at(databases: TestDatabases, backend: str, user: User, tmp_path: Path) -> Aftermath:
    """Let the user work on a clean database of a kind."""
    url = await (databases.sqlite(tmp_path) if backend == "sqlite" else databases.postgresql())
    user.environment["AUTOVIBE_DATABASE_URL"] = url
    user.server.script = steps(STEPS)
    return Aftermath(user, url)


async def start_run(user: User, fault: str = "") -> asyncio.subprocess.Process:
    """Start a run of the small agent, whose processes name the home of the user."""
    return await user.start(
        "run", "do the steps", "--repo", str(user.repo), "--json", "--agent", "shell",
        "--", "python3", "-c", AGENT, str(user.home),
        environment={faults.VARIABLE: fault} if fault else {},
    )  # fmt: skip


async def killed_at(user: User, point: str) -> None:
    """Run until the control plane has killed itself at a point."""
    run = await ended(await start_run(user, f"{point}:{_TIMES.get(point, 3)}"))
    assert run.status == KILLED, run


async def only_task(user: User) -> dict[str, str]:
    """Return the only task, as an ordinary command shows it: this is what recovers."""
    listed = await user.autovibe("task", "list", "--json")
    assert listed.status == 0, listed.err
    (task,) = listed.json["tasks"]
    return task


async def goes_on(user: User, aftermath: Aftermath, task_id: str) -> Ended:
    """Resume a task and check that every step was done exactly once, in order."""
    resumed = await user.autovibe("task", "resume", task_id, "--json")
    assert resumed.status == 0, resumed.err
    assert resumed.json["status"] == "completed"
    await steps_are_right(aftermath, resumed.json["result_checkpoint_id"])
    return resumed


async def steps_are_right(aftermath: Aftermath, checkpoint_id: str) -> None:
    """Check that every step was done exactly once, in order, and that all is accounted for."""
    done = await aftermath.text_of(checkpoint_id, "steps.txt")
    assert done.splitlines() == [f"step {number}" for number in range(1, STEPS + 1)]
    calls, _ = await aftermath.calls()
    assert calls >= len(aftermath.user.server.billed)
    await aftermath.nothing_is_left()
    await aftermath.checkpoints_verify()


async def survives(point: str, aftermath: Aftermath) -> None:
    """Kill a run at a point, recover, look at what is left, and go on."""
    user = aftermath.user
    await killed_at(user, point)
    task = await only_task(user)
    if point == "before_claim":
        # No row says whose it was to be: a server of this home may be about to claim it.
        assert task["status"] == "queued"
        await goes_on(user, aftermath, task["id"])
        return
    await aftermath.nothing_is_left()
    await aftermath.checkpoints_verify()
    if point in _UNCERTAIN:
        calls, uncertain = await aftermath.calls()
        assert uncertain == _UNCERTAIN[point]
        assert calls == (2 if point == "before_hold" else 3)
    kinds = await aftermath.column("SELECT checkpoint_type FROM checkpoints")
    # That of the call before may have been read, and not be recorded yet.
    assert "automatic" not in kinds or point not in _EARLY
    assert "automatic" in kinds or point not in _LATE
    if point == "after_finish":
        assert task["status"] == "completed"
        await steps_are_right(aftermath, task["result_checkpoint_id"])
        return
    assert (task["status"], task["block_reason"]) == ("blocked", "CONTROL_PLANE_DIED")
    told = await aftermath.ended_by_recovery()
    assert len(told) == (point not in {"order_claimed", "before_finish"})
    kept = [path for path in (user.home / ".autovibe/machines").iterdir() if path.name != "scratch"]
    # What is in no checkpoint is kept, and said.
    assert [str(path) in told[0] for path in kept] == [True] * len(kept)
    assert bool(kept) is (point not in {*_EARLY, "before_finish"})
    await goes_on(user, aftermath, task["id"])


@pytest.mark.req("S2-33")
@pytest.mark.parametrize(("point", "backend"), SHORT)
async def test_a_run_that_was_killed_is_recovered_and_goes_on(
    user: User, databases: TestDatabases, tmp_path: Path, point: str, backend: str
) -> None:
    await survives(point, await at(databases, backend, user, tmp_path))


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("point", [*faults.RUN, *_STORE, "file_restored"])
async def test_a_run_that_was_killed_anywhere_is_recovered_and_goes_on(
    user: User, databases: TestDatabases, tmp_path: Path, point: str, backend: str
) -> None:
    await survives(point, await at(databases, backend, user, tmp_path))


def slow_at(script: Script, turn: int) -> Script:
    """Return a script whose answer at one turn takes a while when first asked for."""
    fault = Fault(first_byte_delay_s=2, times=1)
    turns = [
        Turn(made.blocks, made.usage, fault if number == turn else None)
        for number, made in enumerate(script.turns)
    ]
    return Script(tuple(turns), script.name)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    for _ in range(1200):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came to be")


@pytest.mark.long
async def test_a_machine_that_was_killed_from_outside_is_reported_and_goes_on(
    user: User, databases: TestDatabases, tmp_path: Path
) -> None:
    aftermath = await at(databases, "sqlite", user, tmp_path)
    user.server.script = slow_at(steps(STEPS), 2)
    run = await start_run(user)
    await until(lambda: len(user.server.calls()) == 3)
    (record,) = (user.home / ".autovibe/machines/scratch").glob("*/record.json")
    for pid in json.loads(record.read_text())["processes"]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    told = await ended(run)
    assert told.status == 1, told.err
    assert (told.json["status"], told.json["verified"]) == ("failed", True)
    assert "signal 9" in told.json["error"]["message"]
    assert await aftermath.text_of(told.json["result_checkpoint_id"], "steps.txt") == (
        "step 1\nstep 2\n"
    )
    assert [path.name for path in (user.home / ".autovibe/machines").iterdir()] == ["scratch"]
    await goes_on(user, aftermath, told.json["task_id"])


@pytest.mark.long
async def test_a_killed_run_is_recovered_beside_a_living_one_by_two_at_once(
    user: User, databases: TestDatabases, tmp_path: Path
) -> None:
    aftermath = await at(databases, "postgresql", user, tmp_path)
    living = await user.start(
        "run", "wait", "--repo", str(user.repo), "--json", "--agent", "shell",
        "--", "/bin/sh", "-c", "touch ready; until test -e go; do sleep 0.1; done; echo x > done",
    )  # fmt: skip
    machines = user.home / ".autovibe/machines"
    await until(lambda: any(machines.glob("*/tree/workspace/ready")))
    (workspace,) = machines.glob("*/tree/workspace")
    await killed_at(user, "last_byte")

    listed = await asyncio.gather(*(user.autovibe("task", "list", "--json") for _ in range(2)))
    assert [answer.status for answer in listed] == [0, 0], listed
    # Each has recovered before it shows anything.
    for answer in listed:
        seen = {task["title"]: task for task in answer.json["tasks"]}
        assert seen["wait"]["status"] == "in_progress"
        assert seen["do the steps"]["status"] == "blocked"
    assert living.returncode is None
    (workspace / "go").touch()
    done = await ended(living)
    assert done.status == 0, done.err
    assert "done" in [item["path"] for item in done.json["files_changed"]]
    await goes_on(user, aftermath, seen["do the steps"]["id"])
    assert sorted(await aftermath.column("SELECT attempt FROM executions")) == [1, 1, 2]


async def recovery_is_killed(aftermath: Aftermath, *points: str) -> None:
    """Kill recovery itself at some points, one after the other; the next one does the rest."""
    await killed_at(aftermath.user, "after_forward")
    for point in points:
        killed = await aftermath.user.autovibe("task", "list", environment={faults.VARIABLE: point})
        assert killed.status == KILLED, killed
    task = await only_task(aftermath.user)
    assert (task["status"], task["block_reason"]) == ("blocked", "CONTROL_PLANE_DIED")
    assert await aftermath.calls() == (3, 1)
    await aftermath.nothing_is_left()
    await goes_on(aftermath.user, aftermath, task["id"])


@pytest.mark.long
async def test_recovery_that_was_killed_is_done_again(
    user: User, databases: TestDatabases, tmp_path: Path
) -> None:
    aftermath = await at(databases, "sqlite", user, tmp_path)
    await recovery_is_killed(aftermath, "executions_abandoned")


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS)
async def test_recovery_that_was_killed_at_each_of_its_points_is_done_again(
    user: User, databases: TestDatabases, tmp_path: Path, backend: str
) -> None:
    await recovery_is_killed(await at(databases, backend, user, tmp_path), *faults.RECOVERY)


async def apply_is_killed(aftermath: Aftermath, *points: str) -> None:
    """Kill `apply` at some points, one after the other; the repository stays sound throughout."""
    user = aftermath.user
    run = await user.shell("echo made > made.txt")
    assert run.status == 0, run.err
    task = run.json["task_id"]
    (user.repo / "mine.txt").write_text("not committed")
    git(user.repo, "add", "mine.txt")
    (user.repo / "calc.py").write_text("changed since")

    def mine() -> tuple[str, str, str]:
        return (
            git(user.repo, "status", "--porcelain=v2", "--branch"),
            git(user.repo, "ls-files", "--stage"),
            git(user.repo, "rev-parse", "HEAD"),
        )

    before = mine()
    for point in points:
        killed = await user.autovibe("apply", task, environment={faults.VARIABLE: point})
        assert killed.status == KILLED, killed
        assert "missing" not in git(user.repo, "fsck", "--full", "--strict")
        assert mine() == before
        branches = git(user.repo, "branch", "--list", "autovibe/*")
        assert bool(branches) is (point == "branch_made")
    applied = await user.autovibe("apply", task, "--json")
    assert applied.status == 0, applied.err
    branch = applied.json["branch"]
    assert applied.json["commit"] == git(user.repo, "rev-parse", branch)
    assert applied.json["parent_commit"] == git(user.repo, "rev-parse", "HEAD")
    assert git(user.repo, "show", f"{branch}:made.txt") == "made"
    assert mine() == before
    (recorded,) = await aftermath.rows("SELECT branch_name, metadata FROM tasks")
    assert recorded[0] == branch
    assert applied.json["commit"] in str(recorded[1])


async def test_apply_that_was_killed_after_it_made_its_branch_recognises_it(
    user: User, databases: TestDatabases, tmp_path: Path
) -> None:
    await apply_is_killed(await at(databases, "sqlite", user, tmp_path), "branch_made")


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS)
async def test_apply_that_was_killed_anywhere_leaves_a_sound_repository(
    user: User, databases: TestDatabases, tmp_path: Path, backend: str
) -> None:
    await apply_is_killed(await at(databases, backend, user, tmp_path), *faults.APPLY)
