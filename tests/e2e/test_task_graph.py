"""A graph of tasks on a server: each is done once, and after what it waits for."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from cli_user import User
from serving import server_of

GRAPH = """\
project: calc
defaults:
  agent: shell
  isolation: process
tasks:
  last:
    prompt: last
    args: [/bin/sh, -c, "cat first.txt > last.txt; echo last >> {log}"]
    after: [left, right]
  left:
    prompt: left
    args: [/bin/sh, -c, "cat first.txt && echo left >> {log}"]
    after: first
  right:
    prompt: right
    args: [/bin/sh, -c, "cat first.txt && echo right >> {log}"]
    after: first
    labels: {{side: right}}
  first:
    prompt: first
    args: [/bin/sh, -c, "echo made > first.txt; echo first >> {log}"]
"""


@pytest.mark.long
async def test_a_diamond_is_worked_off_by_two_slots_in_order_and_exactly_once(
    user: User, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    file = user.home / "graph.yaml"
    file.write_text(GRAPH.format(log=log))
    # The project gets its files.
    first = await user.shell("true", "--isolation", "process")
    assert first.status == 0, first.err
    dry = await user.autovibe("task", "import", str(file), "--dry-run")
    assert dry.status == 0, dry.err
    assert "4 tasks would be made" in dry.err + dry.out
    async with server_of(user, "--slots", "2"):
        made = await user.autovibe("task", "import", str(file), "--start", "--key", "k", "--json")
        assert made.status == 0, made.err
        ids = {task["key"]: task["task_id"] for task in made.json["tasks"]}
        tasks = await _ended(user, set(ids.values()))
        again = await user.autovibe("task", "import", str(file), "--start", "--key", "k", "--json")
        assert again.json["repeated"] is True
        assert {task["task_id"] for task in again.json["tasks"]} == set(ids.values())
        graph = await user.autovibe("task", "graph", ids["left"])
        diagram = await user.autovibe("task", "graph", "--project", "calc", "--mermaid")
        labelled = await user.autovibe("task", "list", "--label", "side=right", "--json")
        after = await user.shell("cat first.txt", "--isolation", "process", "--after", ids["last"])
    assert {tasks[one]["status"] for one in ids.values()} == {"completed"}
    done = log.read_text().split()
    assert sorted(done) == ["first", "last", "left", "right"]
    assert (done[0], done[3]) == ("first", "last")
    lines = graph.out.splitlines()
    assert len(lines) == 5, graph.out  # what waits for two stands below both
    assert [len(line) - len(line.lstrip(" `|-")) for line in lines] == [0, 3, 6, 3, 6]
    assert diagram.out.startswith("flowchart LR\n")
    assert diagram.out.count("-->") == 4
    assert [one["id"] for one in labelled.json["tasks"]] == [ids["right"]]
    assert after.status == 1, (after.out, after.err)  # DIR as it is has no first.txt


@pytest.mark.long
async def test_without_a_server_an_import_says_how_its_tasks_are_done(user: User) -> None:
    first = await user.shell("true", "--isolation", "process")
    assert first.status == 0, first.err
    file = user.home / "graph.yaml"
    file.write_text(GRAPH.format(log="/dev/null"))
    made = await user.autovibe("task", "import", str(file), "--start")
    assert made.status == 0, made.err
    assert "autovibe up" in made.out + made.err
    ready = await user.autovibe("task", "list", "--ready", "--json")
    (task,) = ready.json["tasks"]
    assert task["title"] == "first"
    waiting = await user.shell("true", "--isolation", "process", "--after", task["id"])
    assert waiting.status == 4, (waiting.out, waiting.err)
    assert waiting.json["error"]["reason"] == "WAITING_FOR_DEPENDENCY"
    loop = await user.autovibe("task", "depend", task["id"], "--on", waiting.json["task_id"])
    assert loop.status == 1
    assert "→" in loop.err
    freed = await user.autovibe("task", "undepend", waiting.json["task_id"], "--on", task["id"])
    assert "queued" in freed.out + freed.err
    file.write_text("tasks:\n  a:\n    colour: red\n")
    wrong = await user.autovibe("task", "import", str(file), "--project", "calc", "--json")
    assert wrong.status == 2
    assert "Line 3" in json.loads(wrong.out)["error"]["message"]


async def _ended(user: User, ids: set[str]) -> dict[str, Any]:
    """Return tasks by id when none of these is open any more."""
    while True:
        listed = await user.autovibe("task", "list", "--json")
        tasks = {task["id"]: task for task in listed.json["tasks"]}
        if all(tasks[one]["status"] in {"completed", "failed", "cancelled"} for one in ids):
            return tasks
        await asyncio.sleep(0.2)
