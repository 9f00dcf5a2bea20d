"""Writing many rows at once: on PostgreSQL as arrays in one statement, on SQLite one by one.

In hot work on PostgreSQL, decimals and JSON are checked as always; the rest is what PostgreSQL
itself refuses when it does not fit (texts that are too long, times without a zone).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from sqlalchemy import Boolean, Column, Date, Integer, Table, Uuid, bindparam, insert, update
from sqlalchemy import Dialect as SqlDialect
from sqlalchemy.dialects import postgresql

from autovibe.db.prepared import PostgresqlDriver, SqliteDriver, bind_processor, driver_of
from autovibe.db.session import WriteTx
from autovibe.db.types import ExactDecimal, JsonValue, UtcDateTime

_Processor = Callable[[Any], Any]
_Item = Callable[[Any], str]


@dataclass(frozen=True)
class Rows:
    """Values by column: those that differ from row to row, and those that all rows share.

    The former are sequences of one length; an update has its key among them.
    """

    each: Mapping[str, Sequence[Any]]
    same: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.each.values()), ()))

    def dicts(self) -> list[dict[str, Any]]:
        """Return the rows one by one."""
        names = tuple(self.each)
        return [
            {**dict(zip(names, row, strict=True)), **self.same}
            for row in zip(*self.each.values(), strict=True)
        ]


class InsertRows:
    """INSERT into a table. Columns that are not given take their server defaults."""

    def __init__(self, table: Table) -> None:
        """Take the table."""
        self.table = table

    def core(self) -> Any:
        """Return the statement for SQLAlchemy, which is run once per row."""
        return insert(self.table)

    def row(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of `core`."""
        return dict(values)

    def sqlite(self, names: Sequence[str]) -> tuple[str, Sequence[str]]:
        """Return the text for one row, and the order of its parameters."""
        marks = ", ".join("?" for _ in names)
        return f"INSERT INTO {self.table.name} ({', '.join(names)}) VALUES ({marks})", names  # noqa: S608 - names of our own columns

    def postgresql(self, each: Sequence[str], same: Sequence[str], first: int) -> str:
        """Return the text for all rows, whose parameters are numbered from `first`."""
        given = _sources(self.table, each, same, first)
        chosen = ", ".join(given.values())
        source = _unnest(self.table, each, first)
        return f"INSERT INTO {self.table.name} ({', '.join(given)}) SELECT {chosen} FROM {source}"  # noqa: S608 - names of our own columns


class UpdateRows:
    """UPDATE of the rows of a table by a key; columns in `added` grow by what is given."""

    def __init__(
        self, table: Table, *, key: Sequence[str] = ("id",), added: Sequence[str] = ()
    ) -> None:
        """Take the table, and the columns that say which rows are meant."""
        self.table = table
        self.key = tuple(key)
        self.added = frozenset(added)

    def core(self) -> Any:
        """Return the statement for SQLAlchemy, which is run once per row."""
        return update(self.table).where(
            *(
                self.table.c[name] == bindparam(f"key_{name}", type_=self.table.c[name].type)
                for name in self.key
            )
        )

    def row(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of `core`."""
        return {
            (f"key_{name}" if name in self.key else name): value for name, value in values.items()
        }

    def sqlite(self, names: Sequence[str]) -> tuple[str, Sequence[str]]:
        """Return the text for one row, and the order of its parameters."""
        changed = [name for name in names if name not in self.key]
        which = " AND ".join(f"{name} = ?" for name in self.key)
        to = ", ".join(f"{n} = {n} + ?" if n in self.added else f"{n} = ?" for n in changed)
        return f"UPDATE {self.table.name} SET {to} WHERE {which}", [*changed, *self.key]  # noqa: S608 - names of our own columns

    def postgresql(self, each: Sequence[str], same: Sequence[str], first: int) -> str:
        """Return the text for all rows, whose parameters are numbered from `first`."""
        given = _sources(self.table, each, same, first)
        to = ", ".join(
            f"{name} = t.{name} + {value}" if name in self.added else f"{name} = {value}"
            for name, value in given.items()
            if name not in self.key
        )
        source = _unnest(self.table, each, first)
        which = " AND ".join(f"t.{name} = v.{name}" for name in self.key)
        return f"UPDATE {self.table.name} AS t SET {to} FROM {source} WHERE {which}"  # noqa: S608 - names of our own columns


Statement = InsertRows | UpdateRows


async def write_rows(tx: WriteTx, *parts: tuple[Statement, Rows]) -> None:
    """Run statements, in hot work on PostgreSQL all of them as one.

    They must not depend on each other: as one statement, none sees what another has written. Keys
    between their rows are checked when all is written.

    Raises:
        AutovibeError: the database refused one.
    """
    parts = tuple((statement, rows) for statement, rows in parts if rows.count)
    driver = driver_of(tx)
    if driver is None:
        for statement, rows in parts:
            await _write_core(tx, statement, rows)
    elif isinstance(driver, SqliteDriver):
        for statement, rows in parts:
            _write_sqlite(driver, statement, rows)
    elif parts:
        await _write_postgresql(driver, parts)


async def _write_core(tx: WriteTx, statement: Statement, rows: Rows) -> None:
    dicts = rows.dicts()
    core = statement.core()
    if isinstance(statement, UpdateRows):
        table = statement.table
        core = core.values(
            {
                name: table.c[name] + bindparam(name, type_=table.c[name].type)
                if name in statement.added
                else bindparam(name, type_=table.c[name].type)
                for name in dicts[0]
                if name not in statement.key
            }
        )
    await tx.session.execute(core, [statement.row(one) for one in dicts])


@dataclass(frozen=True)
class _Texts:
    """What was made for one set of statements and names: the text, and how values are given."""

    text: str
    order: Sequence[str]
    processors: Sequence[Any]


_sqlite_texts: Final[dict[tuple[object, ...], _Texts]] = {}
_postgresql_texts: Final[dict[tuple[object, ...], _Texts]] = {}


def _write_sqlite(driver: SqliteDriver, statement: Statement, rows: Rows) -> None:
    names = (*rows.each, *rows.same)
    key = (statement, names)
    known = _sqlite_texts.get(key)
    if known is None:
        text, order = statement.sqlite(names)
        processors = [bind_processor(statement.table.c[name].type, driver.sql) for name in order]
        known = _sqlite_texts[key] = _Texts(text, order, processors)
    count = rows.count
    columns: list[Sequence[Any]] = []
    for name, process in zip(known.order, known.processors, strict=True):
        if name in rows.same:
            value = rows.same[name]
            columns.append([value if process is None else process(value)] * count)
        else:
            given = rows.each[name]
            columns.append(given if process is None else [process(value) for value in given])
    driver.run(known.text, list(zip(*columns, strict=True)), many=True)


async def _write_postgresql(
    driver: PostgresqlDriver, parts: Sequence[tuple[Statement, Rows]]
) -> None:
    key = tuple((statement, *rows.each, "", *rows.same) for statement, rows in parts)
    known = _postgresql_texts.get(key)
    if known is None:
        known = _postgresql_texts[key] = _as_one(parts, driver.sql)
    values: list[str | None] = []
    items = iter(known.processors)
    for _, rows in parts:
        for given in rows.each.values():
            item = next(items)
            written = ["NULL" if value is None else item(value) for value in given]
            values.append(f"{{{','.join(written)}}}")
        for value in rows.same.values():
            item = next(items)
            values.append(None if value is None else item(value))
    await driver.fetch(known.text, values)


def _as_one(parts: Sequence[tuple[Statement, Rows]], sql: SqlDialect) -> _Texts:
    texts: list[str] = []
    items: list[_Item] = []
    for statement, rows in parts:
        columns = statement.table.c
        texts.append(statement.postgresql(tuple(rows.each), tuple(rows.same), len(items) + 1))
        items += [_array_item(columns[name], sql) for name in rows.each]
        items += [_value_text(columns[name], sql) for name in rows.same]
    *before, last = texts
    named = ", ".join(f"w{number} AS ({text})" for number, text in enumerate(before))
    return _Texts(f"WITH {named} {last}" if named else last, (), items)


_PLAIN: Final = postgresql.dialect()


def _type(column: Column[Any]) -> str:
    return column.type.dialect_impl(_PLAIN).compile(dialect=_PLAIN)


def _sources(table: Table, each: Sequence[str], same: Sequence[str], first: int) -> dict[str, str]:
    """Return for each column the expression that gives its value.

    All values travel as text, and those of a column as one text, an array: PostgreSQL reads that
    faster than the driver writes arrays of other types.
    """
    given = {name: f"v.{name}" for name in each}
    for number, name in enumerate(same, start=first + len(each)):
        given[name] = f"${number}::text::{_type(table.c[name])}"
    return given


def _unnest(table: Table, names: Sequence[str], first: int) -> str:
    arrays = ", ".join(
        f"${first + number}::text::{_type(table.c[name])}[]" for number, name in enumerate(names)
    )
    return f"unnest({arrays}) AS v ({', '.join(names)})"


def _value_text(column: Column[Any], sql: SqlDialect) -> _Item:
    """Return what writes a value of a column as PostgreSQL reads it."""
    kind = column.type
    if isinstance(kind, ExactDecimal):
        return kind.text
    if isinstance(kind, JsonValue):
        written = bind_processor(kind, sql)
        assert written is not None
        return written
    if isinstance(kind, Uuid):
        return _hex
    if isinstance(kind, UtcDateTime | Date):
        return _iso
    return str


def _array_item(column: Column[Any], sql: SqlDialect) -> _Item:
    """Return what writes a value of a column as an item of an array."""
    text = _value_text(column, sql)
    if isinstance(column.type, ExactDecimal | Uuid | UtcDateTime | Date | Integer | Boolean):
        return text
    if text is str:
        return _quoted
    return lambda value: _quoted(text(value))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _hex(value: uuid.UUID) -> str:
    return f"{value.int:032x}"


def _iso(value: date) -> str:
    return value.isoformat()
