"""Live output and questions on a real terminal (a pty)."""

from __future__ import annotations

import re
import signal

import pytest


def test_terminal_shows_lines_and_a_status_line_but_no_code_of_the_machine(terminal, repo):
    one = terminal("completes", "run", "x", "--repo", str(repo))
    seen = one.read_to_end()
    assert one.child.returncode == 0
    assert "\x1b[2J" not in seen
    assert "\x07" not in seen
    assert "\u202e" not in seen
    assert "\\x1b[2J" in seen
    assert "completed · " in seen
    assert "1 model call · 0.0124 of 5.00 CAD · 1 checkpoint" in seen
    assert seen.rfind("\x1b[?25h") > seen.rfind("\x1b[?25l"), "the cursor is left hidden"


def test_no_color_is_obeyed(terminal, repo):
    seen = terminal("completes", "run", "x", "--repo", str(repo), NO_COLOR="1").read_to_end()
    colours = re.findall(r"\x1b\[(?:\d+;)*3[0-7]m", seen)
    assert colours == []
    coloured = terminal("completes", "run", "x", "--repo", str(repo)).read_to_end()
    assert re.findall(r"\x1b\[(?:\d+;)*3[0-7]m", coloured)


def test_dumb_terminal_gets_plain_lines(terminal, repo):
    seen = terminal("completes", "run", "x", "--repo", str(repo), TERM="dumb").read_to_end()
    assert "\x1b" not in seen
    assert "call        a-model" in seen


@pytest.mark.parametrize(
    ("answer", "included"),
    [("e\n", "4 files, 1 left out"), ("what\ni\n", "4 files,"), ("\n", "1 left")],
)
def test_secrets_are_asked_about_on_a_terminal(answer, included, terminal, repo):
    one = terminal("secrets:completes", "run", "x", "--repo", str(repo))
    one.read_until("[a]bort?")
    assert "  .env (name)" in one.seen
    first, _, rest = answer.partition("\n")
    one.type(f"{first}\n")
    if rest:
        one.seen = ""
        one.read_until("[a]bort?")
        one.type(rest)
    seen = one.read_to_end()
    assert one.child.returncode == 0
    assert included in seen
    assert ("left out" in seen) == (rest == "")


@pytest.mark.parametrize("answer", ["a\n", "\x04"])
def test_abort_at_the_question_imports_nothing(answer, terminal, repo, tmp_path):
    requests = tmp_path / "requests"
    one = terminal(
        "secrets:completes", "run", "x", "--repo", str(repo), FAKE_REQUESTS=str(requests)
    )
    one.read_until("[a]bort?")
    one.type(answer)
    seen = one.read_to_end()
    assert one.child.returncode == 130
    assert "Stopped before anything was imported." in seen
    assert "ImportDirectoryRequest" not in requests.read_text()


def test_signal_at_the_question_ends_the_command(terminal, repo):
    one = terminal("secrets:completes", "run", "x", "--repo", str(repo))
    one.read_until("[a]bort?")
    one.child.send_signal(signal.SIGINT)
    seen = one.read_to_end()
    assert one.child.returncode == 130
    assert "Traceback" not in seen


def test_terminal_that_goes_away_does_not_stop_the_task(terminal, repo, tmp_path):
    requests = tmp_path / "requests"
    one = terminal("waits", "run", "x", "--repo", str(repo), FAKE_REQUESTS=str(requests))
    one.read_until("working")
    one.close()
    one.child.send_signal(signal.SIGHUP)
    assert one.child.wait(60) == 130
    assert "GetTaskResultRequest" in requests.read_text()
