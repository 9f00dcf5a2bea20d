"""`autovibe up`: says where it serves, ends with a signal, is alone in its home."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def up():
    """Start `autovibe up`; ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, str(HERE / "fake_up.py"), "up", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        return child

    yield start
    for child in started:
        if child.poll() is None:
            child.kill()
        child.communicate()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_server_says_where_it_is_and_ends_with_a_signal(number, status, up, home):
    child = up("--http-port", "8999")
    first = child.stdout.readline()
    assert first == (
        "autovibe serves at http://127.0.0.1:8999 (documentation: http://127.0.0.1:8999/docs).\n"
    )
    assert str(home / "token") in child.stdout.readline()
    child.send_signal(number)
    _, err = child.communicate(timeout=60)
    assert child.returncode == status
    assert "Traceback" not in err
    assert not (home / "server.json").exists()


def test_server_says_so_in_one_line_of_json(up, home):
    child = up("--json")
    told = json.loads(child.stdout.readline())
    assert told["url"] == "http://127.0.0.1:8420"
    assert told["docs_url"] == "http://127.0.0.1:8420/docs"
    assert told["token_file"] == str(home / "token")
    assert told["pid"] == child.pid


def test_second_server_of_a_home_is_refused(up):
    first = up()
    first.stdout.readline()
    second = up("--http-port", "9000", "--json")
    out, _ = second.communicate(timeout=60)
    assert second.returncode == 1
    error = json.loads(out)["error"]
    assert error["reason"] == "SERVER_RUNNING"
    assert error["params"] == {"url": "http://127.0.0.1:8420", "pid": first.pid}


def test_server_that_cannot_start_says_why_in_one_sentence(up):
    child = up("--http-port", "1")
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (1, "")
    assert err == "autovibe: error: Port 1 is taken; choose another with --http-port.\n"


def test_dead_server_is_no_obstacle(up):
    first = up()
    first.stdout.readline()
    first.kill()
    first.wait()
    second = up()
    assert second.stdout.readline().startswith("autovibe serves")


@pytest.mark.parametrize("port", ["70000", "-1", "http"])
def test_impossible_port_is_a_usage_error(port, up):
    child = up("--http-port", port)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 2
    assert "--http-port" in err
