"""Opening a database, and its transactions."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Final, TypeVar

from sqlalchemy import event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from autovibe.db.bells import BELL_CHANNEL, Bells
from autovibe.db.cache import TOPIC, QueryCache, told_keys
from autovibe.db.cache_backends import make_backend
from autovibe.db.cache_outbox import StaleKeys
from autovibe.db.dialects import Dialect, dialect_for
from autovibe.db.encryption import KeyRingSource, attach_key_ring
from autovibe.db.errors import DatabaseBusyError, DatabaseUrlError
from autovibe.db.hot_connections import HotConnections, NeedsSessionError
from autovibe.db.in_place import BeginFailedError, write_in_place
from autovibe.db.metrics import DatabaseMetrics, is_exhausted
from autovibe.db.records import OutboxEvent
from autovibe.db.session import ReadTx, WriteTx, new_session
from autovibe.db.slow_queries import QueryWatch
from autovibe.kernel.clock import Clock, SystemClock
from autovibe.kernel.database_settings import CacheSettings, DatabaseSettings
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.settings import Settings

T = TypeVar("T")

_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
_BUSY_TRIES: Final = 4
_BUSY_PAUSE_S: Final = 0.05


class Database:
    """One database, opened. Nothing is connected before the first transaction.

    Belongs to one event loop. Services never commit: `write()` does, when its block ends without an
    error. Every error of the driver arrives as an `AutovibeError` (see `db.errors`).
    """

    def __init__(
        self,
        url: URL,
        dialect: Dialect,
        clock: Clock,
        *,
        settings: DatabaseSettings,
        cache: CacheSettings,
        keys: KeyRingSource,
    ) -> None:
        """Make the engines; `open_database` is the way in."""
        self.url = url
        self.dialect = dialect
        self.clock = clock
        self.keys = keys
        self.metrics = DatabaseMetrics()
        self.bells = Bells()
        self._reader, self._writer = dialect.engines(url, settings)
        self._watch = QueryWatch(
            dialect, self._reader, self.metrics, clock.monotonic, settings.slow_query_s
        )
        engines = {"read": self._reader, "write": self._writer}
        if self._reader.pool is self._writer.pool:
            del engines["read"]  # made from the other, with its events
        for engine in engines.values():
            self._watch.attach(engine)
            event.listen(engine.sync_engine, "handle_error", self._typed_error)
            attach_key_ring(engine.sync_engine.dialect, keys)
        self.metrics.watch_pools({name: engine.pool for name, engine in engines.items()})
        backend = make_backend(cache, self.metrics.cache_errors, clock.monotonic)
        self._outbox = StaleKeys()
        self.cache = QueryCache(
            backend, self.metrics.cache_requests, self._read_outbox, clock.monotonic
        )
        # SQLite has one writer: waiting here is fair and wakes at once, its own lock polls.
        self._write_lock = asyncio.Lock() if dialect.name == "sqlite" else None
        self._holder: asyncio.Task[object] | None = None
        self._returning: set[asyncio.Task[None]] = set()
        self._not_hot: set[object] = set()
        self._hot = HotConnections(self._writer, dialect, self._give_back)
        self._jitter = random.Random(os.getpid())  # noqa: S311 - spreads retries, guards nothing

    @property
    def engine(self) -> AsyncEngine:
        """The engine that may write."""
        return self._writer

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncGenerator[ReadTx, None]:
        """Open a transaction that sees one snapshot and may not write.

        Raises:
            DatabaseUnavailableError: the server cannot be reached.
            DatabaseOpenError: the database may not be opened.
            DatabaseBusyError: no connection was free in time.
        """
        async with await self._begin(self._reader) as session:
            yield ReadTx(session, self.dialect)

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncGenerator[WriteTx, None]:
        """Open a transaction that commits when the block ends, and rolls back on an error.

        Raises:
            DatabaseUnavailableError: the server cannot be reached.
            DatabaseOpenError: the database may not be opened.
            DatabaseReadOnlyError: it takes no writes.
            DatabaseFullError: its disk is full.
            DatabaseBusyError: a lock or a connection was not free in time.
            RuntimeError: this task has a write transaction open already (SQLite would wait for
                itself for ever).
        """
        async with self._one_writer(), await self._begin(self._writer) as session:
            tx = WriteTx(session, self.dialect)
            yield tx
            await self._tell_others(tx)
            for topic in tx.rings:
                await self.dialect.notify(session, BELL_CHANNEL, topic)
            await session.commit()
            self.bells.ring(tx.rings)
            await self.cache.replace(tx.stale_keys)

    async def write_in_place(self, work: Callable[[WriteTx], Coroutine[Any, Any, T]]) -> T:
        """Run hot work in a write transaction of its own, past SQLAlchemy (decision E12).

        On SQLite it runs in one piece. On PostgreSQL, work that needs more than prepared statements
        is run again in an ordinary transaction.

        Args:
            work: waits for nothing but statements of the transaction that it is given, adds nothing
                to its session, and emits and audits nothing.

        Raises:
            AutovibeError: as `write()`, and what the work raised. Nothing was written then.
        """
        if self.dialect.name != "sqlite":
            return await self._write_hot(work)
        try:
            return await self._write_in_one_piece(work)
        except NeedsSessionError:
            async with self.write() as tx:
                return await work(tx)

    async def _write_in_one_piece(self, work: Callable[[WriteTx], Coroutine[Any, Any, T]]) -> T:
        stale: set[str] = set()

        async def noted(tx: WriteTx) -> T:
            result = await work(tx)
            stale.update(tx.stale_keys)
            return result

        async with self._one_writer():
            for tries_left in reversed(range(_BUSY_TRIES)):
                try:
                    result = await write_in_place(
                        self._writer, self.dialect, noted, self._give_back
                    )
                except BeginFailedError as error:
                    cause = error.__cause__
                    if not tries_left or not isinstance(cause, DatabaseBusyError):
                        raise cause or error from None
                else:
                    await self.cache.replace(stale)
                    return result
                await asyncio.sleep(_BUSY_PAUSE_S * (1 + self._jitter.random()))
        raise AssertionError("unreachable: the last try raises")

    async def _write_hot(self, work: Callable[[WriteTx], Coroutine[Any, Any, T]]) -> T:
        stale: set[str] = set()

        async def noted(tx: WriteTx) -> T:
            result = await work(tx)
            stale.update(tx.stale_keys)
            if told_keys(stale):
                raise NeedsSessionError("other processes are told by a row of the outbox")
            return result

        code = getattr(work, "__code__", None)
        if code not in self._not_hot:
            try:
                result = await self._hot.run(noted)
            except NeedsSessionError as error:
                if error.at_once:
                    self._not_hot.add(code)
            else:
                await self.cache.replace(stale)
                return result
        async with self.write() as tx:
            return await work(tx)

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncGenerator[AsyncConnection, None]:
        """Open a connection for looking at the database as a whole; errors are typed.

        Raises:
            AutovibeError: as `read()`.
        """
        async with self._typed(), self._reader.connect() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def begin_upgrade(self) -> AsyncGenerator[AsyncConnection, None]:
        """Open a transaction that alone may change the schema, and that does not wait long.

        Raises:
            DatabaseBusyError: others held its tables too long.
            AutovibeError: as `write()`.
        """
        async with self._typed(), self._writer.begin() as connection:
            await self.dialect.lock_for_upgrade(connection)
            yield connection

    async def close(self) -> None:
        """Close all connections."""
        self._hot.close()
        if self._returning:
            await asyncio.wait(self._returning)
        await self._watch.close()
        await self.cache.close()
        await self._reader.dispose()
        await self._writer.dispose()

    async def _tell_others(self, tx: WriteTx) -> None:
        """Write what became stale to the outbox, in the transaction that made it so."""
        await tx.session.flush()
        keys = told_keys(tx.stale_keys)
        if keys:
            now = self.clock.now()
            tx.session.add(OutboxEvent(topic=TOPIC, payload={"keys": keys}, relayed_at=now))

    async def _read_outbox(self) -> set[str]:
        async with self.read() as tx:
            return await self._outbox.read(tx)

    def _give_back(self, work: Coroutine[Any, Any, None]) -> None:
        """Give a connection back while the caller goes on; the next one waits in the pool."""
        task = asyncio.create_task(work)
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)

    @contextlib.asynccontextmanager
    async def _one_writer(self) -> AsyncGenerator[None, None]:
        if self._write_lock is None:
            yield
            return
        task = asyncio.current_task()
        if self._holder is not None and self._holder is task:
            raise RuntimeError("a write transaction was opened inside another one")
        async with self._write_lock:
            self._holder = task
            try:
                yield
            finally:
                self._holder = None

    async def _begin(self, engine: AsyncEngine) -> AsyncSession:
        """Return a session with a transaction under way; wait, with jitter, while it is busy."""
        for tries_left in reversed(range(_BUSY_TRIES)):
            session = new_session(engine, self.clock)
            try:
                await self._connect(engine, session)
            except DatabaseBusyError:
                await session.close()
                if not tries_left:
                    raise
            except AutovibeError:
                await session.close()
                raise
            except Exception as error:
                # While connecting, some errors come before SQLAlchemy would report them.
                await session.close()
                typed = self.dialect.translate(error)
                if typed is None:
                    raise
                raise typed from error
            except BaseException:
                await session.close()
                raise
            else:
                return session
            await asyncio.sleep(_BUSY_PAUSE_S * (1 + self._jitter.random()))
        raise AssertionError("unreachable: the last try raises")

    @contextlib.asynccontextmanager
    async def _typed(self) -> AsyncGenerator[None, None]:
        """Translate what a driver raises before SQLAlchemy reports it."""
        try:
            yield
        except AutovibeError:
            raise
        except Exception as error:
            typed = self.dialect.translate(error)
            if typed is None:
                raise
            raise typed from error

    async def _connect(self, engine: AsyncEngine, session: AsyncSession) -> None:
        """Take a connection and begin; count it when it has to wait for one."""
        pool = engine.pool
        if not is_exhausted(pool):
            await session.connection()
            return
        name = "read" if pool is not self._writer.pool else "write"
        self.metrics.pool_waits.labels(name).inc()
        began = self.clock.monotonic()
        try:
            await session.connection()
        except PoolTimeoutError:
            self.metrics.pool_timeouts.labels(name).inc()
            raise
        finally:
            self.metrics.pool_wait_seconds.labels(name).observe(self.clock.monotonic() - began)

    def _typed_error(self, context: ExceptionContext) -> BaseException | None:
        typed = self.dialect.translate(context.sqlalchemy_exception or context.original_exception)
        if typed is not None:
            self.metrics.query_errors.labels(typed.reason).inc()
        return typed


def database_url(url: str) -> URL:
    """Parse `AUTOVIBE_DATABASE_URL` and name its async driver (decision A8).

    Raises:
        DatabaseUrlError: malformed, or another backend than SQLite and PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise DatabaseUrlError(
            "The database URL is malformed; write sqlite:////path/to/file or "
            "postgresql://user:password@host/database."
        ) from None
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise DatabaseUrlError(
            f"autovibe has no database backend {parsed.drivername!r}; use sqlite:// or "
            "postgresql://.",
            drivername=parsed.drivername,
        )
    return parsed.set(drivername=driver)


def open_database(
    url: str,
    *,
    clock: Clock | None = None,
    settings: DatabaseSettings | None = None,
    cache: CacheSettings | None = None,
    keys: KeyRingSource | None = None,
) -> Database:
    """Return the database that an `AUTOVIBE_DATABASE_URL` names; nothing is connected yet.

    Args:
        url: an SQLAlchemy URL; `sqlite:///` and `postgresql://` get their async drivers.
        clock: gives `created_at`, `updated_at` and the like; default the system's.
        settings: of the engine; default those of `DatabaseSettings`.
        cache: where answers of reads are kept; default nowhere.
        keys: the ring of secret columns; without one they cannot be used.

    Raises:
        DatabaseUrlError: malformed, another backend, or SQLite in memory.
        TlsSettingsError: certificates cannot be read, or TLS is demanded and not configured.
    """
    parsed = database_url(url)
    return Database(
        parsed,
        dialect_for(parsed.get_backend_name()),
        clock or SystemClock(),
        settings=settings or DatabaseSettings(),
        cache=cache or CacheSettings(url="off"),
        keys=keys or KeyRingSource(None),
    )


def open_configured(settings: Settings, *, clock: Clock | None = None) -> Database:
    """Return the database of the settings, with its cache and its key ring.

    Raises:
        DatabaseUrlError: as `open_database`.
        TlsSettingsError: as `open_database`.
    """
    return open_database(
        settings.database_url,
        clock=clock,
        settings=settings.database,
        cache=settings.cache,
        keys=KeyRingSource(settings.keys_file, settings.keys),
    )
