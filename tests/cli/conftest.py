"""A control plane in memory, and the command line on it."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import json
import os
import pty
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from autovibe.cli.main import main

HERE = Path(__file__).parent


def _load() -> ModuleType:
    # Test modules are no package; the name keeps it apart from other directories' modules.
    spec = importlib.util.spec_from_file_location("cli_fake_plane", HERE / "fake_plane.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


FAKES = _load()


@dataclass
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    def document(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty home, and nothing of the user's settings."""
    for name in list(os.environ):
        if name.startswith("AUTOVIBE_"):
            monkeypatch.delenv(name)
    path = tmp_path / "home"
    monkeypatch.setenv("AUTOVIBE_HOME", str(path))
    return path


@pytest.fixture
def fakes():
    """The module with the control plane in memory and what may happen on it."""
    return FAKES


@pytest.fixture
def plane():
    """A control plane in memory."""
    return FAKES.FakePlane()


@pytest.fixture
def cli(plane, capsys):
    """Run a command in this process on the plane."""

    def run(*arguments: str) -> Ended:
        status = main(arguments, connect=plane.connect)
        captured = capsys.readouterr()
        return Ended(status, captured.out, captured.err)

    return run


@pytest.fixture
def repo(tmp_path):
    """A directory to work on."""
    path = tmp_path / "calc"
    path.mkdir()
    return path


@pytest.fixture
def process():
    """Start a command in a process of its own on a plane of its own; ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(scenario: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        defaults: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "env": {**os.environ, **options.pop("env", {})},
            "text": True,
        }
        command = [sys.executable, str(HERE / "fake_cli.py"), scenario, *arguments]
        child = subprocess.Popen(command, **(defaults | options))
        started.append(child)
        return child

    yield start
    for child in started:
        if child.poll() is None:
            child.kill()
        child.communicate()


class Terminal:
    """A command whose standard streams are a terminal of this test."""

    def __init__(self, process, *arguments: str, **env: str) -> None:
        self._master, slave = pty.openpty()
        environment = {"TERM": "xterm", "COLUMNS": "100", "LINES": "40", **env}
        streams = {"stdin": slave, "stdout": slave, "stderr": slave}
        self.child = process(*arguments, env=environment, start_new_session=True, **streams)
        os.close(slave)
        self.seen = ""

    def read_until(self, text: str) -> None:
        while text not in self.seen:
            assert self._read(), self.seen

    def read_to_end(self) -> str:
        while self._read():
            pass
        self.child.wait(60)
        return self.seen

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def close(self) -> None:
        os.close(self._master)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], 60)
        assert ready, self.seen
        try:
            data = os.read(self._master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)


@pytest.fixture
def terminal(process):
    """Start a command on a terminal."""
    opened: list[Terminal] = []

    def start(*arguments: str, **env: str) -> Terminal:
        opened.append(Terminal(process, *arguments, **env))
        return opened[-1]

    yield start
    for one in opened:
        with contextlib.suppress(OSError):  # a test may have closed it
            one.close()
