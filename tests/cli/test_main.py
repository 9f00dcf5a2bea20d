"""The entry point: quick help, exit statuses, one sentence for each error."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from autovibe import __version__
from autovibe.cli.lazy import load
from autovibe.cli.main import COMMANDS, autovibe, main
from autovibe.kernel.errors import Code

HEAVY = {
    "aiohttp",
    "alembic",
    "asyncio",
    "asyncpg",
    "fastapi",
    "google.protobuf",
    "grpc",
    "opentelemetry",
    "pydantic",
    "rich",
    "sqlalchemy",
    "uvicorn",
    "autovibe.app",
    "autovibe.cli.client",
    "autovibe.cli.local",
    "autovibe.v1",
}


def modules_after(*arguments: str) -> set[str]:
    code = (
        "import sys, json\n"
        "from autovibe.cli.main import main\n"
        "status = main(sys.argv[1:])\n"
        "print(json.dumps([status, sorted(sys.modules)]), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    status, modules = json.loads(done.stderr)
    assert status == 0
    return set(modules)


@pytest.mark.parametrize("arguments", [("--help",), ("--version",)])
def test_help_and_version_import_nothing_heavy(arguments):
    assert not HEAVY & modules_after(*arguments)


def test_help_of_a_command_imports_no_server_code():
    server = {
        *("sqlalchemy", "fastapi", "grpc", "uvicorn", "aiohttp", "rich", "autovibe.app"),
        "opentelemetry",
    }
    assert not server & modules_after("run", "--help")


def test_version_is_printed(cli):
    assert cli("--version").out == f"autovibe {__version__}\n"


def test_help_lines_of_the_group_are_those_of_the_commands():
    for name, (target, line) in COMMANDS.items():
        command = load(target)
        assert command.name == name
        assert line
        assert command.help


def every_command(group: click.Group, path: tuple[str, ...] = ()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))


@pytest.mark.parametrize(
    ("path", "command"), [pytest.param(p, c, id=" ".join(p)) for p, c in every_command(autovibe)]
)
def test_every_command_has_help_with_an_example_and_json(path, command, cli):
    ended = cli(*path, "--help")
    assert ended.status == 0
    assert f"Example: autovibe {' '.join(path)}" in " ".join(ended.out.split())
    # What a shell reads is no document, and what ends by a signal prints none.
    without = {("completion",), ("db", "receive-log")}
    assert isinstance(command, click.Group) or "--json" in ended.out or path in without
    assert isinstance(command, click.Group) or {"--quiet", "--no-color"} <= set(ended.out.split())


def test_no_command_shows_help_as_a_usage_error(cli):
    ended = cli()
    assert (ended.status, ended.out) == (2, "")
    assert "Commands:" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("run", "x", "--nothing"),
        ("run", "x", "y", "--repo", "."),
        ("budget", "set", "p", "gold", "1"),
        ("checkpoint", "restore", "1234"),
        ("task", "list", "--limit", "0"),
    ],
)
def test_usage_errors_are_one_sentence_and_exit_2(arguments, cli):
    ended = cli(*arguments)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("autovibe: error: ")
    assert ended.err.count("\n") == 1
    assert "--help`" in ended.err


def test_usage_errors_are_json_when_json_is_asked_for(cli):
    ended = cli("budget", "set", "p", "gold", "1", "--json")
    assert ended.status == 2
    error = ended.document()["error"]
    assert (error["code"], error["reason"]) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")
    assert "gold" in error["message"]
    # A person who pipes the document away still reads the sentence.
    assert ended.err == f"autovibe: error: {error['message']}\n"


def test_json_behind_the_dashes_belongs_to_the_agent(cli):
    ended = cli("run", "--agent", "nobody", "--nothing", "--", "--json")
    assert ended.out == ""
    assert ended.err.startswith("autovibe: error: ")


def test_errors_of_services_are_one_escaped_sentence(cli, plane, fakes):
    refusal = fakes.RefusedError(Code.NOT_FOUND, "TASK_NOT_FOUND", f"No such\n{fakes.ESCAPE}.")
    plane.refusals["GetTaskRequest"] = refusal
    ended = cli("task", "show", "1234")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert "\x1b" not in ended.err
    assert "\u202e" not in ended.err


def test_errors_of_services_keep_code_reason_and_params_in_json(cli, plane, fakes):
    refusal = fakes.RefusedError(Code.FAILED_PRECONDITION, "BUDGET_EXHAUSTED", "Nothing left.")
    refusal.params = {"limit": "2.00"}
    plane.refusals["GetTaskRequest"] = refusal
    ended = cli("task", "show", "1234", "--json")
    assert ended.status == 3
    assert ended.document() == {
        "error": {
            "code": "FAILED_PRECONDITION",
            "reason": "BUDGET_EXHAUSTED",
            "message": "Nothing left.",
            "params": {"limit": "2.00"},
        }
    }


def test_unexpected_error_is_one_line_and_the_traceback_is_in_the_log(cli, plane, home):
    home.mkdir()
    plane.refusals["GetTaskRequest"] = RuntimeError("a defect\nin two lines")
    ended = cli("task", "show", "1234")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.count("\n") == 1
    assert "a defect in two lines" in ended.err
    log = home / "autovibe.log"
    assert str(log) in ended.err
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_debug_shows_the_traceback_of_an_unexpected_error(cli, plane, monkeypatch):
    monkeypatch.setenv("AUTOVIBE_DEBUG", "1")
    plane.refusals["GetTaskRequest"] = RuntimeError("a defect")
    ended = cli("task", "show", "1234")
    assert ended.status == 1
    assert "Traceback" in ended.err


def test_unknown_setting_is_a_usage_error(cli, home):
    home.mkdir()
    (home / "config.toml").write_text("colour = 1\n")
    ended = cli("project", "list")
    assert ended.status == 2
    assert "colour" in ended.err


def test_home_that_cannot_be_made_is_one_sentence(capsys, monkeypatch):
    monkeypatch.setenv("AUTOVIBE_HOME", "/proc/nowhere")
    status = main(["project", "list"])
    captured = capsys.readouterr()
    assert status == 1
    assert captured.err.startswith("autovibe: error: ")
    assert "AUTOVIBE_HOME" in captured.err
    assert captured.err.count("\n") == 1


def test_a_reader_that_has_gone_is_no_traceback(process):
    child = process("completes", "project", "list", "--json")
    child.stdout.close()
    assert child.wait(60) == 0
    assert child.stderr.read() == ""
