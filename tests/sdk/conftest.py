"""Servers that the tests of twins talk to; one for all tests of a module."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from served import Served, served

from autovibe.db import Database, open_database
from autovibe.domains.projects import ProjectService
from autovibe.testing.databases import TestDatabases


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sqlite(
    databases: TestDatabases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Database, None]:
    """Give a database; twins do not know which one is behind them, so SQLite stands for both."""
    database = open_database(await databases.sqlite(tmp_path_factory.mktemp("served")))
    yield database
    await database.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stubs(sqlite: Database) -> AsyncGenerator[Served, None]:
    """Give servers of services that note what reaches them."""
    async with served(sqlite) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(sqlite: Database) -> AsyncGenerator[Served, None]:
    """Give servers with the real projects domain."""
    async with served(sqlite, ProjectService=ProjectService()) as running:
        yield running
