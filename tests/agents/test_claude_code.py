"""The launch of Claude Code, and what a user may add to it."""

from __future__ import annotations

import json
import stat
import uuid

import pytest
from genai_prices import Usage, calc_price

from autovibe.agents.claude_code import DEFAULT_MODEL, PROGRAM_INSIDE, ClaudeCodeAdapter
from autovibe.domains.machines.agent import AgentRequest
from autovibe.domains.machines.driver import Bind
from autovibe.domains.machines.errors import AgentNotInstalledError
from autovibe.kernel.errors import InvalidArgumentError

SESSION = str(uuid.UUID(int=7))


@pytest.fixture
def program(tmp_path):
    """A file that passes for a native program."""
    path = tmp_path / "claude"
    path.write_bytes(b"\x7fELF")
    path.chmod(0o755)
    return path


@pytest.fixture
def launch(program, tmp_path):
    """Launch with changes to a request."""
    settings = tmp_path / "settings"
    settings.mkdir()

    def launch(**changes):
        values = {
            "prompt": "Do it.",
            "model": None,
            "session_id": SESSION,
            "resume": False,
            "gateway_url": "http://127.0.0.1:9000",
            "virtual_key": "virtual",
            "settings_dir": settings,
        }
        return ClaudeCodeAdapter(program).launch(AgentRequest(**(values | changes)))

    return launch


def following(argv, name):
    return argv[argv.index(name) + 1]


def test_no_settings_but_ours_are_loaded(launch, tmp_path):
    argv = launch().argv
    assert following(argv, "--setting-sources") == ""
    assert "--strict-mcp-config" in argv
    assert following(argv, "--settings") == "/run/autovibe/settings/claude.json"
    settings = json.loads((tmp_path / "settings/claude.json").read_text())
    assert settings["disableAllHooks"] is True


def test_settings_and_program_are_bound_from_outside_workspace_and_home(launch, program, tmp_path):
    assert set(launch().binds) == {
        Bind(program, PROGRAM_INSIDE),
        Bind(tmp_path / "settings", "/run/autovibe/settings"),
    }


def test_permissions_are_skipped_only_when_asked(launch):
    assert "--dangerously-skip-permissions" in launch(skip_permissions=True).argv
    assert "--dangerously-skip-permissions" not in launch(skip_permissions=False).argv


def test_prompt_stands_in_no_argument(launch, tmp_path):
    assert not any("secret plan" in argument for argument in launch(prompt="secret plan").argv)
    assert (tmp_path / "settings/prompt.txt").read_text() == "secret plan"


def test_session_is_begun_or_resumed(launch):
    assert following(launch().argv, "--session-id") == SESSION
    resumed = launch(resume=True).argv
    assert following(resumed, "--resume") == SESSION
    assert "--session-id" not in resumed


def test_gateway_route_is_the_base_url(launch):
    env = launch().env
    assert env["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:9000/llm/anthropic"
    assert env["ANTHROPIC_AUTH_TOKEN"] == "virtual"
    assert env["HOME"] == "{autovibe:home}"


def test_default_model_has_a_known_price(launch):
    assert following(launch().argv, "--model") == DEFAULT_MODEL
    price = calc_price(Usage(input_tokens=1000, output_tokens=1000), DEFAULT_MODEL)
    assert price.total_price > 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--settings", "x.json"],
        ["--settings=x.json"],
        ["--setting-sources", "user"],
        ["--mcp-config", "x.json"],
        ["--strict-mcp-config"],
        ["--dangerously-skip-permissions"],
        ["--allow-dangerously-skip-permissions"],
        ["--permission-mode", "bypassPermissions"],
        ["--permission-mode=acceptEdits"],
        ["--permission-prompt-tool", "x"],
        ["--permission-prompts", "none"],
        ["--allowedTools", "Bash"],
        ["--allowed-tools=Bash"],
        ["--resume", SESSION],
        ["-r"],
        ["--continue"],
        ["-c"],
        ["--session-id", SESSION],
        ["--fork-session"],
        ["--no-session-persistence"],
        ["--output-format", "text"],
        ["--input-format", "stream-json"],
        ["--plugin-dir", "."],
        ["--plugin-url", "http://127.0.0.1"],
        ["--agents", "{}"],
        ["--add-dir", "/"],
        ["--bare"],
        ["--bg"],
        ["--worktree"],
        ["--model", "other"],
        ["--base-url", "http://127.0.0.1"],
        ["--"],
        ["mcp", "serve"],
        ["another prompt"],
        [""],
        ["--tools", "Bash", "--settings", "x.json"],
        ["--tools", "Bash", "Edit"],
        ["--max-turns"],
        ["--max-turns", "--dangerously-skip-permissions"],
        ["--include-partial-messages=--settings"],
        ["--tools", "a\0b"],
    ],
)
def test_arguments_that_could_undo_safety_are_refused(launch, arguments):
    with pytest.raises(InvalidArgumentError) as caught:
        launch(extra_args=arguments)
    assert caught.value.exit_status == 2


def test_harmless_arguments_are_passed_on_as_one_word_each(launch):
    given = ["--max-turns", "3", "--append-system-prompt=Be brief.", "--include-partial-messages"]
    argv = launch(extra_args=given).argv
    assert list(argv[-3:]) == [
        "--max-turns=3",
        "--append-system-prompt=Be brief.",
        "--include-partial-messages",
    ]


@pytest.mark.parametrize("session", ["", "latest", "../x", SESSION + "\n", "--resume"])
def test_session_that_is_no_uuid_is_refused(launch, session):
    with pytest.raises(InvalidArgumentError):
        launch(session_id=session)


@pytest.mark.parametrize("model", ["--settings", "a b", "", "x\n", "ü", "x" * 200])
def test_malformed_model_is_refused(launch, model):
    if not model:
        assert following(launch(model=model).argv, "--model") == DEFAULT_MODEL
        return
    with pytest.raises(InvalidArgumentError):
        launch(model=model)


def test_missing_program_is_told_with_the_command_that_installs_it(tmp_path):
    adapter = ClaudeCodeAdapter(tmp_path / "absent")
    assert "pip install 'autovibe[claude]'" in adapter.check()
    request = AgentRequest(
        "Do it.",
        None,
        SESSION,
        resume=False,
        gateway_url="http://x",
        virtual_key="k",
        settings_dir=tmp_path,
    )
    with pytest.raises(AgentNotInstalledError, match="pip install"):
        adapter.launch(request)
    assert list(tmp_path.iterdir()) == []


def test_script_is_no_program_because_its_interpreter_is_not_in_the_machine(tmp_path):
    script = tmp_path / "claude"
    script.write_text("#!/usr/bin/env node\n")
    script.chmod(0o755)
    assert ClaudeCodeAdapter(script).check() is not None


def test_file_that_may_not_be_executed_is_no_program(program):
    program.chmod(stat.S_IRUSR)
    assert ClaudeCodeAdapter(program).check() is not None


def test_program_on_path_serves_when_none_is_bundled(program, monkeypatch):
    monkeypatch.setattr("autovibe.agents.claude_code._bundled", lambda: None)
    monkeypatch.setenv("PATH", str(program.parent))
    assert ClaudeCodeAdapter().check() is None
    monkeypatch.setenv("PATH", "/nowhere")
    assert ClaudeCodeAdapter().check() is not None
