"""Where the services are found."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from autovibe.cli import lazy
from autovibe.cli.client.connection import connect, find_server
from autovibe.kernel.errors import UnauthenticatedError
from autovibe.kernel.settings import ensure_home, load_settings

INSTANCE = "0d4b4c4e-0000-4000-8000-000000000001"


@pytest.fixture
def settings():
    """Settings of an empty home."""
    found = load_settings()
    ensure_home(found)
    return found


def write_server(settings, **changes) -> None:
    server = {"url": "http://127.0.0.1:8420", "instance_id": INSTANCE, "pid": os.getpid()}
    settings.server_file.write_text(json.dumps(server | changes))


@contextlib.contextmanager
def held_lock(settings):
    with (settings.run_path / f"{INSTANCE}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_server_whose_lock_is_held_lives_whatever_its_pid(settings):
    write_server(settings, pid=dead_pid())
    with held_lock(settings):
        found = find_server(settings)
    assert found is not None
    assert found.url == "http://127.0.0.1:8420"


def test_server_whose_lock_is_free_is_dead_whatever_its_pid(settings):
    write_server(settings)
    with held_lock(settings):
        pass
    assert find_server(settings) is None


def test_two_looks_at_a_free_lock_do_not_take_each_other_for_the_server(settings):
    write_server(settings)
    path = settings.run_path / f"{INSTANCE}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert find_server(settings) is None


def test_server_without_a_lock_file_lives_while_its_process_does(settings):
    write_server(settings)
    assert find_server(settings) is not None
    write_server(settings, pid=dead_pid())
    assert find_server(settings) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "nonsense", '{"url": "u", "instance_id": "../x", "pid": "many"}', "3"]
)
def test_server_file_that_is_none_is_ignored(text, settings):
    settings.server_file.write_text(text)
    assert find_server(settings) is None


@pytest.mark.parametrize("pid", [0, -1, 2**70])
def test_impossible_process_is_dead(pid, settings):
    write_server(settings, pid=pid)
    assert find_server(settings) is None


class Opened:
    """What was opened, and with what."""

    def __init__(self, monkeypatch) -> None:
        self.calls: list[tuple[object, ...]] = []
        monkeypatch.setattr(lazy, "connect_http", self._http)
        monkeypatch.setattr(lazy, "open_embedded", self._embedded)

    @contextlib.asynccontextmanager
    async def _http(self, url, token, _certificate=None):
        self.calls.append(("http", url, token))
        yield "services"

    @contextlib.asynccontextmanager
    async def _embedded(self, settings):
        self.calls.append(("embedded", settings.home))

        class Holder:
            services = "embedded services"

        yield Holder()


@pytest.fixture
def opened(monkeypatch):
    """Note what is opened instead of opening it."""
    return Opened(monkeypatch)


async def test_named_server_wins_over_a_living_one(settings, opened):
    write_server(settings)
    named = replace(settings, server="http://example.invalid", token="secret")
    async with connect(named) as connection:
        assert connection.services == "services"
        assert connection.embedded is None
    assert opened.calls == [("http", "http://example.invalid", "secret")]


async def test_living_server_is_used_with_the_token_of_the_home(settings, opened):
    write_server(settings)
    settings.token_file.write_text("from the file\n")
    async with connect(settings):
        pass
    assert opened.calls == [("http", "http://127.0.0.1:8420", "from the file")]


async def test_server_without_a_token_is_refused_with_what_to_do(settings, opened):
    with pytest.raises(UnauthenticatedError, match="AUTOVIBE_TOKEN"):
        async with connect(replace(settings, server="http://example.invalid")):
            pass
    assert opened.calls == []


async def test_without_a_server_the_control_plane_is_embedded(settings, opened):
    write_server(settings, pid=dead_pid())
    async with connect(settings) as connection:
        assert connection.services == "embedded services"
        assert connection.embedded is not None
    assert opened.calls == [("embedded", settings.home)]
    assert settings.home.stat().st_mode & 0o777 == 0o700
