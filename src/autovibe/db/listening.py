"""A doorbell: what tells that there is work, where the database can (LISTEN of PostgreSQL)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import Any

from autovibe.db.engine import Database
from autovibe.kernel.errors import AutovibeError

_logger = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def listening(database: Database, channel: str) -> AsyncGenerator[asyncio.Event]:
    """Give an event that is set whenever something is notified; whoever waits clears it.

    On SQLite, and when the connection is lost, nobody sets it: wait with a timeout, and look.
    """
    rung = asyncio.Event()
    if database.dialect.name != "postgresql":
        yield rung
        return
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(_listener(database, channel, rung))
        except AutovibeError as error:
            _logger.warning("nobody rings for %s: %s", channel, error)
        yield rung


@contextlib.asynccontextmanager
async def _listener(database: Database, channel: str, rung: asyncio.Event) -> AsyncGenerator[None]:
    """Keep one connection of the pool listening."""

    def ring(*_notification: object) -> None:
        rung.set()

    async with database.engine.connect() as connection:
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        await driver.add_listener(channel, ring)
        try:
            yield
        finally:
            if not driver.is_closed():
                await driver.remove_listener(channel, ring)
