"""Hot work on SQLite without a change of threads for every statement.

The driver runs each step of each statement in the thread of its connection and waits for it: nine
statements are some fifty changes of threads, ten times what the statements themselves take. Hot
operations hand all their statements over at once (decision E12). Statements, types and errors
are the same; on PostgreSQL nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from autovibe.db.dialects.base import Dialect, json_text
from autovibe.db.session import WriteTx

T = TypeVar("T")

_KEY: Final = "autovibe.in_place"


async def run_in_place(tx: WriteTx, work: Callable[[WriteTx], Coroutine[Any, Any, T]]) -> T:
    """Run work that waits for nothing but its own statements, in the transaction given.

    Args:
        tx: a transaction; nothing that was added to its session may be waiting for a flush.
        work: takes the transaction to use. Only `execute`, `scalar`, `scalars` and `get` of its
            session may be called.

    Raises:
        RuntimeError: the work waited for something else.
        AutovibeError: what the work raised.
    """
    if tx.dialect.name != "sqlite":
        return await work(tx)
    connection = await tx.session.connection()
    driver: Any = (await connection.get_raw_connection()).driver_connection
    kept = cast("Connection", connection.sync_connection).info

    def run() -> T:
        engine = kept.get(_KEY)
        if engine is None:
            engine = kept[_KEY] = _engine_on(driver._conn, tx.dialect)  # noqa: SLF001 - aiosqlite keeps the connection that it wraps there
        with engine.connect() as place, Session(place) as session:
            hot = WriteTx(cast("AsyncSession", _Session(session)), tx.dialect)
            return _drive(work(hot))

    # The one way into the thread of the connection; every public method of it goes through here.
    return cast("T", await driver._execute(run))  # noqa: SLF001 - as above


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
        return dialect.translate(context.original_exception)

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
    """The part of `AsyncSession` that hot work may use, without any waiting."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        return self._session.execute(*args, **kwargs)

    async def scalar(self, *args: Any, **kwargs: Any) -> Any:
        return self._session.scalar(*args, **kwargs)

    async def scalars(self, *args: Any, **kwargs: Any) -> Any:
        return self._session.scalars(*args, **kwargs)

    async def get(self, *args: Any, **kwargs: Any) -> Any:
        return self._session.get(*args, **kwargs)
