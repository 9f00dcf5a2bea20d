"""PostgreSQL 15 or later, over asyncpg."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, String, Table, Text, and_, func, literal, select, text, true
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from autovibe.db.base import Base
from autovibe.db.dialects.base import (
    JsonColumn,
    SelectT,
    bind_processors,
    insert_chunks,
    json_text,
    retryable,
    table_of,
)
from autovibe.db.dialects.rules import rule_violation
from autovibe.db.errors import (
    CheckViolationError,
    ConstraintError,
    DatabaseBusyError,
    DatabaseFullError,
    DatabaseOpenError,
    DatabaseReadOnlyError,
    DatabaseUnavailableError,
    ForeignKeyViolationError,
    NotNullViolationError,
    SerializationError,
    UniqueViolationError,
)
from autovibe.db.tls import ssl_argument, take_from_url
from autovibe.db.types import TextArray
from autovibe.kernel.database_settings import DatabaseSettings
from autovibe.kernel.errors import AutovibeError

CONNECT_TIMEOUT_S: Final = 10
UPGRADE_WAIT_S: Final = 60
"""How long an upgrade waits for another one to end."""
TABLE_WAIT_S: Final = 4
"""How long an upgrade waits for a table that others use."""
_MAX_VARIABLES: Final = 32_000
# Any constant will do, as long as every autovibe takes the same.
_UPGRADE_LOCK: Final = 0x6175746F76696265
_NOTIFY: Final = text("SELECT pg_notify(:channel, :payload)")
_UNREACHABLE: Final = (
    "The database server cannot be reached; start it, or set AUTOVIBE_DATABASE_URL to another."
)


class PostgresqlDialect:
    """The PostgreSQL side of `Dialect`."""

    name: str = "postgresql"

    def engines(self, url: URL, settings: DatabaseSettings) -> tuple[AsyncEngine, AsyncEngine]:
        """Return one pool twice: for reads its transactions are READ ONLY with one snapshot.

        Raises:
            DatabaseUrlError: the URL's `sslmode` is none.
            TlsSettingsError: certificates cannot be read, or TLS is demanded and not configured.
        """
        url, settings = take_from_url(url, settings)
        writer = create_async_engine(
            url,
            pool_size=settings.pool_size,
            max_overflow=settings.max_overflow,
            pool_timeout=settings.pool_timeout_s,
            pool_recycle=settings.pool_recycle_s or -1,
            pool_pre_ping=settings.pool_pre_ping,
            json_serializer=json_text,
            connect_args={
                "timeout": CONNECT_TIMEOUT_S,
                "ssl": ssl_argument(settings),
                "server_settings": {
                    "timezone": "UTC",
                    # Compiling costs more than it saves on queries of a few milliseconds.
                    "jit": "off",
                    "application_name": "autovibe",
                    "statement_timeout": _milliseconds(settings.statement_timeout_s),
                    "lock_timeout": _milliseconds(settings.lock_timeout_s),
                },
            },
        )
        reader = writer.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        return reader, writer

    def translate(self, error: BaseException) -> AutovibeError | None:
        """Return the typed error for what the driver raised; None when it is none of ours."""
        if isinstance(error, PoolTimeoutError):
            return DatabaseBusyError("Every database connection is in use; try again.")
        original = error.orig if isinstance(error, DBAPIError) else error
        if original is None:
            return None
        state = getattr(original, "sqlstate", None)
        if not isinstance(state, str):
            return DatabaseUnavailableError(_UNREACHABLE) if _is_lost(original) else None
        # SQLAlchemy's own copy of the error leaves out the detail, which carries the code.
        broken_rule = rule_violation(f"{original}\n{original.__cause__ or ''}")
        if broken_rule is not None:
            return broken_rule
        return _constraint(state, original) or _condition(state, original)

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
        """Insert many rows by COPY, which is one statement however many there are."""
        if not rows:
            return
        names = list(rows[0])
        connection = await session.connection()
        processors = bind_processors(table, names, connection.dialect)
        columns = [
            _processed([row[name] for row in rows], step)
            for name, step in zip(names, processors, strict=True)
        ]
        records = list(zip(*columns, strict=True))
        raw: Any = await connection.get_raw_connection()
        try:
            await raw.driver_connection.copy_records_to_table(
                table.name, records=records, columns=names
            )
        except Exception as error:
            # It went past SQLAlchemy, whose errors are translated where the transaction ends.
            typed = self.translate(error)
            if typed is None:
                raise
            raise typed from error

    def for_update(
        self, query: SelectT, of: type[Base], *, skip_locked: bool = False, nowait: bool = False
    ) -> SelectT:
        """Lock the selected rows of one model until the transaction ends."""
        return query.with_for_update(of=of, skip_locked=skip_locked, nowait=nowait)

    def json_contains(self, column: JsonColumn, part: Mapping[str, Any]) -> ColumnElement[bool]:
        """Return the condition that a JSON object has these members."""
        return column.op("@>", is_comparison=True)(literal(dict(part), JSONB))

    def json_has(self, column: JsonColumn, item: str) -> ColumnElement[bool]:
        """Return the condition that a JSON array or a list of texts has this text as an element."""
        return column.op("@>", is_comparison=True)(_texts([item], column))

    def json_subset(self, column: JsonColumn, items: Sequence[str]) -> ColumnElement[bool]:
        """Return the condition that every element of a JSON array or list is among these texts."""
        return column.op("<@", is_comparison=True)(_texts(list(items), column))

    def holds_words(self, column: JsonColumn, words: Sequence[str]) -> ColumnElement[bool]:
        """Return the condition that a text holds all of these, in whatever case."""
        return and_(true(), *(column.icontains(word, autoescape=True) for word in words))

    async def now(self, session: AsyncSession) -> datetime:
        """Return the server's clock as it is now, not as it was when the transaction began."""
        value: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
        return value.astimezone(UTC)

    async def notify(self, session: AsyncSession, channel: str, payload: str) -> None:
        """Notify whoever listens; equal notifications of one transaction arrive as one."""
        await session.execute(_NOTIFY, {"channel": channel, "payload": payload})

    async def explain(
        self, connection: AsyncConnection, statement: str, parameters: Any
    ) -> list[str]:
        """Return the nodes of the plan with their sizes; conditions, which hold values, are not."""
        found = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        document: Any = found.scalar_one()
        plans = json.loads(document) if isinstance(document, str) else document
        return list(_plan_lines(plans[0]["Plan"], 0))

    async def lock_for_upgrade(self, connection: AsyncConnection) -> None:
        """Wait for the advisory lock of upgrades; it is given up when the transaction ends."""
        # Another upgrade may take its time; so may a statement of this one.
        await _set_local(connection, lock_timeout_s=UPGRADE_WAIT_S, statement_timeout_s=0)
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
        await _set_local(connection, lock_timeout_s=TABLE_WAIT_S, statement_timeout_s=0)


def libpq_environment(url: URL, settings: DatabaseSettings) -> dict[str, str]:
    """Return how PostgreSQL's own programs reach the server; the password is on no command line.

    Raises:
        DatabaseUrlError: as `PostgresqlDialect.engines`.
        TlsSettingsError: as `PostgresqlDialect.engines`.
    """
    url, settings = take_from_url(url, settings)
    host = url.host or url.query.get("host")
    given = {
        "PGHOST": host,
        "PGPORT": url.port,
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
        "PGSSLMODE": settings.sslmode,
        "PGSSLROOTCERT": settings.sslrootcert,
        "PGSSLCERT": settings.sslcert,
        "PGSSLKEY": settings.sslkey,
    }
    return {name: str(value) for name, value in given.items() if value is not None}


async def _set_local(
    connection: AsyncConnection, *, lock_timeout_s: float, statement_timeout_s: float
) -> None:
    for name, seconds in (
        ("lock_timeout", lock_timeout_s),
        ("statement_timeout", statement_timeout_s),
    ):
        value = _milliseconds(seconds)
        await connection.exec_driver_sql(f"SET LOCAL {name} = '{value}'")


def _plan_lines(node: Mapping[str, Any], depth: int) -> Iterator[str]:
    on = " ".join(
        f"{word} {node[key]}"
        for word, key in (("on", "Relation Name"), ("using", "Index Name"))
        if key in node
    )
    line = f"{'  ' * depth}{node['Node Type']} {on}".rstrip()
    yield f"{line} (cost {node['Total Cost']}, rows {node['Plan Rows']})"
    for child in node.get("Plans", ()):
        yield from _plan_lines(child, depth + 1)


def _milliseconds(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def _is_lost(error: BaseException) -> bool:
    """Return whether an error without SQLSTATE means that there is no connection."""
    cause = error.__cause__
    if isinstance(error, OSError) or isinstance(cause, OSError):
        return True
    name = type(cause if cause is not None else error).__name__
    return name in {"ConnectionDoesNotExistError", "InterfaceError", "ClientConfigurationError"}


def _constraint(state: str, original: BaseException) -> ConstraintError | None:
    details = original.__cause__ if original.__cause__ is not None else original
    constraint = str(getattr(details, "constraint_name", None) or "")
    table = str(getattr(details, "table_name", None) or "")
    if state == "23502":
        column = str(getattr(details, "column_name", None) or "")
        return NotNullViolationError(
            f"{table}.{column} needs a value.", constraint=column, table=table
        )
    kinds: dict[str, tuple[type[ConstraintError], str]] = {
        "23505": (UniqueViolationError, f"Another row has this key ({constraint})."),
        "23503": (
            ForeignKeyViolationError,
            "A row names one that does not exist, or one that is still named is to be deleted.",
        ),
        "23001": (ForeignKeyViolationError, "Another row still names the one to be deleted."),
        "23514": (CheckViolationError, f"A value breaks the rule {constraint}."),
    }
    if state not in kinds:
        return None
    kind, sentence = kinds[state]
    # One foreign key refuses both a row that names nothing and the end of one that is named.
    known = kind is not ForeignKeyViolationError or "update or delete on table" in str(details)
    return kind(sentence, constraint=constraint, table=table, known=known)


def _condition(state: str, original: BaseException) -> AutovibeError | None:
    for prefix, kind, sentence in _BY_STATE:
        if state.startswith(prefix):
            return kind(sentence.format(cause=str(original.__cause__ or original)))
    return None


def _texts(items: list[str], column: JsonColumn) -> ColumnElement[Any]:
    """Return texts in the type that a column compares with: an array's elements, or JSON."""
    if not isinstance(column.type, TextArray):
        return literal(items, JSONB)
    # Without the length: a text that is too long for the column is merely not found.
    return literal(items, ARRAY(Text() if column.type.length is None else String()))


_BY_STATE: Final[tuple[tuple[str, type[AutovibeError], str], ...]] = (
    ("40001", SerializationError, "Another transaction changed the same rows; try again."),
    ("40P01", SerializationError, "Another transaction waited for this one; try again."),
    ("55P03", DatabaseBusyError, "Another transaction holds the rows; try again."),
    ("57014", DatabaseBusyError, "The database took too long and the query was ended; try again."),
    (
        "53100",
        DatabaseFullError,
        "The disk of the database server is full; free some space there and try again.",
    ),
    (
        "25006",
        DatabaseReadOnlyError,
        "The database takes no writes; point AUTOVIBE_DATABASE_URL at the primary server.",
    ),
    ("53", DatabaseUnavailableError, "The database server has no room for more; try again later."),
    ("57P", DatabaseUnavailableError, _UNREACHABLE),
    ("08", DatabaseUnavailableError, _UNREACHABLE),
    (
        "28",
        DatabaseOpenError,
        "The database server refused the user or password of AUTOVIBE_DATABASE_URL; correct them.",
    ),
    (
        "3D000",
        DatabaseOpenError,
        "The database that AUTOVIBE_DATABASE_URL names does not exist; create it first.",
    ),
    (
        "42501",
        DatabaseOpenError,
        "The database user may not do this ({cause}); grant it the right.",
    ),
)


_NONE_YET: Final = object()


def _processed(values: list[Any], step: Callable[[Any], Any] | None) -> list[Any]:
    """Return the values of a column as the driver takes them; many rows share one."""
    if step is None:
        return values
    processed: list[Any] = []
    last: Any = _NONE_YET
    done: Any = None
    for value in values:
        # Equal is not enough: 1 and True are, also inside of a JSON value.
        if value is not last and (value or last or type(value) is not type(last)):
            last, done = value, step(value)
        processed.append(done)
    return processed
