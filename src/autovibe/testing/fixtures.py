"""Pytest fixtures; load them with `pytest_plugins = ["autovibe.testing.fixtures"]`."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from autovibe.db import Database, open_database
from autovibe.db.discovery import load_models
from autovibe.testing.databases import TestDatabases

BACKENDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def databases() -> Generator[TestDatabases, None, None]:
    """Give the databases of this test process."""
    load_models()
    run_id = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
    databases = TestDatabases(run_id)
    yield databases
    databases.close()


@pytest.fixture(params=BACKENDS)
async def database_url(
    request: pytest.FixtureRequest, databases: TestDatabases, tmp_path: Path
) -> str:
    """Give the URL of a clean database with the schema: once SQLite, once PostgreSQL."""
    if request.param == "sqlite":
        return await databases.sqlite(tmp_path)
    return await databases.postgresql()


@pytest.fixture
async def db(database_url: str) -> AsyncGenerator[Database, None]:
    """Give an opened, clean database with the schema: once SQLite, once PostgreSQL."""
    database = open_database(database_url)
    yield database
    await database.close()


@pytest.fixture(params=BACKENDS)
async def empty_database_url(
    request: pytest.FixtureRequest, databases: TestDatabases, tmp_path: Path
) -> AsyncGenerator[str, None]:
    """Give the URL of a database without any table: once SQLite, once PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    url = await databases.empty_postgresql()
    yield url
    await databases.drop_postgresql(url)
