"""`autovibe doctor` after a control plane was killed."""

from __future__ import annotations

import asyncio
import signal

import pytest
from cli_user import User, processes_mentioning


@pytest.mark.long
async def test_doctor_finds_and_removes_what_a_killed_run_left(user: User) -> None:
    script = "echo begun > begun.txt; touch /workspace/ready; exec sleep 300"
    run = await user.start(
        "run", "wait", "--agent", "shell", "--repo", str(user.repo), "--", "/bin/sh", "-c", script
    )
    machines = user.home / ".autovibe/machines"
    while not any(machines.glob("*/tree/workspace/ready")):
        assert run.returncode is None
        await asyncio.sleep(0.05)
    other = await user.autovibe("doctor", "--json")
    assert other.json["leftovers"] == [], "what lives is no leftover"
    run.send_signal(signal.SIGKILL)
    await run.wait()

    found = await user.autovibe("doctor", "--json")
    kinds = {item["kind"] for item in found.json["leftovers"]}
    assert {"instance", "machine", "directory", "scratch"} <= kinds
    fixed = await user.autovibe("doctor", "--fix", "--json")
    assert fixed.status == 0, fixed.err
    # Its work came after the last checkpoint: only a person may throw it away.
    (left,) = fixed.json["leftovers"]
    assert (left["kind"], left["unsaved"]) == ("directory", True)
    assert {"instance", "machine", "scratch"} <= {item["kind"] for item in fixed.json["removed"]}
    assert processes_mentioning(str(user.home)) == []
    (task,) = (await user.autovibe("task", "list", "--json")).json["tasks"]
    assert task["status"] == "blocked"
