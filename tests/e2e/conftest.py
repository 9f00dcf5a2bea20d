"""A user with a repository, a home, and a model provider that answers from a script."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from cli_user import User, git

from autovibe.testing.demo_repository import make_demo_repository
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import fix_failing_test


@pytest.fixture
async def model_server() -> AsyncGenerator[ModelServer]:
    async with ModelServer(fix_failing_test()) as server:
        yield server


@pytest.fixture
async def user(tmp_path: Path, model_server: ModelServer) -> AsyncGenerator[User]:
    home = tmp_path / "person"
    home.mkdir()
    repo = home / "calc"
    make_demo_repository(repo)
    git(repo, "config", "user.name", "Test Person")
    git(repo, "config", "user.email", "person@example.invalid")
    user = User(
        home=home,
        repo=repo,
        environment={
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "AUTOVIBE_HOME": str(home / ".autovibe"),
            # However busy the host of the tests is: they are not about that.
            "AUTOVIBE_WORKER_MAX_CPU_PRESSURE": "100",
            "AUTOVIBE_UPSTREAM_ANTHROPIC_URL": model_server.url,
            "AUTOVIBE_UPSTREAM_ANTHROPIC_KEY": model_server.api_key,
        },
        server=model_server,
    )
    yield user
    for process in user.started:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
