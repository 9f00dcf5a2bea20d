"""The behaviour suite once more on Debian's PostgreSQL 15, the oldest server that is supported.

Needs the packages postgresql-15 and postgresql-15-cron; `make test-long` runs it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autovibe.testing.postgres_server import BINARIES_VARIABLE, SETTINGS_VARIABLE

ROOT = Path(__file__).parents[2]
PROGRAMS = Path("/usr/lib/postgresql/15/bin")

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not PROGRAMS.is_dir(), reason="apt install postgresql-15"),
    pytest.mark.timeout(3600),
]


def run(*arguments: str, settings: str = "") -> None:
    """Run tests on that server, and show the end of what they said if one failed."""
    environment = {**os.environ, BINARIES_VARIABLE: str(PROGRAMS)}
    environment = {k: v for k, v in environment.items() if not k.startswith("PYTEST_")}
    if settings:
        environment[SETTINGS_VARIABLE] = settings
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]


def test_what_runs_on_postgresql_runs_on_version_15() -> None:
    parts = ("db", "domains", "runtime", "gateway", "operations", "parity", "skins", "e2e")
    run("-n", "2", "-m", "not long", "-k", "postgresql", *(f"tests/{part}" for part in parts))


def test_pg_cron_runs_our_jobs_on_version_15() -> None:
    run("-m", "long", "tests/runtime/test_pg_cron.py", settings="shared_preload_libraries=pg_cron")
