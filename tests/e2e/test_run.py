"""The main job, as a user starts it: real Claude Code, real sandbox, real git."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cli_user import User, ended, git, processes_mentioning

from autovibe.testing.demo_repository import PROMPT
from autovibe.testing.scripts import steps


@pytest.mark.req("S3-56")
@pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True
)
async def test_claude_code_fixes_the_failing_test(user: User, database_url: str) -> None:
    environment = {"AUTOVIBE_DATABASE_URL": database_url}
    user.environment |= environment
    run = await user.run(PROMPT)
    assert run.status == 0, run.err
    result = run.json
    assert result["status"] == "completed"
    assert result["error"] is None
    assert result["verified"] is True
    changed = {item["path"]: item["change"] for item in result["files_changed"]}
    assert changed["calc.py"] == "modified"
    # A file that git ignores and that only a shell command wrote is in the checkpoint too.
    assert changed["build.log"] == "added"
    assert result["api_calls"] == len(user.server.billed)
    # Genesis is the project's; each request that follows a tool result makes one, and the end one.
    assert result["checkpoint_count"] == len(user.server.billed)

    restored = user.home / "restored"
    restore = await user.autovibe(
        "checkpoint", "restore", result["result_checkpoint_id"], "--to", str(restored)
    )
    assert restore.status == 0, restore.err
    assert (restored / "build.log").exists()

    before = git(user.repo, "status", "--porcelain")
    apply = await user.autovibe("apply", result["task_id"], "--branch", "fixed", "--json")
    assert apply.status == 0, apply.err
    assert git(user.repo, "status", "--porcelain") == before
    assert git(user.repo, "log", "-1", "--format=%an %P", "fixed").split() == [
        "Test",
        "Person",
        git(user.repo, "rev-parse", "main"),
    ]
    git(user.repo, "worktree", "add", "-q", str(user.home / "tree"), "fixed")
    assert unittest_passes(user.home / "tree")

    usage = (await user.autovibe("usage", "--task", result["task_id"], "--json")).json
    assert usage["cost_cad"] == result["cost_cad"]
    verify = await user.autovibe("checkpoint", "verify", result["result_checkpoint_id"], "--json")
    assert verify.status == 0
    assert verify.json["ok"] is True
    await _is_recorded(user, result)


async def _is_recorded(user: User, result: dict[str, Any]) -> None:
    """Agent and gateway tell the same of the tools; the raw output stands beside what it means."""
    told = (await user.autovibe("execution", "show", result["execution_id"], "--json")).json
    assert told["findings"] == []
    assert told["agent_tool_calls"] == told["gateway_tool_calls"] == len(user.server.billed) - 1
    (run,) = told["agent_runs"]
    assert (run["status"], run["agent_name"]) == ("completed", "claude_code")
    assert run["tokens_used"] > 0
    assert told["execution"]["exit_code"] == 0
    assert '"type":"result"' in told["stdout_log"]
    logs = await user.autovibe("logs", result["task_id"], "--level", "DEBUG", "--json")
    details = [entry["event"] for entry in logs.json["entries"]]
    kinds = {event["details"].get("event") for event in details if event["kind"] == "agent"}
    assert {"message", "command", "tool_result", "usage"} <= kinds
    raw = [event for event in details if event["details"].get("stream") == "stdout"]
    assert len(raw) > len(user.server.billed)


async def test_a_run_is_refused_in_flight_by_its_cap(user: User) -> None:
    user.server.script = steps(30)
    run = await user.run("do the steps", "--budget", "0.45CAD")
    assert run.status == 3, run.err
    result = run.json
    assert result["status"] == "blocked"
    assert result["error"]["reason"] == "BUDGET_EXHAUSTED"
    assert "--budget" in result["error"]["message"]
    assert Decimal(result["cost_cad"]) <= Decimal("0.45")
    assert 3 <= result["api_calls"] == len(user.server.billed) < 30
    # Everything that was done before the refusal is in the result.
    done = len(user.server.billed)
    steps_text = await user.cat(result["result_checkpoint_id"], "steps.txt")
    assert len(steps_text.splitlines()) == done
    logs = await user.autovibe("logs", result["task_id"], "--json")
    calls = [e["event"]["details"] for e in logs.json["entries"] if e["event"]["kind"] == "call"]
    assert [call["status"] for call in calls].count("refused") <= 2
    task = (await user.autovibe("task", "show", result["task_id"], "--json")).json
    assert task["block_reason"] == "BUDGET_EXHAUSTED"


async def test_an_interrupted_run_is_checkpointed_and_leaves_nothing_behind(user: User) -> None:
    script = "echo begun > begun.txt; touch /workspace/ready; exec sleep 300"
    process = await user.start(
        "run", "wait", "--agent", "shell", "--repo", str(user.repo), "--json",
        "--", "/bin/sh", "-c", script,
    )  # fmt: skip
    machines = user.home / ".autovibe/machines"
    await until(lambda: any(machines.glob("*/tree/workspace/ready")))
    process.send_signal(signal.SIGINT)
    run = await ended(process)
    assert run.status == 130, run.err
    assert run.json["status"] == "blocked"
    assert run.json["error"]["reason"] == "INTERRUPTED"
    assert "begun.txt" in [item["path"] for item in run.json["files_changed"]]
    assert processes_mentioning(str(user.home)) == []
    assert [path.name for path in machines.iterdir() if path.name != "scratch"] == []


async def test_a_run_over_its_time_is_ended_and_checkpointed(user: User) -> None:
    run = await user.shell("echo x > kept.txt; sleep 60", "--timeout", "2s")
    assert run.status == 5, run.err
    assert run.json["error"]["reason"] == "TASK_TIMED_OUT"
    assert "kept.txt" in [item["path"] for item in run.json["files_changed"]]


@pytest.mark.req("S3-57")
async def test_a_failing_command_is_a_failed_task(user: User) -> None:
    run = await user.shell("echo partial > partial.txt; exit 7")
    assert run.status == 1, run.err
    assert run.json["status"] == "failed"
    assert "exit status 7" in run.json["error"]["message"]
    assert [item["path"] for item in run.json["files_changed"]] == ["partial.txt"]


async def test_any_program_can_be_the_agent_without_isolation(user: User) -> None:
    run = await user.shell("echo hello > hello.txt", "--isolation", "process")
    assert run.status == 0, run.err
    assert [item["path"] for item in run.json["files_changed"]] == ["hello.txt"]
    assert not (user.repo / "hello.txt").exists()


@pytest.mark.long
async def test_claude_code_runs_without_isolation_only_when_it_is_trusted(user: User) -> None:
    # Without the trust its own permission prompts stay, and nobody is there to answer them.
    asked = await user.run(PROMPT, "--isolation", "process")
    assert "calc.py" not in [item["path"] for item in asked.json["files_changed"]]
    trusted = await user.run(PROMPT, "--isolation", "process", "--yes-i-trust-this-agent")
    assert trusted.status == 0, trusted.out
    assert "calc.py" in [item["path"] for item in trusted.json["files_changed"]]


async def test_each_of_many_steps_has_its_checkpoint(user: User) -> None:
    user.server.script = steps(8)
    run = await user.run("do the steps")
    assert run.status == 0, run.err
    listed = await user.autovibe("checkpoint", "list", "--project", "calc", "--json")
    kinds = [item["checkpoint_type"] for item in listed.json["checkpoints"]]
    assert kinds.count("automatic") == 8
    assert kinds.count("final") == 1
    assert kinds.count("genesis") == 1
    final, *automatic, _ = listed.json["checkpoints"]
    found = {item["detection"]["method"] for item in automatic[:-1]}  # the first looks at all files
    assert found <= {"inotify", "fanotify"}
    assert final["detection"]["audited"]


async def test_a_second_run_starts_from_the_directory_as_it_is(user: User) -> None:
    first = await user.shell("echo one > one.txt")
    assert first.status == 0, first.err
    (user.repo / "mine.txt").write_text("mine")
    second = await user.shell("cat mine.txt > copy.txt; test ! -e one.txt")
    assert second.status == 0, second.err
    assert [item["path"] for item in second.json["files_changed"]] == ["copy.txt"]
    assert second.json["project_id"] == first.json["project_id"]


BAD: tuple[tuple[tuple[str, ...], str], ...] = (
    (("run", "x", "--agent", "nobody"), "nobody"),
    (("run", ""), "empty"),
    (("run", "x", "--budget", "lots"), "lots"),
    (("run", "x", "--timeout", "soon"), "soon"),
    (("run", "x", "--repo", "/nonexistent"), "/nonexistent"),
    (("run", "x", "--agent", "shell"), "command"),
    (("task", "show", "00000000"), "00000000"),
    (("project", "show", "nothing"), "nothing"),
    (("budget", "set", "nothing", "money", "5"), "nothing"),
    (("checkpoint", "restore", "00000000", "--to", "there"), "00000000"),
)


async def test_bad_input_gets_one_sentence_and_the_right_status(user: User) -> None:
    for arguments, said in BAD:
        repo = ("--repo", str(user.repo))
        needs_repo = arguments[0] == "run" and "--repo" not in arguments
        told = await user.autovibe(*arguments, *(repo if needs_repo else ()))
        assert told.status == 2, (arguments, told.err)
        assert said in told.err, arguments
        assert "Traceback" not in told.err, arguments
    listed = await user.autovibe("task", "list", "--json")
    assert listed.json["tasks"] == []


async def test_a_home_that_cannot_be_made_is_said(user: User) -> None:
    told = await user.autovibe("task", "list", environment={"AUTOVIBE_HOME": "/proc/nothing"})
    assert told.status == 1
    assert "AUTOVIBE_HOME" in told.err


def unittest_passes(directory: Path) -> bool:
    """Run the tests of the demo repository."""
    command = [sys.executable, "-m", "unittest", "-q"]
    return subprocess.run(command, cwd=directory, check=False, capture_output=True).returncode == 0


async def until(condition: object, seconds: float = 60) -> None:
    """Wait until a condition holds."""
    assert callable(condition)
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came to be")


async def test_the_commits_of_an_agent_are_kept_if_that_is_wanted(user: User) -> None:
    who = "-c user.name='The Agent' -c user.email=agent@example.invalid"
    run = await user.shell(
        f"echo 1 > one.txt && git add one.txt && git {who} commit -qm 'First step' && "
        f"echo 2 > two.txt && git add two.txt && git {who} commit -qm 'Second step' && "
        "echo 3 > three.txt"
    )
    assert run.status == 0, run.err
    task_id = run.json["task_id"]
    apply = await user.autovibe("apply", task_id, "--branch", "kept", "--keep-commits", "--json")
    assert apply.status == 0, apply.err
    assert apply.json["kept_commits"] == 2
    subjects = git(user.repo, "log", "--format=%s|%an|%cn", "main..kept").split("\n")
    assert subjects[1:] == [
        "Second step|The Agent|Test Person",
        "First step|The Agent|Test Person",
    ]
    plain = await user.autovibe("apply", task_id, "--branch", "plain")
    assert plain.status == 0, plain.err
    assert git(user.repo, "rev-parse", "kept^{tree}") == git(user.repo, "rev-parse", "plain^{tree}")
