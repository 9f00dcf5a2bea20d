"""`autovibe db maintain`, `archive` and `restore-archive` on a home of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from autovibe.db import open_database
from autovibe.testing import factories


def autovibe(home: Path, *arguments: str, status: int = 0) -> str:
    """Run a command and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "autovibe.cli.main", *arguments],
        env={"HOME": str(home), "AUTOVIBE_HOME": str(home / ".autovibe"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def told(home: Path, *arguments: str) -> Any:
    return json.loads(autovibe(home, *arguments, "--json"))


async def add_old_logs(home: Path) -> None:
    """Add an execution with two log lines of forty days ago."""
    database = open_database(f"sqlite:///{home / '.autovibe' / 'autovibe.db'}")
    at = datetime.now(UTC) - timedelta(days=40)
    async with database.write() as tx:
        project = await factories.add_project(tx)
        worker = await factories.add_worker(tx)
        task = await factories.add_task(tx, project.id, status="completed")
        execution = await factories.add_execution(
            tx, task.id, worker.id, status="completed", started_at=at, completed_at=at
        )
        for seq in (1, 2):
            await factories.add(
                tx,
                "execution_logs",
                execution_id=execution.id,
                seq=seq,
                level="INFO",
                message="line",
                logged_at=at,
            )
    await database.close()


async def test_what_is_due_is_run_once_and_listed(tmp_path: Path) -> None:
    first = told(tmp_path, "db", "maintain")
    assert {"reset-budgets", "cleanup-outbox"} <= {one["job"] for one in first["jobs"]}
    assert not [one for one in first["jobs"] if one["error"]]
    listed = {one["name"]: one for one in told(tmp_path, "db", "maintain", "--list")["jobs"]}
    assert listed["reset-budgets"]["last_status"] == "success"
    assert listed["archive-chat"]["run_by"] == "off"
    again = told(tmp_path, "db", "maintain")
    assert "cleanup-outbox" not in {one["job"] for one in again["jobs"]}
    assert "There is no job 'coffee'" in autovibe(tmp_path, "db", "maintain", "coffee", status=2)


@pytest.mark.long
async def test_logs_are_archived_and_put_back_by_hand(tmp_path: Path) -> None:
    autovibe(tmp_path, "db", "upgrade")
    await add_old_logs(tmp_path)
    dry = told(tmp_path, "db", "archive", "--what", "logs", "--dry-run")
    assert dry["jobs"][0]["affected_rows"] == 2
    young = told(tmp_path, "db", "archive", "--what", "logs", "--before", "2020-01-01")
    assert young["jobs"][0]["affected_rows"] == 0
    done = told(tmp_path, "db", "archive", "--what", "logs")
    assert done["jobs"][0]["affected_rows"] == 2
    (name,) = done["jobs"][0]["details"]["archives"]
    path = tmp_path / ".autovibe" / "archives" / name
    tried = told(tmp_path, "db", "restore-archive", str(path), "--dry-run")
    assert (tried["inserted"], tried["present"]) == (2, 0)
    assert "2 rows put back, 0 were there." in autovibe(
        tmp_path, "db", "restore-archive", str(path)
    )
    again = told(tmp_path, "db", "restore-archive", str(path))
    assert (again["inserted"], again["present"]) == (0, 2)


@pytest.mark.parametrize("arguments", [("--what", "chat"), ("--before", "yesterday")])
def test_what_cannot_be_archived_is_said(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    autovibe(tmp_path, "db", "archive", *arguments, status=2)
