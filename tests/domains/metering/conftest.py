"""What the tests of the ledger share."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from ledger_desk import LedgerDesk, open_desk

from autovibe.db import Database, open_database
from autovibe.testing.databases import TestDatabases


@pytest.fixture
async def desk(db: Database) -> LedgerDesk:
    """Give a ledger with an empty project, on either database."""
    return await open_desk(db)


@pytest.fixture
async def sqlite_desk(databases: TestDatabases, tmp_path: Path) -> AsyncGenerator[LedgerDesk, None]:
    """Give a ledger on SQLite, for what does not depend on the database."""
    database = open_database(await databases.sqlite(tmp_path))
    yield await open_desk(database)
    await database.close()
