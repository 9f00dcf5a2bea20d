"""Agents of other providers: how they are installed, started and driven."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

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


def install(directory: Path) -> Path:
    """Install all of them from npm's registry, at exact versions and without install scripts."""
    packages = [agent.package for agent in AGENTS.values()]
    subprocess.run(
        ["npm", "install", "--no-fund", "--no-audit", "--ignore-scripts", *packages],
        cwd=directory,
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    return directory


def shell_command(name: str, programs: Path) -> tuple[str, ...]:
    """Return the command that starts an agent with what `--agent shell` gives it."""
    agent = AGENTS[name]
    program = shlex.quote(str(programs / "node_modules" / ".bin" / agent.program))
    return ("/bin/sh", "-c", agent.start.format(program=program))


def repairing(name: str) -> Script:
    """Return what a model says to repair the repository by one command of an agent."""
    usage = Usage(input_tokens=3000, output_tokens=100, cache_read_input_tokens=1000)
    turns = (
        Turn((Text("I correct it."), AGENTS[name].tool), usage),
        Turn((Text("It adds now, and the test passes."),), usage),
    )
    return Script(turns)
