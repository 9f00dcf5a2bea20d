"""What a person sees when the surroundings are not as they should be."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
from cli_user import User


async def test_a_database_of_a_newer_version_is_left_alone(user: User) -> None:
    assert (await user.autovibe("project", "list")).status == 0
    database = user.home / ".autovibe/autovibe.db"
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffff_from_the_future'")
    connection.close()
    told = await user.autovibe("project", "list", "--json")
    assert told.status == 1
    assert told.json["error"]["reason"] == "DATABASE_NEWER"
    assert "install" in told.json["error"]["message"].lower()


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """Give a directory on a file system of 4 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root; CI is root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "none", str(disk)], check=True
    )
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


async def test_a_full_disk_is_said_and_what_was_there_is_intact(
    user: User, small_disk: Path
) -> None:
    user.environment["AUTOVIBE_HOME"] = str(small_disk / "home")
    first = await user.shell("echo one > one.txt")
    assert first.status == 0, first.err
    (user.repo / "big.bin").write_bytes(os.urandom(6 * 1024 * 1024))
    full = await user.shell("echo two > two.txt")
    assert full.status == 1
    assert full.json["error"]["reason"] == "STORE_FULL"
    assert "Traceback" not in full.err
    (user.repo / "big.bin").unlink()
    verify = await user.autovibe(
        "checkpoint", "verify", first.json["result_checkpoint_id"], "--json"
    )
    assert verify.status == 0, verify.err
    assert verify.json["ok"] is True
    again = await user.shell("echo three > three.txt")
    assert again.status == 0, again.err


async def test_an_agent_whose_program_is_missing_is_said_before_anything_is_done(
    user: User, tmp_path: Path
) -> None:
    # An installation without the extra: a package directory that hides the real one.
    hidden = tmp_path / "hidden/claude_agent_sdk"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("")
    told = await user.autovibe(
        "run", "x", "--repo", str(user.repo), "--json",
        environment={
            "PYTHONPATH": str(hidden.parent),
            "PATH": str(Path(shutil.which("git") or "/usr/bin/git").parent),
        },
    )  # fmt: skip
    assert told.status == 1, told.out
    assert told.json["error"]["reason"] == "AGENT_NOT_INSTALLED"
    assert "autovibe[claude]" in told.json["error"]["message"]
    assert (await user.autovibe("task", "list", "--json")).json["tasks"] == []


async def test_no_isolation_is_an_error_that_names_the_ways_out(user: User, tmp_path: Path) -> None:
    # A kernel that lets nobody make namespaces looks like this to bubblewrap.
    blocked = tmp_path / "no-namespaces"
    blocked.write_text(
        "#!/bin/sh\nexec unshare -Ur sh -c "
        '\'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"\' -- "$@"\n'
    )
    blocked.chmod(0o755)
    process = await user.start_with(
        str(blocked), "run", "x", "--repo", str(user.repo), "--json", "--agent", "shell",
        "--", "true",
    )  # fmt: skip
    assert process.status == 1, process.out
    assert process.json["error"]["reason"] == "NO_ISOLATION"
    assert "--isolation process" in process.json["error"]["message"]
