"""Statements that are made once and run often.

Making a statement takes four times as long as running it; and on SQLite, in hot work, even what
SQLAlchemy does per run (its cache key, its contexts, its result objects) is most of the time. There
a prepared statement goes to the driver as text, with the same types on the way in and out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from sqlalchemy import Dialect as SqlDialect
from sqlalchemy import Insert, Select, Update
from sqlalchemy.types import TypeEngine

from autovibe.db.base import Base
from autovibe.db.dialects.base import Dialect
from autovibe.db.session import ReadTx

Values = Mapping[str, Any]
Rows = Sequence[Mapping[str, Any]]
_Processor = Callable[[Any], Any]


class DriverConnection:
    """An open connection of a driver, with what turns its errors into ours."""

    def __init__(self, raw: Any, sql: SqlDialect, dialect: Dialect) -> None:
        """Wrap a connection of the standard library's driver."""
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


class Prepared:
    """A statement of SQLAlchemy's core, with its parameters as named `bindparam`s.

    Parameters need their types written out where the column has a foreign key. An INSERT is given
    every column that has a default in Python.
    """

    def __init__(
        self,
        statement: Select[*tuple[Any, ...]] | Insert | Update,
        *,
        locks: type[Base] | None = None,
    ) -> None:
        """Prepare a statement; `locks` is the model whose selected rows it locks."""
        self._statement: Final = statement
        self._locks: Final = locks
        self._locking: dict[str, Select[*tuple[Any, ...]]] = {}
        self._texts: dict[tuple[str, ...], _Text] = {}

    async def rows(self, tx: ReadTx, values: Values) -> Rows:
        """Run a SELECT and return its rows."""
        driver = _driver(tx)
        if driver is not None:
            return self._text(driver.sql, tuple(values)).rows(driver, values)
        statement = cast("Select[*tuple[Any, ...]]", self._statement)
        if self._locks is not None:
            name = tx.dialect.name
            if name not in self._locking:
                self._locking[name] = tx.dialect.for_update(statement, self._locks)
            statement = self._locking[name]
        found = await tx.session.execute(statement, dict(values))
        return cast("Rows", found.mappings().all())

    async def many(self, tx: ReadTx, rows: Sequence[Values]) -> None:
        """Run an INSERT or UPDATE for each row; all rows have the same names."""
        if not rows:
            return
        driver = _driver(tx)
        if driver is None:
            await tx.session.execute(self._statement, [dict(row) for row in rows])
        else:
            self._text(driver.sql, tuple(rows[0])).many(driver, rows)

    def _text(self, sql: SqlDialect, names: tuple[str, ...]) -> _Text:
        text = self._texts.get(names)
        if text is None:
            text = self._texts[names] = _Text(self._statement, sql, names)
        return text


class _Text:
    """A statement compiled for SQLite, and how to turn its values in and out."""

    def __init__(
        self,
        statement: Select[*tuple[Any, ...]] | Insert | Update,
        sql: SqlDialect,
        names: tuple[str, ...],
    ) -> None:
        keys = list(names) if isinstance(statement, Insert) else None
        compiled = statement.compile(dialect=sql, column_keys=keys)
        if compiled.insert_prefetch or compiled.update_prefetch:
            raise AssertionError("a prepared statement takes no defaults from Python")
        self._compiled = compiled
        self._bind = {
            name: _bind_processor(parameter.type, sql) for name, parameter in compiled.binds.items()
        }
        self._lists = tuple(name for name, p in compiled.binds.items() if p.expanding)
        self._variants: dict[tuple[int, ...], tuple[str, Sequence[str]]] = {}
        selected = statement.selected_columns if isinstance(statement, Select) else ()
        self._columns = [
            (cast("str", column.key), _result_processor(column.type, sql)) for column in selected
        ]

    def rows(self, driver: DriverConnection, values: Values) -> Rows:
        text, order = self._variant(values)
        found = driver.run(text, self._ordered(values, order)).fetchall()
        return [
            {
                name: value if process is None else process(value)
                for (name, process), value in zip(self._columns, row, strict=True)
            }
            for row in found
        ]

    def many(self, driver: DriverConnection, rows: Sequence[Values]) -> None:
        text, order = self._variant(rows[0])
        driver.run(text, [self._ordered(row, order) for row in rows], many=True)

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


def _driver(tx: ReadTx) -> DriverConnection | None:
    """Return the driver's connection, `None` outside of hot work on SQLite."""
    return getattr(tx.session, "driver", None)


def _bind_processor(kind: TypeEngine[Any], sql: SqlDialect) -> _Processor | None:
    return kind.dialect_impl(sql).bind_processor(sql)


def _result_processor(kind: TypeEngine[Any], sql: SqlDialect) -> _Processor | None:
    return kind.dialect_impl(sql).result_processor(sql, None)
