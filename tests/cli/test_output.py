"""How much is printed, in which colours, and what shells complete."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from autovibe.cli.client.waiting import Heard, measure, waiting
from autovibe.cli.main import COMMANDS
from autovibe.kernel.progress import Step

COLOURS = re.compile(r"\x1b\[(?:\d+;)*3[0-7]m")


@pytest.mark.parametrize("arguments", [("run", "-q"), ("-q", "run"), ("run", "--quiet")])
def test_quiet_before_or_behind_the_command_leaves_progress_out(arguments, cli, repo):
    ended = cli(*arguments, "x", "--repo", str(repo))
    assert ended.status == 0
    assert "machine     " not in ended.out.partition("completed after")[0]
    assert "completed after" in ended.out


def test_quiet_leaves_advice_and_confirmations_out_and_keeps_results(cli, tmp_path):
    assert cli("project", "create", "site", "-q").out == ""
    cli("project", "create", "calc")
    limited = cli("project", "list", "--limit", "1", "-q").out
    assert "calc" in limited
    assert "--limit" not in limited
    assert cli("checkpoint", "verify", "12345678", "-q").out == ""
    assert cli("checkpoint", "restore", "12345678", "--to", str(tmp_path / "x"), "-q").out == ""
    assert cli("-q", "project", "show", "nothing").err.startswith("autovibe: error: ")


def test_no_color_is_obeyed_on_a_terminal(terminal, repo):
    plain = terminal("completes", "run", "x", "--repo", str(repo), "--no-color").read_to_end()
    assert not COLOURS.findall(plain)
    early = terminal("completes", "--no-color", "run", "x", "--repo", str(repo)).read_to_end()
    assert not COLOURS.findall(early)


def test_restore_shows_on_a_terminal_how_far_it_is(terminal, tmp_path):
    target = tmp_path / "out"
    one = terminal("growing:completes", "checkpoint", "restore", "12345678", "--to", str(target))
    seen = one.read_to_end()
    assert one.child.returncode == 0
    assert re.search(r"restoring · 1 file, 512 B of at most 1\.0 KiB written, [0-9.]+ \S+/s", seen)
    assert " 50% " in seen
    assert "Wrote 3 files" in seen


def test_restore_shows_no_progress_when_piped(process, tmp_path):
    child = process(
        "growing:completes", "checkpoint", "restore", "12345678", "--to", str(tmp_path / "o")
    )
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")
    assert out.count("\n") == 1


def test_verify_shows_on_a_terminal_how_far_it_is(terminal):
    seen = terminal("growing:completes", "checkpoint", "verify", "12345678").read_to_end()
    assert "verifying · 3 objects, 512 B of at most 1.0 KiB read back · 0." in seen
    assert " 50% " in seen


def test_import_shows_on_a_terminal_files_bytes_and_rate_of_each_phase(terminal, repo):
    (repo / "large.bin").write_bytes(b"x" * 2**21)
    one = terminal("growing:completes", "run", "x", "--repo", str(repo), COLUMNS="200")
    seen = one.read_to_end()
    assert one.child.returncode == 0
    assert re.search(r"importing \S+ · 2 files, 1\.0 MiB of at most 2\.0 MiB read, \S+ \S+/s", seen)
    assert re.search(r"━+╌+ +(49|50)% importing", seen)
    assert "7 objects, 512.0 KiB of at most 2.0 MiB read back" in seen


@pytest.mark.parametrize("options", [["--quiet"], ["--json"]], ids=["quiet", "as a document"])
def test_no_bar_is_shown_where_nobody_wants_one(options, process, terminal, repo):
    arguments = ("growing:completes", "run", "x", "--repo", str(repo), *options)
    if options == ["--quiet"]:
        assert "━" not in terminal(*arguments).read_to_end()
    out, err = process(*arguments).communicate(timeout=60)
    assert "━" not in out + err
    assert "of at most" not in out + err


def test_a_bar_has_no_colour_if_none_is_wanted(terminal, repo):
    (repo / "large.bin").write_bytes(b"x" * 2**21)
    seen = terminal(
        "growing:completes", "run", "x", "--repo", str(repo), "--no-color"
    ).read_to_end()
    assert "━" in seen
    assert not COLOURS.findall(seen)


def test_against_a_server_only_the_time_is_shown(terminal, repo):
    one = terminal("growing-remote:completes", "checkpoint", "verify", "12345678")
    assert re.search(r"verifying · [0-9.]+s", one.read_to_end())
    assert "━" not in one.seen


async def test_heard_progress_has_a_rate_per_phase_and_no_total_until_there_is_one():
    clock = SimpleNamespace(time=10.0, monotonic=lambda: clock.time)
    heard = Heard({"read": ("file", "read")}, clock=clock)
    assert heard.how_far() == ("", None)
    heard.take(Step("read", 1, 1024))
    assert heard.how_far() == ("1 file, 1.0 KiB read", None)
    clock.time = 12.0
    heard.total_bytes = 8192
    heard.take(Step("read", 2, 4096))
    assert heard.how_far() == ("2 files, 4.0 KiB of at most 8.0 KiB read, 2.0 KiB/s", 0.5)
    heard.take(Step("verify", 1, 9000))
    assert heard.how_far() == ("1 item, 8.8 KiB of at most 8.0 KiB verify", 1.0)


async def test_waiting_shows_what_is_known_and_ends_with_nothing():
    shown: list[tuple[str, float | None]] = []
    first = asyncio.Event()

    class View:
        def show(self, line): ...

        def status(self, text, share=None):
            shown.append((text, share))
            first.set()

        def close(self): ...

    heard = Heard({"restore": ("file", "written")}, total_bytes=100)
    heard.take(Step("restore", 2, 25))
    async with waiting(View(), "restoring", how_far=heard.how_far):
        await first.wait()
    assert shown[0] == ("restoring · 2 files, 25 B of at most 100 B written · 0.0s", 0.25)
    assert shown[-1] == ("", None)


def test_a_tree_is_measured_by_its_files(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"x" * 10)
    (tmp_path / "two").write_bytes(b"y")
    (tmp_path / "link").symlink_to("two")
    assert measure(tmp_path) == (2, 11)
    assert measure(tmp_path / "nothing") == (0, 0)


# Shell completion


def completed(words: str, *, modules: bool = False) -> list[str]:
    """Return what a shell is told for an unfinished line, or which of our modules it took."""
    code = "import sys; from autovibe.cli.main import main\ntry: main()\nexcept SystemExit: pass\n"
    if modules:
        code += "sys.stdout.write(chr(10).join(sys.modules))"
    parts = words.split(" ")
    env = {
        **os.environ,
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(parts) - 1),
        "_AUTOVIBE_COMPLETE": "bash_complete",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    return [line.removeprefix("plain,") for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("autovibe ", sorted(COMMANDS)),
        ("autovibe task re", ["resume", "retry"]),
        ("autovibe checkpoint d", ["diff"]),
        ("autovibe run --isolation s", ["sandbox"]),
        ("autovibe task resume --d", ["--detach"]),
        ("autovibe completion f", ["fish"]),
    ],
)
def test_commands_options_and_values_are_completed(words, expected):
    assert sorted(completed(words)) == expected


def test_completing_the_name_of_a_command_imports_none():
    loaded = completed("autovibe ch", modules=True)
    assert "checkpoint" in loaded
    assert not [name for name in loaded if name.startswith("autovibe.cli.client")]
    assert not {"asyncio", "google.protobuf", "autovibe.v1"} & set(loaded)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell, cli):
    out = cli("completion", shell).out
    assert f"_AUTOVIBE_COMPLETE={shell}_complete" in out
    assert "\\x" not in out


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_takes_its_script(cli):
    script = cli("completion", "bash").out
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{script}\ncomplete -p autovibe"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "_autovibe_completion" in done.stdout


def test_unknown_shell_is_a_usage_error(cli):
    assert cli("completion", "tcsh").status == 2
