"""Hot work on PostgreSQL: on asyncpg itself, on a connection that stays out while work goes on.

Taking a connection from the pool, looking whether it lives, a session, its transaction and giving
it back cost the caller more time than the statements of a batch of the ledger take. Here BEGIN
shows whether the connection lives, and the connection goes back to the pool when nothing has used
it for a moment, or at once when the pool has none to spare.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar, cast

from sqlalchemy import PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.util import greenlet_spawn

from autovibe.db.dialects.base import Dialect
from autovibe.db.metrics import is_exhausted
from autovibe.db.prepared import PostgresqlDriver
from autovibe.db.session import WriteTx

T = TypeVar("T")

_IDLE_S: Final = 0.1
# Two seconds for a lock, no more (decision D7). A table that was empty a moment ago has grown by
# the time that a plan which reads all of it is run again.
_BEGIN: Final = "BEGIN; SET LOCAL lock_timeout = '2s'; SET LOCAL enable_seqscan = off"


class NeedsSessionError(Exception):
    """Work asked for more than prepared statements; nothing of it was written.

    `at_once` says that it did so before it ran any.
    """

    at_once = False


class HotConnections:
    """The connections that hot work uses at present. Belongs to one event loop."""

    def __init__(
        self,
        engine: AsyncEngine,
        dialect: Dialect,
        give_back: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """Take connections from an engine; `give_back` sees to it that they return to its pool."""
        self._engine = engine
        self._dialect = dialect
        self._give_back = give_back
        self._kept: list[_Kept] = []

    async def run(self, work: Callable[[WriteTx], Coroutine[Any, Any, T]]) -> T:
        """Run work in a transaction of its own.

        Args:
            work: waits for prepared statements and row writes of its transaction only.

        Raises:
            NeedsSessionError: it asked for more.
            AutovibeError: what the work or the database raised. Nothing was written then, unless
                the connection was lost at the commit.
        """
        connection, driver = await self._begin()
        before = driver.fetches
        try:
            result = await work(WriteTx(cast("AsyncSession", _Session(driver)), self._dialect))
            await driver.execute("COMMIT")
        except Exception as error:
            with contextlib.suppress(Exception):
                await driver.execute("ROLLBACK")
            self._release(connection, driver)
            if isinstance(error, NeedsSessionError):
                error.at_once = driver.fetches == before
            raise
        except BaseException:
            # Cancelled in the middle of a statement: nobody knows what state it is in.
            connection.invalidate()
            self._return(connection)
            raise
        self._release(connection, driver)
        return result

    def close(self) -> None:
        """Give every connection back."""
        for kept in self._kept:
            kept.timer.cancel()
            self._return(kept.connection)
        self._kept.clear()

    async def _begin(self) -> tuple[PoolProxiedConnection, PostgresqlDriver]:
        """Return a connection with a transaction under way."""
        while self._kept:
            kept = self._kept.pop()
            kept.timer.cancel()
            try:
                await kept.driver.execute(_BEGIN)
            except Exception:  # noqa: BLE001 - whatever is wrong with it, a new one will tell
                # The server has closed it since, of which asyncpg may be just hearing; nothing
                # was done on it yet.
                kept.connection.invalidate()
                self._return(kept.connection)
            except BaseException:
                kept.connection.invalidate()
                self._return(kept.connection)
                raise
            else:
                return kept.connection, kept.driver
        connection = await self._engine.raw_connection()
        driver = PostgresqlDriver(connection.driver_connection, self._engine.dialect, self._dialect)
        try:
            await driver.execute(_BEGIN)
        except BaseException:
            connection.invalidate()
            self._return(connection)
            raise
        return connection, driver

    def _release(self, connection: PoolProxiedConnection, driver: PostgresqlDriver) -> None:
        """Keep a connection for the next batch, unless others wait for one or it is broken."""
        if driver.raw.is_closed() or driver.raw.is_in_transaction():
            connection.invalidate()
            self._return(connection)
        elif is_exhausted(self._engine.pool):
            self._return(connection)
        else:
            loop = asyncio.get_running_loop()
            kept = _Kept(connection, driver)
            kept.timer = loop.call_later(_IDLE_S, self._idle, kept)
            self._kept.append(kept)

    def _idle(self, kept: _Kept) -> None:
        self._kept.remove(kept)
        self._return(kept.connection)

    def _return(self, connection: PoolProxiedConnection) -> None:
        self._give_back(greenlet_spawn(connection.close))


class _Kept:
    """A connection between two pieces of work."""

    timer: asyncio.TimerHandle

    def __init__(self, connection: PoolProxiedConnection, driver: PostgresqlDriver) -> None:
        self.connection = connection
        self.driver = driver


class _Session:
    """In the place of an `AsyncSession`: prepared statements find their driver here."""

    info = None

    def __init__(self, driver: PostgresqlDriver) -> None:
        self.driver = driver

    def __getattr__(self, name: str) -> Any:
        raise NeedsSessionError(name)
