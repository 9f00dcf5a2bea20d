"""Agents of other providers, driven by `--agent shell` through the gateway.

They are installed from the registry of npm, so these tests are run by hand.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cli_user import Ended, User

from autovibe.testing.demo_repository import PROMPT
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import Script, Text, ToolUse, Turn, Usage

REPAIR = "sed -i 's/return a - b/return a + b/' calc.py && python3 -m unittest -q test_calc"


@dataclass(frozen=True)
class Agent:
    """How an agent is installed and started, and how it calls its tool for shell commands."""

    package: str
    program: str
    start: str
    tool: ToolUse


CODEX = """
mkdir -p "$HOME/.codex"
cat > "$HOME/.codex/config.toml" <<END
[model_providers.gateway]
name = "gateway"
base_url = "$OPENAI_BASE_URL"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
END
exec {program} exec --json -m gpt-5.5 -c model_provider=gateway \
 --dangerously-bypass-approvals-and-sandbox -c web_search=disabled \
 -c analytics.enabled=false -c check_for_update_on_startup=false \
 --disable plugins --disable remote_plugin "$AUTOVIBE_PROMPT" </dev/null
"""
GEMINI = """
mkdir -p "$HOME/.gemini"
cat > "$HOME/.gemini/settings.json" <<'END'
{{"security":{{"auth":{{"selectedType":"gemini-api-key"}},"folderTrust":{{"enabled":false}}}},
"privacy":{{"usageStatisticsEnabled":false}},"general":{{"enableAutoUpdate":false}},
"tools":{{"exclude":["google_web_search"]}}}}
END
GEMINI_CLI_TRUST_WORKSPACE=true exec {program} -m gemini-2.5-pro --yolo -o stream-json \
 -p "$AUTOVIBE_PROMPT" </dev/null
"""
QWEN = """
mkdir -p "$HOME/.qwen"
echo '{{"privacy":{{"usageStatisticsEnabled":false}},"general":{{"enableAutoUpdate":false}}}}' \
 > "$HOME/.qwen/settings.json"
OPENAI_MODEL=gpt-4.1-mini QWEN_CODE_SUPPRESS_YOLO_WARNING=1 exec {program} --auth-type openai \
 --yolo -o stream-json -p "$AUTOVIBE_PROMPT" </dev/null
"""
AGENTS = {
    "codex": Agent(
        "@openai/codex@0.169.0", "codex", CODEX, ToolUse("exec_command", {"cmd": REPAIR})
    ),
    "gemini": Agent(
        "@google/gemini-cli@0.61.0",
        "gemini",
        GEMINI,
        ToolUse("run_shell_command", {"command": REPAIR, "description": "Repair"}),
    ),
    "qwen": Agent(
        "@qwen-code/qwen-code@0.15.10",
        "qwen",
        QWEN,
        ToolUse(
            "run_shell_command",
            {"command": REPAIR, "description": "Repair", "is_background": False},
        ),
    ),
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the agents."""
    directory = tmp_path_factory.mktemp("agents")
    packages = [agent.package for agent in AGENTS.values()]
    subprocess.run(
        ["npm", "install", "--no-fund", "--no-audit", "--ignore-scripts", *packages],
        cwd=directory,
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    return directory


@pytest.fixture
async def model_server(request: pytest.FixtureRequest) -> AsyncGenerator[ModelServer]:
    """Give a model that repairs the repository by one command of the agent at hand."""
    agent = AGENTS[request.getfixturevalue("name")]
    usage = Usage(input_tokens=3000, output_tokens=100, cache_read_input_tokens=1000)
    turns = (
        Turn((Text("I correct it."), agent.tool), usage),
        Turn((Text("It adds now, and the test passes."),), usage),
    )
    async with ModelServer(Script(turns)) as server:
        yield server


async def run_agent(user: User, programs: Path, name: str, *options: str) -> Ended:
    """Run an agent on the repository."""
    for provider in ("OPENAI", "GEMINI"):
        user.environment[f"AUTOVIBE_UPSTREAM_{provider}_URL"] = user.server.url
        user.environment[f"AUTOVIBE_UPSTREAM_{provider}_KEY"] = user.server.api_key
    config = user.home / ".autovibe" / "config.toml"
    config.parent.mkdir(mode=0o700, exist_ok=True)
    config.write_text(f'[sandbox]\nro = ["{programs}"]\n')
    program = shlex.quote(str(programs / "node_modules" / ".bin" / AGENTS[name].program))
    script = AGENTS[name].start.format(program=program)
    return await user.run(PROMPT, "--agent", "shell", *options, "--", "/bin/sh", "-c", script)


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

    # This old Qwen Code ends with status 0 whatever was answered.
    assert run.status != 0 or name == "qwen"
    refused = [entry for entry in logs["logs"] if entry["metadata"].get("status") == "refused"]
    assert [entry["metadata"]["reason"] for entry in refused] == ["BUDGET_EXHAUSTED"]
    assert not user.server.calls()
