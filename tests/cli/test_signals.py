"""Ctrl-C and its like (decision B8)."""

from __future__ import annotations

import json
import signal

import pytest

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def wait_for(stream, text: str) -> str:
    """Read until a line has a text."""
    seen = ""
    for line in stream:
        seen += line
        if text in line:
            return seen
    raise AssertionError(seen)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("mode", ["", "remote:"])
def test_first_signal_checkpoints_and_exits_130(number, mode, process, repo):
    child = process(f"{mode}waits", "run", "x", "--repo", str(repo))
    wait_for(child.stdout, "machine     working")
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert err == ""
    assert "stopping    saving a checkpoint" in out
    assert "checkpoint" in out
    assert "blocked (INTERRUPTED)" in out


def test_interrupted_run_prints_its_result_in_json(process, repo):
    child = process("waits_and_says_so", "run", "x", "--repo", str(repo), "--json")
    wait_for(child.stderr, "working")
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    document = json.loads(out)
    assert document["error"]["reason"] == "INTERRUPTED"
    assert document["checkpoint_count"] == 3


def test_run_interrupted_before_its_task_prints_an_error_in_json(process, repo):
    child = process("slow:waits", "run", "x", "--repo", str(repo), "--json")
    wait_for(child.stderr, "importing")
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    assert json.loads(out)["error"]["reason"] == "INTERRUPTED"


def test_task_that_completes_while_it_is_stopped_has_completed(process, repo):
    child = process("finishes_when_paused", "run", "x", "--repo", str(repo))
    wait_for(child.stdout, "machine     working")
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert "completed after" in out


@pytest.mark.parametrize("number", SIGNALS)
def test_signal_before_the_task_exists_makes_none(number, process, repo, tmp_path):
    requests = tmp_path / "requests"
    child = process(
        "slow:completes", "run", "x", "--repo", str(repo), env={"FAKE_REQUESTS": str(requests)}
    )
    wait_for(child.stderr, "importing")
    child.send_signal(number)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert err == "autovibe: error: Interrupted.\n"
    made = requests.read_text().split()
    assert "ImportDirectoryRequest" in made
    assert "CreateTaskRequest" not in made


def test_second_signal_ends_at_once(process, repo):
    child = process("hangs", "run", "x", "--repo", str(repo))
    wait_for(child.stdout, "machine     working")
    child.send_signal(signal.SIGINT)
    wait_for(child.stdout, "stopping")
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Traceback" not in err


def test_ignored_hangup_stays_ignored(process, repo):
    def ignore_hangup() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    child = process("waits", "run", "x", "--repo", str(repo), preexec_fn=ignore_hangup)
    wait_for(child.stdout, "machine     working")
    child.send_signal(signal.SIGHUP)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=60)
    # A hangup that counted would have made the interrupt the second signal, without a checkpoint.
    assert child.returncode == 130
    assert "blocked (INTERRUPTED)" in out


def test_task_that_cannot_be_paused_is_left_with_a_word(process, repo):
    child = process("unpausable:hangs", "run", "x", "--repo", str(repo))
    wait_for(child.stdout, "machine     working")
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (130, "")
    assert "could not be stopped: The server is gone." in out
