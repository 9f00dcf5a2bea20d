"""A fleet works off a graph of tasks for minutes while its processes are killed at random.

AUTOVIBE_SCENARIO_SEED repeats a run, AUTOVIBE_SCENARIO_TASKS makes it smaller,
AUTOVIBE_SCENARIO_ASKING is the share of tasks that ask a person before they do something.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from aftermath import Aftermath
from cli_user import User
from scenario import STEPS, Fleet, Trouble, all_over, answer_late, graph_of, sweep, write_graph

from autovibe.store import PathNotFoundError
from autovibe.testing.databases import TestDatabases
from autovibe.testing.scripts import steps

TASKS = int(os.environ.get("AUTOVIBE_SCENARIO_TASKS", "200"))
SEED = int(os.environ.get("AUTOVIBE_SCENARIO_SEED", "0")) or random.randrange(1, 10**6)
ASKING = float(os.environ.get("AUTOVIBE_SCENARIO_ASKING", "0.08"))
TASKS_PER_KILL = 8


@pytest.fixture(params=["sqlite", "postgresql"])
async def fleet(
    request: pytest.FixtureRequest, user: User, databases: TestDatabases, tmp_path: Path
) -> AsyncGenerator[Fleet]:
    url = (
        f"sqlite:///{tmp_path / 'new.db'}"
        if request.param == "sqlite"
        else await databases.empty_postgresql()
    )
    user.environment["AUTOVIBE_DATABASE_URL"] = url
    user.server.script = steps(STEPS)
    fleet = Fleet(user, workers=3 if request.param == "postgresql" else 0, slots=3)
    yield fleet
    print(f"seed {SEED}", *fleet.log, sep="\n")  # shown when the test has failed
    await fleet.end()


@pytest.mark.long
@pytest.mark.timeout(3_600)
async def test_whatever_is_killed_every_task_is_done_exactly_once(fleet: Fleet) -> None:
    user, dice = fleet.user, random.Random(SEED)
    first = await user.shell("true", "--isolation", "process")  # the project gets its files
    assert first.status == 0, first.err
    graph = write_graph(user.home / "graph.yaml", graph_of(user, "calc", TASKS, dice, ASKING))
    await fleet.begin()
    made = await user.autovibe("task", "import", str(graph), "--start", "--json")
    assert made.status == 0, made.err
    trouble = Trouble(fleet, dice, TASKS // TASKS_PER_KILL)
    killing = asyncio.create_task(trouble.make())
    answered: list[str] = []
    answering = asyncio.create_task(answer_late(user, random.Random(SEED), answered))
    tasks = await all_over(user, "calc", TASKS + 1)
    for work in (killing, answering):
        work.cancel()
    await asyncio.gather(killing, answering, return_exceptions=True)
    careful = [task for task in tasks if task["permission_level"] != "autonomous"]
    assert len(answered) >= len(careful)
    assert trouble.kills
    assert {task["status"] for task in tasks} == {"completed"}
    await fleet.reached()
    balance = await user.autovibe("usage", "audit", "--json")
    assert balance.status == 0, balance.out
    await fleet.end()
    await sweep(user)
    after = Aftermath(user, user.environment["AUTOVIBE_DATABASE_URL"])
    await after.nothing_is_left()
    keys = {task["task_id"]: task["key"] for task in made.json["tasks"]}
    await _each_was_done_once(after, keys)


async def _each_was_done_once(after: Aftermath, keys: dict[str, str]) -> None:
    """Check that each task has one execution that completed, and each of its steps once."""
    done = await after.rows(
        "SELECT task_id, count(*) FROM executions WHERE status = 'completed' GROUP BY task_id"
    )
    assert {count for _, count in done} == {1}
    assert len(done) == len(keys) + 1
    results = await after.rows(
        "SELECT id, permission_level, base_checkpoint_id, result_checkpoint_id FROM tasks"
    )
    wanted = [f"step {number}" for number in range(1, STEPS + 1)]
    for task_id, permission, base_id, checkpoint_id in results:
        key = {one.replace("-", ""): name for one, name in keys.items()}.get(
            str(task_id).replace("-", "")
        )
        if key is None:
            continue
        # A real agent works where the one before it did.
        own = f"{key}/" if permission == "autonomous" else ""
        before = await _lines(after, base_id, f"{own}steps.txt")
        assert await _lines(after, checkpoint_id, f"{own}steps.txt") == [*before, *wanted], key
    calls, _ = await after.calls()
    assert calls >= len(after.user.server.billed)


async def _lines(after: Aftermath, checkpoint_id: str, path: str) -> list[str]:
    """Return the lines of a file of a checkpoint, none where there is no such file."""
    try:
        return (await after.text_of(checkpoint_id, path)).splitlines()
    except PathNotFoundError:
        return []
