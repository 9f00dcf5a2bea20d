"""SQLite: one writer, immediate transactions, a real WAL."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    UniqueConstraint,
    and_,
    event,
    exists,
    func,
    literal,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from autovibe.db.base import Base
from autovibe.db.dialects.base import (
    JsonColumn,
    SelectT,
    insert_chunks,
    json_text,
    retryable,
    table_of,
)
from autovibe.db.dialects.rules import rule_violation
from autovibe.db.errors import (
    CheckViolationError,
    DatabaseBusyError,
    DatabaseFullError,
    DatabaseOpenError,
    DatabaseReadOnlyError,
    DatabaseUrlError,
    ForeignKeyViolationError,
    InvalidValueError,
    NotNullViolationError,
    UniqueViolationError,
)
from autovibe.db.types import SQLITE_NOW
from autovibe.kernel.database_settings import DatabaseSettings
from autovibe.kernel.errors import AutovibeError

BUSY_TIMEOUT_MS: Final = 5_000
READERS: Final = 8
_MAX_VARIABLES: Final = 32_000
# FULL always: with NORMAL a power cut can lose the commit of a hold that was already acted on.
_PRAGMAS: Final = (
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
)
_FAILED: Final = re.compile(r"constraint failed: (?P<what>.+)$")
_DELETE: Final = re.compile(r"\s*DELETE FROM (?P<table>\w+)", re.IGNORECASE)
_INDEX: Final = re.compile(r"index '(?P<name>[^']+)'")


class _Connection(sqlite3.Connection):
    """A connection whose transaction ends when it is closed.

    SQLite keeps a closed connection, with its locks, as long as a statement of it lives; one that
    was cancelled lives in the frames of the exception that is being handled.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # SQLite's own lower() knows the letters of ASCII only.
        self.create_function("autovibe_fold", 1, _folded, deterministic=True)

    def close(self) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # it is closed already
            if self.in_transaction:
                self.rollback()
        super().close()


def _folded(text_: str | None) -> str | None:
    return None if text_ is None else text_.lower()


_CONNECT_ARGS: Final = {"factory": _Connection}


class SqliteDialect:
    """The SQLite side of `Dialect`."""

    name: str = "sqlite"

    def engines(self, url: URL, settings: DatabaseSettings) -> tuple[AsyncEngine, AsyncEngine]:
        """Return a pool of read-only connections, and the one connection that writes.

        Sizes are fixed: more readers than cores gain nothing, and there is one writer.

        Raises:
            DatabaseUrlError: the URL names no file.
        """
        if not url.database or url.database == ":memory:" or "mode=memory" in url.database:
            raise DatabaseUrlError("Give SQLite a file, as in sqlite:////home/me/autovibe.db.")
        reader = create_async_engine(
            url,
            pool_size=READERS,
            max_overflow=0,
            pool_timeout=settings.pool_timeout_s,
            json_serializer=json_text,
            connect_args=_CONNECT_ARGS,
        )
        writer = create_async_engine(
            url,
            pool_size=1,
            max_overflow=0,
            json_serializer=json_text,
            connect_args=_CONNECT_ARGS,
        )
        _prepare(reader, "BEGIN", (*_PRAGMAS, "PRAGMA query_only=ON"))
        _prepare(writer, "BEGIN IMMEDIATE", _PRAGMAS)
        return reader, writer

    def translate(self, error: BaseException) -> AutovibeError | None:
        """Return the typed error for what the driver raised; None when it is none of ours."""
        if isinstance(error, PoolTimeoutError):
            return DatabaseBusyError("Every database connection is in use; try again.")
        original = error.orig if isinstance(error, DBAPIError) else error
        if not isinstance(original, sqlite3.Error):
            return None
        code = cast("str", getattr(original, "sqlite_errorname", ""))
        message = str(original)
        if code.startswith("SQLITE_CONSTRAINT"):
            statement = error.statement if isinstance(error, DBAPIError) else None
            return _constraint(code, message, statement or "")
        for prefix, kind, sentence in _BY_CODE:
            if code.startswith(prefix):
                return kind(sentence)
        return None

    def is_retryable(self, error: BaseException) -> bool:
        """Return whether the whole operation may succeed when it is run again."""
        return retryable(self, error)

    async def insert_or_ignore(
        self, session: AsyncSession, table: type[Base] | Table, rows: Sequence[Mapping[str, Any]]
    ) -> int:
        """Insert rows, skipping those whose key exists; return how many were inserted."""
        target = table_of(table)
        inserted = 0
        for chunk in insert_chunks(rows, _MAX_VARIABLES, len(target.columns)):
            statement = insert(target).values(chunk).on_conflict_do_nothing()
            inserted += cast("int", (await session.execute(statement)).rowcount)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # an INSERT gives a CursorResult
        return inserted

    async def insert_bulk(
        self, session: AsyncSession, table: Table, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Insert many rows by one prepared statement: all, or none if one is refused."""
        if rows:
            async with session.begin_nested():
                await session.execute(insert(table), [dict(row) for row in rows])

    def for_update(
        self, query: SelectT, of: type[Base], *, skip_locked: bool = False, nowait: bool = False
    ) -> SelectT:
        """Return the query as it is: BEGIN IMMEDIATE has locked everything."""
        del of, skip_locked, nowait
        return query

    def json_contains(self, column: JsonColumn, part: Mapping[str, Any]) -> ColumnElement[bool]:
        """Return the condition that a JSON object has these members."""
        conditions = [_member(column, "$", key, value) for key, value in part.items()]
        return and_(true(), *conditions)

    def json_has(self, column: JsonColumn, item: str) -> ColumnElement[bool]:
        """Return the condition that a JSON array or a list of texts has this text as an element."""
        each = func.json_each(column).table_valued("value", "type")
        return exists(
            select(literal(1)).select_from(each).where(each.c.value == item, each.c.type == "text")
        )

    def json_subset(self, column: JsonColumn, items: Sequence[str]) -> ColumnElement[bool]:
        """Return the condition that every element of a JSON array or list is among these texts."""
        each = func.json_each(column).table_valued("value")
        return ~exists(select(literal(1)).select_from(each).where(each.c.value.not_in(list(items))))

    def holds_words(self, column: JsonColumn, words: Sequence[str]) -> ColumnElement[bool]:
        """Return the condition that a text holds all of these, in whatever case."""
        folded = func.autovibe_fold(column)
        return and_(true(), *(func.instr(folded, word.lower()) > 0 for word in words))

    async def now(self, session: AsyncSession) -> datetime:
        """Return the clock of the host, aware, in UTC, to the millisecond."""
        value = (await session.execute(text(f"SELECT {SQLITE_NOW}"))).scalar_one()
        return datetime.fromisoformat(value).replace(tzinfo=UTC)

    async def notify(self, session: AsyncSession, channel: str, payload: str) -> None:
        """Do nothing: SQLite tells nobody of anything."""
        del session, channel, payload

    async def explain(
        self, connection: AsyncConnection, statement: str, parameters: Any
    ) -> list[str]:
        """Return the plan; SQLite writes `?` for every value in it."""
        found = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return [str(row.detail) for row in found]

    async def lock_for_upgrade(self, connection: AsyncConnection) -> None:
        """Do nothing: the transaction began IMMEDIATE, which is the lock."""
        del connection


def _prepare(engine: AsyncEngine, begin: str, pragmas: Sequence[str]) -> None:
    """Take transaction control from the driver, whose legacy mode begins only before writes.

    Source: SQLAlchemy, "Enabling Non-Legacy SQLite Transactional Modes".
    """

    @event.listens_for(engine.sync_engine, "do_connect")
    def _probe(dialect: object, record: object, args: Sequence[Any], named: dict[str, Any]) -> None:  # pyright: ignore[reportUnusedFunction]  # called by SQLAlchemy
        """Fail here if the file cannot be opened.

        aiosqlite would fail too, but leave a thread behind that may report to a closed event loop.
        """
        del dialect, record
        sqlite3.connect(args[0], uri=bool(named.get("uri"))).close()

    @event.listens_for(engine.sync_engine, "connect")
    def _connect(connection: Any, record: object) -> None:  # pyright: ignore[reportUnusedFunction]  # called by SQLAlchemy
        del record
        try:
            connection.isolation_level = None
            cursor = cast("DBAPIConnection", connection).cursor()
            for pragma in pragmas:
                cursor.execute(pragma)
            cursor.close()
        except BaseException:
            # The pool forgets a connection that fails here, and its thread would live on.
            connection.close()
            raise

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]  # called by SQLAlchemy
        connection.exec_driver_sql(begin)


_BY_CODE: Final[tuple[tuple[str, type[AutovibeError], str], ...]] = (
    (
        "SQLITE_BUSY",
        DatabaseBusyError,
        "Another process holds the database; try again.",
    ),
    ("SQLITE_LOCKED", DatabaseBusyError, "The database is locked; try again."),
    (
        "SQLITE_FULL",
        DatabaseFullError,
        "The disk with the database is full; free some space and try again.",
    ),
    (
        "SQLITE_READONLY",
        DatabaseReadOnlyError,
        (
            "The database is read-only; make its file and directory writable, or set "
            "AUTOVIBE_DATABASE_URL to another."
        ),
    ),
    (
        "SQLITE_CANTOPEN",
        DatabaseOpenError,
        (
            "The database file cannot be opened or made; check that its directory exists and that "
            "you may write there."
        ),
    ),
    (
        "SQLITE_PERM",
        DatabaseOpenError,
        "You may not open the database file; check its permissions.",
    ),
    (
        "SQLITE_NOTADB",
        DatabaseOpenError,
        "The database file is no SQLite database; set AUTOVIBE_DATABASE_URL to another file.",
    ),
    (
        "SQLITE_CORRUPT",
        DatabaseOpenError,
        "The database file is damaged; restore a backup of it.",
    ),
    (
        "SQLITE_IOERR",
        DatabaseOpenError,
        "Reading or writing the database file failed; check its disk.",
    ),
)


def _constraint(code: str, message: str, statement: str) -> AutovibeError:
    broken_rule = rule_violation(message)
    if broken_rule is not None:
        return broken_rule
    match = _FAILED.search(message)
    what = match["what"] if match else ""
    table = what.split(".", 1)[0] if "." in what else ""
    if code in {"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}:
        name = _unique_rule(what)
        return UniqueViolationError(
            f"Another row has this key ({name or what}).", constraint=name, table=table
        )
    # ON DELETE RESTRICT reports itself as a trigger.
    if code == "SQLITE_CONSTRAINT_FOREIGNKEY" or message.startswith("FOREIGN KEY"):
        restricts = code != "SQLITE_CONSTRAINT_FOREIGNKEY"
        return ForeignKeyViolationError(
            "A row names one that does not exist, or one that is still named is to be deleted.",
            constraint=_holding_rule(statement, restricts=restricts),
        )
    if code == "SQLITE_CONSTRAINT_NOTNULL":
        column = what.rpartition(".")[2]
        return NotNullViolationError(f"{what} needs a value.", constraint=column, table=table)
    return CheckViolationError(f"A value breaks the rule {what}.", constraint=what)


def _holding_rule(statement: str, *, restricts: bool) -> str:
    """Return the one foreign key that a DELETE can have broken, "" if there are several."""
    match = _DELETE.match(statement)
    if match is None:
        return ""
    names = [
        str(key.constraint.name)
        for table in Base.metadata.tables.values()
        for key in table.foreign_keys
        if key.constraint is not None
        and key.column.table.name == match["table"]
        and key.ondelete == ("RESTRICT" if restricts else None)
    ]
    return names[0] if len(names) == 1 else ""


def _unique_rule(what: str) -> str:
    """Return the name of a unique rule; SQLite gives its columns, or an expression index's name."""
    index = _INDEX.search(what)
    if index is not None:
        return index["name"]
    columns = [part.strip().rpartition(".") for part in what.split(",")]
    table = Base.metadata.tables.get(columns[0][0])
    if table is None:
        return ""
    names = [column for _, _, column in columns]
    if names == [column.name for column in table.primary_key.columns]:
        return str(table.primary_key.name)
    for rule in (*table.constraints, *table.indexes):
        unique = isinstance(rule, UniqueConstraint) or getattr(rule, "unique", False)
        if unique and names == [column.name for column in rule.columns]:  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]  # both kinds have columns
            return str(rule.name)
    return ""


def _member(column: JsonColumn, base: str, key: str, value: object) -> ColumnElement[bool]:
    if '"' in key or "\\" in key:
        raise InvalidValueError(f"{key!r} cannot be looked for in JSON; use a key without quotes.")
    path = f'{base}."{key}"'
    if isinstance(value, Mapping):
        members = cast("Mapping[str, object]", value)
        inner = [_member(column, path, name, item) for name, item in members.items()]
        return and_(func.json_type(column, path) == "object", *inner)
    if isinstance(value, list | tuple):
        items = cast("Sequence[object]", value)
        contained = [_element(column, path, item) for item in items]
        return and_(func.json_type(column, path) == "array", *contained)
    return _same_scalar(func.json_type(column, path), func.json_extract(column, path), value)


def _element(column: JsonColumn, path: str, value: object) -> ColumnElement[bool]:
    each = func.json_each(column, path).table_valued("value", "type")
    return exists(
        select(literal(1)).select_from(each).where(_same_scalar(each.c.type, each.c.value, value))
    )


def _same_scalar(
    kind: ColumnElement[Any], found: ColumnElement[Any], value: object
) -> ColumnElement[bool]:
    if value is None:
        return kind == "null"
    if isinstance(value, bool):
        return kind == ("true" if value else "false")
    if isinstance(value, int | float):
        return and_(or_(kind == "integer", kind == "real"), found == value)
    if isinstance(value, str):
        return and_(kind == "text", found == value)
    raise InvalidValueError(f"{value!r} cannot be looked for in JSON; give text or a number.")
