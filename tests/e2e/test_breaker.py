"""A task of which nothing comes is paused, whatever budget it has left."""

from __future__ import annotations

from typing import Any

import pytest
from cli_user import User

from autovibe.testing.demo_repository import PROMPT
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import Script, Text, Turn, Usage, bash

USAGE = Usage(input_tokens=20_000, output_tokens=500)
# The model tries the same thing over and over, and changes a file at last.
STUBBORN = Script(
    (
        *(bash(f"cat missing-{number}.txt", usage=USAGE) for number in range(8)),
        bash("echo found > found.txt", usage=USAGE),
        Turn((Text("Done."),), USAGE),
    ),
    name="stubborn",
)
IDLE = Script(
    (
        *(bash(f"echo thought {number}", usage=USAGE) for number in range(30)),
        Turn((Text("Done."),), USAGE),
    ),
    name="idle",
)


@pytest.fixture
async def model_server(request: pytest.FixtureRequest) -> Any:
    async with ModelServer(request.param) as server:
        yield server


@pytest.mark.long
@pytest.mark.parametrize("model_server", [STUBBORN], indirect=True)
async def test_the_same_error_again_and_again_pauses_claude_code(user: User) -> None:
    user.environment["AUTOVIBE_BREAKER_SAME_ERRORS"] = "3"
    run = await user.run(PROMPT, "--budget", "20")
    assert run.status == 1, run.err
    assert "status" in run.json, run.out
    result = run.json
    assert result["status"] == "blocked"
    assert result["error"]["reason"] == "BREAKER_OPEN"
    # Another may come while a checkpoint looks whether anything has changed after all.
    assert "The same error of Bash came " in result["error"]["message"]
    assert result["verified"] is True
    assert len(user.server.billed) < 8

    user.environment["AUTOVIBE_BREAKER_SAME_ERRORS"] = "0"
    again = await user.autovibe("task", "resume", result["task_id"], "--json")
    assert again.status == 0, again.err
    assert [item["path"] for item in again.json["files_changed"]] == ["found.txt"]


@pytest.mark.long
@pytest.mark.parametrize("model_server", [IDLE], indirect=True)
async def test_spending_without_a_change_pauses_claude_code(user: User) -> None:
    user.environment["AUTOVIBE_BREAKER_SPEND_CAD"] = "0.5"
    run = await user.run(PROMPT, "--budget", "20")
    assert run.status == 1, run.err
    assert "status" in run.json, run.out
    result = run.json
    assert (result["status"], result["error"]["reason"]) == ("blocked", "BREAKER_OPEN")
    assert "were spent without a change of any file" in result["error"]["message"]
    assert 0.5 <= float(result["cost_cad"]) < 2
    assert len(user.server.billed) < 30
    assert result["files_changed"] == []


@pytest.mark.long
@pytest.mark.parametrize("model_server", [IDLE], indirect=True)
async def test_attempts_that_change_nothing_pause_the_task_and_a_change_does_not(
    user: User,
) -> None:
    user.environment["AUTOVIBE_BREAKER_ATTEMPTS"] = "2"
    first = await user.shell("exit 3")
    assert first.json["error"]["reason"] == "AGENT_FAILED"
    task = first.json["task_id"]
    second = await user.autovibe("task", "resume", task, "--json")
    assert second.json["status"] == "blocked"
    assert second.json["error"]["reason"] == "BREAKER_OPEN"
    assert "2 attempts in a row" in second.json["error"]["message"]
    # Letting it go on closes the breaker: the count begins anew.
    third = await user.autovibe("task", "resume", task, "--json")
    assert third.json["error"]["reason"] == "AGENT_FAILED"

    busy = await user.shell("date +%N >> tried.txt; exit 3")
    again = await user.autovibe("task", "resume", busy.json["task_id"], "--json")
    assert again.json["error"]["reason"] == "AGENT_FAILED"
