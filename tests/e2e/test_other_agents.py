"""Agents of other providers, driven by `--agent shell` through the gateway.

They are installed from the registry of npm, so these tests are run by hand.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from cli_user import Ended, User
from other_agents import AGENTS, install, repairing, shell_command

from autovibe.testing.demo_repository import PROMPT
from autovibe.testing.model_server import ModelServer


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the agents."""
    return install(tmp_path_factory.mktemp("agents"))


@pytest.fixture
async def model_server(request: pytest.FixtureRequest) -> AsyncGenerator[ModelServer]:
    """Give a model that repairs the repository by one command of the agent at hand."""
    async with ModelServer(repairing(request.getfixturevalue("name"))) as server:
        yield server


async def run_agent(user: User, programs: Path, name: str, *options: str) -> Ended:
    """Run an agent on the repository."""
    for provider in ("OPENAI", "GEMINI"):
        user.environment[f"AUTOVIBE_UPSTREAM_{provider}_URL"] = user.server.url
        user.environment[f"AUTOVIBE_UPSTREAM_{provider}_KEY"] = user.server.api_key
    config = user.home / ".autovibe" / "config.toml"
    config.parent.mkdir(mode=0o700, exist_ok=True)
    config.write_text(f'[sandbox]\nro = ["{programs}"]\n')
    command = shell_command(name, programs)
    return await user.run(PROMPT, "--agent", "shell", *options, "--", *command)


@pytest.mark.long
@pytest.mark.parametrize("name", AGENTS)
async def test_an_agent_of_another_provider_fixes_the_failing_test(
    user: User, programs: Path, name: str
) -> None:
    run = await run_agent(user, programs, name, "--budget", "20")

    assert run.status == 0, run.err + run.out
    assert {item["path"] for item in run.json["files_changed"]} >= {"calc.py"}
    assert run.json["api_calls"] == len(user.server.billed) == 2
    assert float(run.json["cost_cad"]) > 0
    assert "return a + b" in await user.cat(run.json["result_checkpoint_id"], "calc.py")
    assert all(user.server.api_key in str(call.headers) for call in user.server.calls())


@pytest.mark.long
@pytest.mark.parametrize("name", AGENTS)
async def test_an_exhausted_budget_stops_an_agent_at_once(
    user: User, programs: Path, name: str
) -> None:
    run = await run_agent(user, programs, name, "--budget", "0.0001")
    logs = (await user.autovibe("logs", run.json["task_id"], "--json")).json

    # Whatever the agent made of it: this old Qwen Code ends with status 0.
    assert run.status == 3, [entry["message"] for entry in logs["entries"]]
    assert run.json["status"] == "blocked"
    assert run.json["error"]["reason"] == "BUDGET_EXHAUSTED"
    events = [entry["event"] for entry in logs["entries"]]
    refused = [event["details"] for event in events if event["details"].get("status") == "refused"]
    assert [details["reason"] for details in refused] == ["BUDGET_EXHAUSTED"]
    assert not user.server.calls()
