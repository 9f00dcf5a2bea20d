"""What differs between PostgreSQL and SQLite, as one Protocol."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar, cast

from sqlalchemy import ColumnElement, Select, Table
from sqlalchemy import Dialect as SqlDialect
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from autovibe.db.base import Base
from autovibe.db.errors import (
    InvalidValueError,
    SerializationError,
    UniqueViolationError,
)
from autovibe.kernel.database_settings import DatabaseSettings
from autovibe.kernel.errors import AutovibeError

SelectT = TypeVar("SelectT", bound=Select[Any])

Processor = Callable[[Any], Any]
JsonColumn = ColumnElement[Any] | InstrumentedAttribute[Any]


class Dialect(Protocol):
    """The verbs in which the backends differ."""

    name: str
    """`sqlite` or `postgresql`."""

    def engines(self, url: URL, settings: DatabaseSettings) -> tuple[AsyncEngine, AsyncEngine]:
        """Return the engine for reads and the engine for writes; they may be the same."""
        ...

    def translate(self, error: BaseException) -> AutovibeError | None:
        """Return the typed error for what a driver raised; None when it is none of ours."""
        ...

    def is_retryable(self, error: BaseException) -> bool:
        """Return whether the whole operation may succeed when it is run again.

        True for serialisation failures, deadlocks and unique-key races: a second run sees the row
        that won. Not for a busy database, which has been waited for already.
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

    async def insert_bulk(
        self, session: AsyncSession, table: Table, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Insert many rows as one statement, so that statement triggers see them together.

        On SQLite it is one execution per row, in one transaction.

        Args:
            session: of a `WriteTx`.
            table: where to.
            rows: column names (of the database) to values, the same names in every row; server
                defaults fill the rest, those of Python do not.
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
        """Return the condition that a JSON array or a list of texts has this text as an element."""
        ...

    def json_subset(self, column: JsonColumn, items: Sequence[str]) -> ColumnElement[bool]:
        """Return the condition that every element of a JSON array or list is among these texts."""
        ...

    def holds_words(self, column: JsonColumn, words: Sequence[str]) -> ColumnElement[bool]:
        """Return the condition that a text holds all of these, in whatever case.

        PostgreSQL knows the case of letters beyond ASCII where the database has a locale that does.
        """
        ...

    async def now(self, session: AsyncSession) -> datetime:
        """Return the database's clock, aware, in UTC (leases are measured by it)."""
        ...

    async def notify(self, session: AsyncSession, channel: str, payload: str) -> None:
        """Tell the other processes of this database something when the transaction commits.

        SQLite has no way to; its processes look for themselves.
        """
        ...

    async def explain(
        self, connection: AsyncConnection, statement: str, parameters: Any
    ) -> list[str]:
        """Return the plan of a statement as lines, without running it and without any value.

        Args:
            connection: any; the statement may be one that writes.
            statement: in the driver's own text.
            parameters: in the driver's own form.
        """
        ...

    async def lock_for_upgrade(self, connection: AsyncConnection) -> None:
        """Wait until this transaction alone may change the schema.

        From then on it fails after a few seconds of waiting for a table, with `DatabaseBusyError`,
        rather than make every other query wait behind it.
        """
        ...


def retryable(dialect: Dialect, error: BaseException) -> bool:
    """Return whether an error, typed or of a driver, is one that a second run may not meet."""
    typed = error if isinstance(error, AutovibeError) else dialect.translate(error)
    return isinstance(typed, SerializationError | UniqueViolationError)


def json_text(value: object) -> str:
    """Write JSON for a column.

    Raises:
        InvalidValueError: not a number (NaN, infinity), or something that JSON has not.
    """
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValueError(f"A value cannot be stored as JSON: {error}.") from error


def bind_processors(table: Table, names: Iterable[str], sql: SqlDialect) -> list[Processor | None]:
    """Return for columns what turns a value into what the driver takes; `None` changes nothing."""
    return [table.c[name].type.dialect_impl(sql).bind_processor(sql) for name in names]


def table_of(table: type[Base] | Table) -> Table:
    """Return the table of a model."""
    return table if isinstance(table, Table) else cast("Table", table.__table__)


def insert_chunks(
    rows: Sequence[Mapping[str, Any]], max_variables: int, columns: int
) -> Iterator[list[dict[str, Any]]]:
    """Cut rows so that no statement has more variables than the backend takes."""
    size = max(1, max_variables // max(1, columns))
    for start in range(0, len(rows), size):
        yield [dict(row) for row in rows[start : start + size]]
