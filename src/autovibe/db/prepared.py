"""Queries that are made once and run often.

Making a statement takes four times as long as running it; and in hot work even what SQLAlchemy does
per run (its cache key, its contexts, its result objects) is most of the time. There a prepared
query goes to the driver as text. What comes back is the same, but for members of enums, which are
plain texts on PostgreSQL.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, cast

from sqlalchemy import (
    ARRAY,
    BindParameter,
    ColumnElement,
    Select,
    TextClause,
    any_,
    bindparam,
)
from sqlalchemy import Dialect as SqlDialect
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression
from sqlalchemy.sql.selectable import TextualSelect
from sqlalchemy.sql.visitors import replacement_traverse
from sqlalchemy.types import TypeEngine, Uuid

from autovibe.db.base import Base
from autovibe.db.dialects.base import Dialect
from autovibe.db.session import ReadTx
from autovibe.db.types import JsonValue

Values = Mapping[str, Any]
Rows = Sequence[Sequence[Any]]
Query = Select[*tuple[Any, ...]]
_Processor = Callable[[Any], Any]


class SqliteDriver:
    """An open connection of the standard library's driver, with our errors in place of its own."""

    def __init__(self, raw: Any, sql: SqlDialect, dialect: Dialect) -> None:
        """Wrap a connection."""
        self.raw = raw
        self.sql = sql
        self.dialect = dialect

    def run(self, text: str, values: Sequence[Any], *, many: bool = False) -> Any:
        """Return the cursor of a statement that has run.

        Raises:
            AutovibeError: the database refused it.
        """
        try:
            return self.raw.executemany(text, values) if many else self.raw.execute(text, values)
        except Exception as error:
            typed = self.dialect.translate(error)
            if typed is None:
                raise
            raise typed from error


class PostgresqlDriver:
    """An open connection of asyncpg, with our errors in place of its own.

    `fetches` counts what was run on it.
    """

    def __init__(self, raw: Any, sql: SqlDialect, dialect: Dialect) -> None:
        """Wrap a connection."""
        self.raw = raw
        self.sql = sql
        self.dialect = dialect
        self.fetches = 0

    async def fetch(self, text: str, values: Sequence[Any]) -> Rows:
        """Return the rows of a statement, which asyncpg prepares once per connection.

        Raises:
            AutovibeError: the database refused it.
        """
        self.fetches += 1
        try:
            return cast("Rows", await self.raw.fetch(text, *values))
        except Exception as error:
            typed = self.dialect.translate(error)
            if typed is None:
                raise
            raise typed from error

    async def execute(self, script: str) -> None:
        """Run statements without parameters.

        Raises:
            AutovibeError: the database refused one.
        """
        try:
            await self.raw.execute(script)
        except Exception as error:
            typed = self.dialect.translate(error)
            if typed is None:
                raise
            raise typed from error


def driver_of(tx: ReadTx) -> SqliteDriver | PostgresqlDriver | None:
    """Return the driver's connection, `None` outside of hot work."""
    return getattr(tx.session, "driver", None)


class Prepared:
    """A SELECT of SQLAlchemy's core, with its parameters as named `bindparam`s.

    Parameters need their types written out where the column has a foreign key. Values that stand in
    the query itself stay what they are.
    """

    def __init__(self, query: Query, *, locks: type[Base] | None = None) -> None:
        """Prepare a query; `locks` is the model whose selected rows it locks."""
        self._query: Final = query
        self._locks: Final = locks
        self._locking: dict[str, Query] = {}
        self._on_sqlite: _OnSqlite | None = None
        self._on_postgresql: _OnPostgresql | None = None

    async def rows(self, tx: ReadTx, values: Values) -> Rows:
        """Return the rows, each with its values in the order of the query's columns."""
        driver = driver_of(tx)
        if driver is None:
            found = await tx.session.execute(self._for(tx.dialect), dict(values))
            return cast("Rows", found.all())
        if isinstance(driver, SqliteDriver):
            if self._on_sqlite is None:
                self._on_sqlite = _OnSqlite(self._for(tx.dialect), driver.sql)
            return self._on_sqlite.rows(driver, values)
        if self._on_postgresql is None:
            self._on_postgresql = _OnPostgresql(self._for(tx.dialect), driver.sql)
        return await self._on_postgresql.rows(driver, values)

    def _for(self, dialect: Dialect) -> Query:
        """Return the query with the lock that it takes on a backend."""
        if self._locks is None:
            return self._query
        if dialect.name not in self._locking:
            self._locking[dialect.name] = dialect.for_update(self._query, self._locks)
        return self._locking[dialect.name]


class Written:
    """A statement that is written out for one backend, because its plan matters, and run often.

    It must have the types of its parameters, and, where it returns rows, of its columns.
    """

    def __init__(self, statement: TextClause | TextualSelect) -> None:
        """Take a statement."""
        self._statement: Final = statement
        self._on_sqlite: _OnSqlite | None = None
        self._on_postgresql: _OnPostgresql | None = None

    async def rows(self, tx: ReadTx, values: Values) -> Rows:
        """Run it, and return the rows that it gives."""
        driver = driver_of(tx)
        if driver is None:
            done: Any = await tx.session.execute(self._statement, dict(values))
            return cast("Rows", done.all() if done.returns_rows else ())
        if isinstance(driver, SqliteDriver):
            if self._on_sqlite is None:
                self._on_sqlite = _OnSqlite(self._statement, driver.sql)
            return self._on_sqlite.rows(driver, values)
        if self._on_postgresql is None:
            self._on_postgresql = _OnPostgresql(self._statement, driver.sql)
        return await self._on_postgresql.rows(driver, values)


class _OnPostgresql:
    """A query as text for asyncpg, which turns most types in and out by itself.

    A list is one parameter, an array, so that its length does not make another statement.
    """

    def __init__(self, query: Query | TextClause | TextualSelect, sql: SqlDialect) -> None:
        given = _lists_as_arrays(query) if isinstance(query, Select) else query
        compiled = given.compile(dialect=sql)
        self._text = str(compiled)
        self._order = tuple(getattr(compiled, "positiontup", None) or ())
        self._own = _own_values(compiled)
        self._json = [
            (place, _result_processor(column.type, sql))
            for place, column in enumerate(_columns(query))
            if isinstance(column.type, JsonValue)
        ]

    async def rows(self, driver: PostgresqlDriver, values: Values) -> Rows:
        given = {**self._own, **values} if self._own else values
        found = await driver.fetch(self._text, [given[name] for name in self._order])
        return [self._read(row) for row in found] if self._json else found

    def _read(self, row: Sequence[Any]) -> list[Any]:
        """Return a row whose JSON is read: the driver gives its text."""
        read = list(row)
        for place, process in self._json:
            if process is not None:
                read[place] = process(read[place])
        return read


def _own_values(compiled: Any) -> Values:
    """Return the values that stand in a query itself."""
    return {name: value for name, value in compiled.params.items() if value is not None}


def _columns(query: Query | TextClause | TextualSelect) -> Sequence[ColumnElement[Any]]:
    if isinstance(query, TextClause):
        return ()
    return tuple(query.selected_columns)


def _lists_as_arrays(query: Query) -> Query:
    """Return a query with `= ANY (array)` in place of `IN (list)`."""

    def replaced(element: Any, **_: Any) -> ColumnElement[bool] | None:
        if not isinstance(element, BinaryExpression) or element.operator is not operators.in_op:
            return None
        of_list: Any = element.right
        if not isinstance(of_list, BindParameter) or not of_list.expanding:
            return None
        column: ColumnElement[Any] = element.left
        array = bindparam(of_list.key, type_=ARRAY(cast("TypeEngine[Any]", of_list.type)))
        return column == any_(array)

    return cast("Query", replacement_traverse(query, {}, replaced))


class _OnSqlite:
    """A query as text for SQLite, and how to turn its values in and out."""

    def __init__(self, query: Query | TextClause | TextualSelect, sql: SqlDialect) -> None:
        compiled = query.compile(dialect=sql)
        self._compiled = compiled
        self._own = _own_values(compiled)
        # Under the names that the text has; a value that stands in the query has another key.
        named = {compiled.bind_names[one]: one for one in compiled.binds.values()}
        self._bind = {name: bind_processor(one.type, sql) for name, one in named.items()}
        self._lists = tuple(name for name, one in named.items() if one.expanding)
        self._variants: dict[tuple[int, ...], tuple[str, Sequence[str]]] = {}
        self._columns = [_result_processor(column.type, sql) for column in _columns(query)]

    def rows(self, driver: SqliteDriver, values: Values) -> Rows:
        if self._own:
            values = {**self._own, **values}
        text, order = self._variant(values)
        found: Rows = driver.run(text, self._ordered(values, order)).fetchall()
        return [
            [
                value if process is None else process(value)
                for process, value in zip(self._columns, row, strict=True)
            ]
            for row in found
        ]

    def _variant(self, values: Values) -> tuple[str, Sequence[str]]:
        """Return text and order of parameters for lists of these lengths."""
        lengths = tuple(len(values[name]) for name in self._lists)
        variant = self._variants.get(lengths)
        if variant is None:
            state = self._compiled.construct_expanded_state(
                {name: values[name] for name in self._bind}
            )
            variant = self._variants[lengths] = (state.statement, state.positiontup or ())
        return variant

    def _ordered(self, values: Values, order: Sequence[str]) -> list[Any]:
        flat: dict[str, Any] = {}
        for name, process in self._bind.items():
            value = values[name]
            if name in self._lists:
                for number, item in enumerate(value, start=1):
                    flat[f"{name}_{number}"] = item if process is None else process(item)
            else:
                flat[name] = value if process is None else process(value)
        return [flat[name] for name in order]


def bind_processor(kind: TypeEngine[Any], sql: SqlDialect) -> _Processor | None:
    """Return what turns a value of a type into what a driver takes."""
    return kind.dialect_impl(sql).bind_processor(sql)


# Rows name the same projects, budgets and executions again and again.
_known_id: Final = lru_cache(8_192)(uuid.UUID)


def _result_processor(kind: TypeEngine[Any], sql: SqlDialect) -> _Processor | None:
    if isinstance(kind, Uuid):
        return lambda value: None if value is None else _known_id(value)
    return kind.dialect_impl(sql).result_processor(sql, None)
