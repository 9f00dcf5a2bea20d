"""What the tests of the gateway share."""

from __future__ import annotations

import pytest
from ledger_desk import LedgerDesk, open_desk

from autovibe.db import Database


@pytest.fixture
async def desk(db: Database) -> LedgerDesk:
    """Give a ledger with an empty project, on either database."""
    return await open_desk(db)
