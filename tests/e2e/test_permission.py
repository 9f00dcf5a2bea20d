"""Supervised work as two people see it: one who runs the task, one who answers elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cli_user import User, ended

from autovibe.testing.demo_repository import PROMPT


async def waiting(user: User, *options: str) -> list[dict[str, Any]]:
    """Return what waits in the inbox, as soon as something does."""
    for _ in range(300):
        inbox = await user.autovibe("inbox", "--json", *options)
        assert inbox.status == 0, inbox.err
        if inbox.json["approvals"]:
            return inbox.json["approvals"]
        await asyncio.sleep(0.1)
    raise AssertionError("nothing waits")


async def test_a_supervised_run_goes_on_when_a_second_terminal_allows_its_tools(user: User) -> None:
    process = await user.start(
        "run", PROMPT, "--repo", str(user.repo), "--permission", "supervised", "--json"
    )
    asked: list[str] = []
    finished = asyncio.create_task(ended(process))
    while not finished.done():
        inbox = (await user.autovibe("inbox", "--json")).json["approvals"]
        for one in inbox:
            assert one["kind"] == "tool_use"
            assert one["project_name"] == "calc"
            asked.append(one["details"]["tool"])
            answered = await user.autovibe("approve", one["id"][:8])
            assert answered.status == 0, answered.err
    run = finished.result()
    assert run.status == 0, run.err
    assert run.json["status"] == "completed"
    assert asked == ["Bash", "Edit", "Bash", "Bash"]
    changed = {item["path"] for item in run.json["files_changed"]}
    assert {"calc.py", "build.log"} <= changed
