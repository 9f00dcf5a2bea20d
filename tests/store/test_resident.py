"""A process that watches a tree and is asked for snapshots."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autovibe.store import Store

ASK = [sys.executable, "-m", "autovibe.cli.ask_store"]
Serve = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree" / "d").mkdir(parents=True)
    (tmp_path / "tree" / "d" / "f").write_bytes(b"first")
    return tmp_path / "tree"


@pytest.fixture
def serve(tmp_path: Path, tree: Path) -> Iterator[Serve]:
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "autovibe.store", f"--store={tmp_path / 's'}", "serve"]
        process = subprocess.Popen(
            [*command, f"--root=w={tree}"], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ask(*arguments: str | Path) -> tuple[int, dict[str, object]]:
    done = subprocess.run([*ASK, *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout or "{}")


def test_who_asks_gets_a_snapshot_of_the_tree_as_it_is(tmp_path: Path, tree: Path, serve: Serve):
    first = serve()
    assert first.stdout is not None
    assert json.loads(first.stdout.readline())["event"] == "ready"
    for turn in range(2):
        (tree / "d" / "f").write_bytes(b"turn %d" % turn)
        status, answer = ask(tmp_path / "s", f"a/{turn}", f"w={os.path.relpath(tree)}")
        assert status == 0
        store = Store.open(tmp_path / "s")
        assert store.read_ref(f"a/{turn}") == answer["root"]
        assert b"".join(store.read(str(answer["root"]), "w/d/f")) == b"turn %d" % turn
    assert answer["root"] == store.snapshot({"w": tree}).root
    status, answer = ask(tmp_path / "s", "no-slash", f"w={tree}")
    assert (status, answer["reason"]) == (1, "INVALID_ARGUMENT")
    second = serve()
    assert second.wait(timeout=60) == 1
    assert second.stdout is not None
    assert json.loads(second.stdout.readline())["reason"] == "STORE_BUSY"
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert ask(tmp_path / "s", "a/9", f"w={tree}")[0] == 2
    third = serve()  # the socket of the dead is in nobody's way
    assert third.stdout is not None
    assert json.loads(third.stdout.readline())["event"] == "ready"
    assert ask(tmp_path / "s", "a/9", f"w={tree}")[0] == 0
    assert Store.open(tmp_path / "s").read_ref("a/0") is not None
