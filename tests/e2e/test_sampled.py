"""Budgets of what is sampled stop a run that a command does, with no model call at all."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from decimal import Decimal

import pytest
from cli_user import User, ended, processes_mentioning

TWICE = "test -e begun.txt && { echo done > done.txt; exit; }; echo begun > begun.txt; sleep 60"
BUSY = """
open("begun.txt", "w").close()
held = bytearray(200_000_000)
while True:
    pass
"""


async def limit(user: User, resource: str, amount: str, *options: str) -> None:
    done = await user.autovibe("budget", "set", "limited", resource, amount, *options)
    assert done.status == 0, done.err


async def used_of_budget(user: User) -> str:
    listed = (await user.autovibe("budget", "list", "limited", "--json")).json["budgets"]
    (one,) = [one for one in listed if one["resource_type"] == "cpu"]
    return str(one["used_amount"])


async def usage_of(user: User, task_id: str) -> dict[str, Decimal]:
    report = (await user.autovibe("usage", "--task", task_id, "--json")).json
    return {line["resource_type"]: Decimal(line["amount"]) for line in report["lines"]}


@pytest.mark.long
@pytest.mark.parametrize(
    "database_url",
    ["sqlite", "postgresql"],
    indirect=True,
)
async def test_a_run_ends_with_its_time_and_goes_on_with_more(
    user: User, database_url: str
) -> None:
    user.environment["AUTOVIBE_DATABASE_URL"] = database_url
    assert (await user.autovibe("project", "create", "limited")).status == 0
    await limit(user, "time", "0.05", "--period", "daily")
    run = await user.shell(TWICE, "--project", "limited")
    assert run.status == 3, run.err
    result = run.json
    assert result["status"] == "blocked"
    assert result["error"]["reason"] == "BUDGET_EXHAUSTED"
    assert "daily time budget of project limited is used up" in result["error"]["message"]
    assert "budget raise limited time AMOUNT --period daily" in result["error"]["message"]
    assert result["verified"] is True
    assert [item["path"] for item in result["files_changed"]] == ["begun.txt"]

    again = await user.autovibe("task", "resume", result["task_id"], "--json")
    assert again.status == 3, again.err
    # No machine was started: there is no time for it.
    assert len(again.json["machine_ids"]) == 1
    assert again.json["result_checkpoint_id"] == result["result_checkpoint_id"]

    await limit(user, "time", "30", "--period", "daily")
    more = await user.autovibe("task", "resume", result["task_id"], "--json")
    assert more.status == 0, more.err
    assert {item["path"] for item in more.json["files_changed"]} == {"begun.txt", "done.txt"}


async def test_a_run_ends_with_its_processor_time_and_tells_what_it_used(user: User) -> None:
    assert (await user.autovibe("project", "create", "limited")).status == 0
    await limit(user, "cpu", "2")
    run = await user.run(
        "compute", "--project", "limited", "--agent", "shell", "--", "python3", "-c", BUSY
    )
    assert run.status == 3, run.err
    assert "total cpu budget of project limited is used up" in run.json["error"]["message"]
    used = await usage_of(user, run.json["task_id"])
    assert used["cpu"] >= 2
    assert Decimal(await used_of_budget(user)) == used["cpu"]
    # 200 MB for a second at least: no more than two cores can have worked at once.
    assert used["memory"] >= Decimal("0.2") / 3600 * Decimal("0.8")
    with sqlite3.connect(user.home / ".autovibe" / "autovibe.db") as connection:
        (row,) = connection.execute("SELECT resource_usage FROM intelligent_machines").fetchall()
        warnings = connection.execute(
            "SELECT payload FROM outbox_events WHERE topic = 'budgets.warning'"
        ).fetchall()
    totals = json.loads(row[0])
    assert {kind: Decimal(totals[kind]) for kind in used} == used
    assert (totals["money"], totals["api_calls"]) == ("0.00", "0")
    assert totals["memory_peak_bytes"] >= 200_000_000
    # Told once, however many samples lay above 80 percent.
    assert [json.loads(payload)["resource_type"] for (payload,) in warnings] == ["cpu"]


@pytest.mark.long
async def test_a_run_ends_with_its_memory(user: User) -> None:
    assert (await user.autovibe("project", "create", "limited")).status == 0
    await limit(user, "memory", "0.0003")
    held = "held = bytearray(b'x' * 300_000_000); import time; time.sleep(120)"
    run = await user.run(
        "compute", "--project", "limited", "--agent", "shell", "--", "python3", "-c", held
    )
    assert run.status == 3, run.err
    assert run.json["verified"] is True
    assert "total memory budget of project limited is used up" in run.json["error"]["message"]


@pytest.mark.long
async def test_a_run_ends_when_its_checkpoints_have_used_up_the_storage(user: User) -> None:
    """What the job records while the machine runs stops it, too."""
    (user.repo / "large.bin").write_bytes(random.Random(1).randbytes(40_000_000))
    assert (await user.autovibe("project", "create", "limited")).status == 0
    await limit(user, "storage", "0.000001")
    running = await user.start(
        *("run", "wait", "--repo", str(user.repo), "--json", "--project", "limited"),
        *("--include-secrets", "--agent", "shell", "--", "sh", "-c", "exec sleep $((60 + 47))"),
    )
    # Written so, the command line of the run itself does not mention it.
    while not processes_mentioning("sleep 107"):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.2)
    done = await user.autovibe("db", "maintain", "sample-storage")
    assert done.status == 0, done.err
    run = await ended(running)
    assert run.status == 3, run.err
    assert "total storage budget of project limited is used up" in run.json["error"]["message"]
    assert run.json["verified"] is True
