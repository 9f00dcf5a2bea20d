"""What differs between PostgreSQL and SQLite, as one Protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from sqlalchemy import ColumnElement, Select, Table
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from autovibe.db.base import Base
from autovibe.kernel.errors import AutovibeError

SelectT = TypeVar("SelectT", bound=Select[Any])

JsonColumn = ColumnElement[Any] | InstrumentedAttribute[Any]


class Dialect(Protocol):
    """The verbs in which the backends differ."""

    name: str
    """`sqlite` or `postgresql`."""

    def engines(self, url: URL) -> tuple[AsyncEngine, AsyncEngine]:
        """Return the engine for reads and the engine for writes; they may be the same."""
        ...

    def translate(self, error: BaseException) -> AutovibeError | None:
        """Return the typed error for what a driver raised; None when it is none of ours."""
        ...

    def is_retryable(self, error: BaseException) -> bool:
        """Return whether the whole operation may succeed when it is run again.

        True for serialisation failures, deadlocks, busy databases and unique-key races: a second
        run sees the row that won.
        """
        ...

    async def insert_or_ignore(
        self, session: AsyncSession, table: type[Base] | Table, rows: Sequence[Mapping[str, Any]]
    ) -> int:
        """Insert rows, skipping those whose key exists; return how many were inserted.

        Args:
            session: of a `WriteTx`.
            table: a model or its table.
            rows: column names (of the database: `metadata`, not `metadata_`) to values, the same
                names in every row; server defaults fill the rest.
        """
        ...

    def for_update(
        self, query: SelectT, of: type[Base], *, skip_locked: bool = False, nowait: bool = False
    ) -> SelectT:
        """Lock the selected rows until the transaction ends.

        Args:
            query: a select of the model.
            of: the model whose rows are locked.
            skip_locked: leave out rows that another transaction has locked (claims).
            nowait: fail with `DatabaseBusyError` instead of waiting.
        """
        ...

    def json_contains(self, column: JsonColumn, part: Mapping[str, Any]) -> ColumnElement[bool]:
        """Return the condition that a JSON object has these members, scalars or nested objects."""
        ...

    def json_has(self, column: JsonColumn, item: str) -> ColumnElement[bool]:
        """Return the condition that a JSON array has this text as an element."""
        ...

    async def now(self, session: AsyncSession) -> datetime:
        """Return the database's clock, aware, in UTC (leases are measured by it)."""
        ...

    async def lock_for_upgrade(self, connection: AsyncConnection) -> None:
        """Wait until this transaction alone may change the schema."""
        ...
