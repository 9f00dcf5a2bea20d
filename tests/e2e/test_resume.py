"""Tasks that are stopped and go on, as a user does it: each step is done exactly once, in order."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from decimal import Decimal

import pytest
from cli_user import Ended, User, ended, git
from serving import server_of

from autovibe.testing.scripts import Fault, Script, steps


def lines_of(count: int) -> list[str]:
    """What `steps.txt` holds after so many steps."""
    return [f"step {number}" for number in range(1, count + 1)]


def slow_at(script: Script, *turns: int) -> Script:
    """Return a script whose answers at some turns take three seconds when first asked for."""
    fault = Fault(first_byte_delay_s=3, times=1)
    return replace(
        script,
        turns=tuple(
            replace(turn, fault=fault) if number in turns else turn
            for number, turn in enumerate(script.turns)
        ),
    )


async def steps_done(user: User, checkpoint_id: str) -> list[str]:
    return (await user.cat(checkpoint_id, "steps.txt")).splitlines()


async def interrupted_at(user: User, step: int, *arguments: str) -> Ended:
    """Start a command, and interrupt it when its machine has done so many steps."""
    process = await user.start(*arguments)
    machines = user.home / ".autovibe/machines"
    while process.returncode is None:
        done = [
            file.read_text().count("\n") for file in machines.glob("*/tree/workspace/steps.txt")
        ]
        if max(done, default=0) >= step:
            process.send_signal(signal.SIGINT)
            break
        await asyncio.sleep(0.02)
    return await ended(process)


async def test_a_task_goes_on_after_its_budget_and_after_ctrl_c(user: User) -> None:
    user.server.script = slow_at(steps(12), 8)
    run = await user.run("do the steps", "--budget", "0.45CAD")
    assert run.status == 3, run.err
    task = run.json["task_id"]
    assert 1 <= run.json["api_calls"] < 8
    below = await user.autovibe("task", "resume", task, "--budget", "0.01CAD")
    assert below.status == 1, below.out

    paused = await interrupted_at(
        user, 8, "task", "resume", task[:8], "--budget", "5.00CAD", "--json"
    )
    assert paused.status == 130, paused.err
    assert paused.json["error"]["reason"] == "INTERRUPTED"
    assert await steps_done(user, paused.json["result_checkpoint_id"]) == lines_of(8)

    resumed = await user.autovibe("task", "resume", task, "--json")
    assert resumed.status == 0, resumed.err
    result = resumed.json
    assert (result["status"], result["error"]) == ("completed", None)
    assert await steps_done(user, result["result_checkpoint_id"]) == lines_of(12)
    # Three machines, and all that they made is the task's.
    assert len(result["machine_ids"]) == 3
    listed = await user.autovibe("checkpoint", "list", "--task", task, "--json")
    made_by = {item["creating_machine_id"] for item in listed.json["checkpoints"]}
    assert made_by == set(result["machine_ids"])
    assert len(listed.json["checkpoints"]) == result["checkpoint_count"]
    # It is one bill, and the ledger has all of it.
    assert result["api_calls"] == len(user.server.billed)
    again = await user.autovibe("task", "resume", task)
    assert again.status == 1
    assert "checkpoint fork" in again.err


@pytest.mark.long
async def test_200_steps_that_are_stopped_three_times_are_done_once_each(user: User) -> None:
    user.server.script = slow_at(steps(200), 60, 120)
    run = await interrupted_at(
        user, 60, "run", "do the steps", "--repo", str(user.repo), "--budget", "500.00CAD", "--json"
    )
    assert run.status == 130, run.err
    task = run.json["task_id"]
    second = await interrupted_at(user, 120, "task", "resume", task, "--json")
    assert second.status == 130, second.err
    little = f"{Decimal(second.json['cost_cad']) + 3}CAD"
    third = await user.autovibe("task", "resume", task, "--budget", little, "--json")
    assert third.status == 3, third.err
    assert 120 < len(await steps_done(user, third.json["result_checkpoint_id"])) < 200
    last = await user.autovibe("task", "resume", task, "--budget", "500.00CAD", "--json")
    assert last.status == 0, last.err
    assert await steps_done(user, last.json["result_checkpoint_id"]) == lines_of(200)
    assert last.json["api_calls"] == len(user.server.billed)


@pytest.mark.long
async def test_a_fork_goes_on_from_the_middle_and_leaves_its_source_alone(user: User) -> None:
    user.server.script = steps(4)
    run = await user.run("do the steps")
    assert run.status == 0, run.err
    source = run.json
    listed = await user.autovibe("checkpoint", "list", "--task", source["task_id"], "--json")
    by_depth = sorted(listed.json["checkpoints"], key=lambda item: item["depth"])
    middle = by_depth[1]["id"]
    assert await steps_done(user, middle) == lines_of(2)

    fork = await user.autovibe(
        "checkpoint", "fork", middle[:8], "go on", "--budget", "3.00CAD", "--json"
    )
    assert fork.status == 0, fork.err
    forked = fork.json
    assert forked["task_id"] != source["task_id"]
    assert (forked["base_checkpoint_id"], forked["budget_cad"]) == (middle, "3.00")
    # The conversation is gone on with: steps 1 and 2 are not done again.
    assert await steps_done(user, forked["result_checkpoint_id"]) == lines_of(4)
    fresh = await user.autovibe("checkpoint", "fork", middle, "begin", "--fresh", "--json")
    assert fresh.status == 0, fresh.err
    began = await steps_done(user, fresh.json["result_checkpoint_id"])
    assert began == [*lines_of(2), *lines_of(4)]

    tree = (await user.autovibe("checkpoint", "tree", "--project", "calc", "--all")).out
    assert tree.count("-o ") == 3, tree
    shown = await user.autovibe("task", "show", source["task_id"], "--json")
    assert shown.json["result_checkpoint_id"] == source["result_checkpoint_id"]


@pytest.mark.long
async def test_a_failed_task_goes_on_or_begins_again_until_it_is_cancelled(user: User) -> None:
    run = await user.shell("echo once >> times.txt; exit 7")
    assert run.status == 1, run.err
    task = run.json["task_id"]

    async def times(command: str) -> int:
        done = await user.autovibe("task", command, task[:8], "--json")
        assert done.status == 1, done.err
        return (await user.cat(done.json["result_checkpoint_id"], "times.txt")).count("\n")

    assert await times("resume") == 2
    assert await times("retry") == 1
    cancelled = await user.autovibe("task", "cancel", task[:8])
    assert (cancelled.status, cancelled.err) == (0, "")
    assert "cancelled" in cancelled.out
    refused = await user.autovibe("task", "resume", task)
    assert refused.status == 1
    assert "cancelled" in refused.err
    result = (await user.autovibe("task", "show", task, "--json")).json["result"]
    assert result["status"] == "cancelled"
    assert (await user.cat(result["result_checkpoint_id"], "times.txt")).count("\n") == 1


@pytest.mark.long
async def test_a_server_goes_on_with_a_task_that_nobody_waits_for(user: User) -> None:
    alone = await user.shell("echo once >> times.txt; printf 'a\\r\\0\\377' > raw; exit 7")
    task = alone.json["task_id"]
    refused = await user.autovibe("task", "resume", task, "--detach")
    assert refused.status == 1
    assert "autovibe up" in refused.err
    async with server_of(user):
        detached = await user.autovibe("task", "resume", task, "--detach", "--json")
        assert detached.status == 0, detached.err
        assert detached.json["status"] == "queued"
        logs = await user.autovibe("logs", task, "-f")
        assert logs.out.count("exit status 7") == 2
        diff = await user.autovibe("task", "diff", task, "times.txt")
        assert diff.out == "added     times.txt\n"
        # Bytes that are no text come over HTTP as they are.
        patch = user.home / "result.patch"
        written = await user.autovibe("apply", task, "--patch", str(patch))
        assert written.status == 0, written.err
        git(user.repo, "apply", str(patch))
        assert (user.repo / "raw").read_bytes() == b"a\r\0\377"
        assert (user.repo / "times.txt").read_text() == "once\n" * 2
        waited = await user.autovibe("task", "retry", task, "--json")
        assert waited.status == 1, waited.err
        assert waited.json["error"]["reason"] == "AGENT_FAILED"


@pytest.mark.parametrize(
    "arguments", [("--agent", "nobody"), ("--isolation", "process", "--timeout", "100d")]
)
async def test_what_cannot_run_leaves_nothing_behind(
    user: User, arguments: tuple[str, ...]
) -> None:
    run = await user.run("x", *arguments)
    assert run.status == 2, run.err
    assert run.json["error"]["message"] in run.err
    assert (await user.autovibe("project", "list", "--json")).json["projects"] == []
    assert (await user.autovibe("checkpoint", "list", "--json")).json["checkpoints"] == []
