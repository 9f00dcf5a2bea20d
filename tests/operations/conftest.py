"""What the tests of operations share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import select

from autovibe.db import Database
from autovibe.db.records import AuditRecord


@pytest.fixture
def audit(db: Database) -> Callable[[], Awaitable[list[dict[str, Any]]]]:
    """Give a function that reads the audit trail, the oldest row first."""

    async def read() -> list[dict[str, Any]]:
        async with db.read() as tx:
            rows = await tx.session.scalars(select(AuditRecord).order_by(AuditRecord.id))
            return [
                {
                    name: getattr(row, name)
                    for name in (
                        "actor_type",
                        "actor_id",
                        "operation",
                        "resource_type",
                        "resource_id",
                        "outcome",
                        "reason",
                        "request_id",
                    )
                }
                for row in rows
            ]

    return read
