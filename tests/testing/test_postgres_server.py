"""The PostgreSQL of the tests: it never outlives them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autovibe.testing import databases as module

USE = """
import fcntl, sys
from pathlib import Path
from autovibe.testing.postgres_server import server_url
directory = Path(sys.argv[1])
users = (directory / "users").open("a")
fcntl.flock(users, fcntl.LOCK_SH)
print(server_url(directory), flush=True)
sys.stdin.read()
"""


def gone(pid: int) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 60)[0])
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("victim", ["user", "keeper"])
def test_the_server_dies_with_whoever_is_killed(victim: str) -> None:
    directory = module._shared_root() / f"autovibe-tests-kill-{os.getpid()}-{victim}"
    directory.mkdir(mode=0o711)
    user = subprocess.Popen(
        [sys.executable, "-c", USE, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with user:
        assert user.stdin is not None
        assert user.stdout is not None
        assert user.stdout.readline().startswith("postgresql://autovibe:")
        server = int((directory / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
        status = Path(f"/proc/{server}/status").read_text()
        assert os.geteuid() != 0 or "Uid:\t0" not in status
        keeper = int(next(line for line in status.splitlines() if "PPid" in line).split()[1])
        os.kill(user.pid if victim == "user" else keeper, signal.SIGKILL)
        assert gone(server)
        assert gone(keeper)
        user.kill()
    if victim == "user":
        assert not directory.exists()
    else:
        module.shutil.rmtree(directory)


def test_a_directory_that_others_cannot_enter_is_not_used_by_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(closed))
    monkeypatch.setattr(module.os, "geteuid", lambda: 0)
    assert module._shared_root() != closed
    monkeypatch.setattr(module.os, "geteuid", lambda: 1000)
    assert module._shared_root() == closed
