"""Hot work on SQLite without a change of threads for every statement.

The driver runs each step of each statement in the thread of its connection and waits for it: nine
statements are some fifty changes of threads, ten times what the statements themselves take. Hot
operations hand all their statements over at once (decision E12). Statements, types and errors
are the same. `db.hot_connections` is the same for PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Engine, StaticPool, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn

from autovibe.db.dialects.base import Dialect, json_text
from autovibe.db.encryption import KeyRingSource, attach_key_ring, attached_key_ring
from autovibe.db.prepared import SqliteDriver
from autovibe.db.session import WriteTx
from autovibe.kernel.errors import AutovibeError

T = TypeVar("T")

MethodT = TypeVar("MethodT", bound=Callable[..., Any])

_KEY: Final = "autovibe.in_place"
_HOT: Final = "_autovibe_hot"


def hot(method: MethodT) -> MethodT:
    """Mark a service method as hot: it waits for its own statements only, and adds no objects."""
    setattr(method, _HOT, True)
    return method


def is_hot(method: object) -> bool:
    """Return whether a service method is marked as hot."""
    return getattr(method, _HOT, False) is True


async def write_in_place(
    writer: AsyncEngine,
    dialect: Dialect,
    work: Callable[[WriteTx], Coroutine[Any, Any, T]],
    give_back: Callable[[Coroutine[Any, Any, None]], None],
) -> T:
    """Run work in a transaction of its own on SQLite's writing connection, in one piece.

    Args:
        writer: the engine of the one connection that writes; nobody else uses it now.
        dialect: SQLite's.
        work: waits for nothing but `execute`, `scalar`, `scalars` and `get` of the session of the
            transaction that it is given.
        give_back: sees to it that a coroutine runs to its end.

    Raises:
        BeginFailedError: the transaction could not begin; its cause says why.
        RuntimeError: the work waited for something else.
        AutovibeError: what the work raised, or the commit. Nothing was written then.
    """
    connection = await writer.raw_connection()
    driver: Any = connection.driver_connection
    kept = connection.info
    keys = attached_key_ring(writer.sync_engine.dialect)

    def run() -> T:
        place = kept.get(_KEY)
        if place is None:
            place = kept[_KEY] = _Place(driver._conn, dialect, keys)  # noqa: SLF001 - aiosqlite keeps the connection that it wraps there
        return place.run(work)

    try:
        # The one way into the connection's thread; every public method of it goes through here.
        return cast("T", await driver._execute(run))  # noqa: SLF001 - as above
    finally:
        # Giving the connection back resets it, in its thread: the caller need not wait for that.
        give_back(greenlet_spawn(connection.close))


class BeginFailedError(Exception):
    """A transaction could not begin; nothing of the work was done."""


class _Place:
    """The writing connection, as its own thread sees it."""

    def __init__(self, raw: Any, dialect: Dialect, keys: KeyRingSource | None) -> None:
        self._raw = raw
        self._dialect = dialect
        self._engine = _engine_on(raw, dialect)
        if keys is not None:
            attach_key_ring(self._engine.dialect, keys)
        self._driver = SqliteDriver(raw, self._engine.dialect, dialect)

    def run(self, work: Callable[[WriteTx], Coroutine[Any, Any, T]]) -> T:
        """Begin, work, commit."""
        try:
            self._driver.run("BEGIN IMMEDIATE", ())
        except AutovibeError as error:
            raise BeginFailedError from error
        session = _Session(self._engine, self._driver)
        try:
            result = _drive(work(WriteTx(cast("AsyncSession", session), self._dialect)))
            session.close()
            self._driver.run("COMMIT", ())
        except BaseException:
            session.close()
            if self._raw.in_transaction:
                self._driver.run("ROLLBACK", ())
            raise
        return result


def _engine_on(raw: object, dialect: Dialect) -> Engine:
    """Return an engine on an open connection, which neither commits, rolls back nor closes it."""
    engine = create_engine(
        "sqlite://",
        creator=lambda: raw,
        poolclass=StaticPool,
        pool_reset_on_return=None,
        json_serializer=json_text,
    )
    for verb in ("do_begin", "do_commit", "do_rollback", "do_close", "do_terminate"):
        setattr(engine.dialect, verb, _leave_alone)

    @event.listens_for(engine, "handle_error")
    def _typed(context: ExceptionContext) -> BaseException | None:  # pyright: ignore[reportUnusedFunction]  # called by SQLAlchemy
        return dialect.translate(context.sqlalchemy_exception or context.original_exception)

    return engine


def _leave_alone(connection: object) -> None:
    """Leave the transaction to the session that opened it."""
    del connection


def _drive(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end at once."""
    try:
        work.send(None)
    except StopIteration as ended:
        return cast("T", ended.value)
    work.close()
    raise RuntimeError("hot work may wait for its own statements only")


class _Session:
    """The part of `AsyncSession` that hot work may use, without any waiting.

    A session of SQLAlchemy's is made only when something else than a prepared statement is run.
    """

    def __init__(self, engine: Engine, driver: SqliteDriver) -> None:
        self.driver = driver
        self._engine = engine
        self._made: Session | None = None

    @property
    def _session(self) -> Session:
        if self._made is None:
            self._made = Session(self._engine)
        return self._made

    def close(self) -> None:
        if self._made is not None:
            self._made.close()

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        return self._session.execute(*args, **kwargs)

    async def scalar(self, *args: Any, **kwargs: Any) -> Any:
        return self._session.scalar(*args, **kwargs)

    async def scalars(self, *args: Any, **kwargs: Any) -> Any:
        return self._session.scalars(*args, **kwargs)

    async def get(self, *args: Any, **kwargs: Any) -> Any:
        return self._session.get(*args, **kwargs)
