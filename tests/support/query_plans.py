"""How a database would run a query, read from its own explanation."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Uuid, bindparam, text

from autovibe.db import Database


async def plan(db: Database, query: str, **keys: Any) -> str:
    """Return the plan of a query if reading a whole table were the last resort.

    Without that, PostgreSQL reads a table of three rows whole, whatever its indexes.

    Args:
        db: either database.
        query: SQL with named parameters.
        keys: their values, all of them UUIDs.
    """
    prefix = "EXPLAIN QUERY PLAN" if db.dialect.name == "sqlite" else "EXPLAIN"
    typed = [bindparam(name, value, type_=Uuid()) for name, value in keys.items()]
    async with db.read() as tx:
        if db.dialect.name == "postgresql":
            await tx.session.execute(text("SET LOCAL enable_seqscan = off"))
        rows = await tx.session.execute(text(f"{prefix} {query}").bindparams(*typed))
        return "\n".join(str(row[-1]) for row in rows)
