"""Listening to what the database tells (LISTEN of PostgreSQL), through broken connections too."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from autovibe.db.bells import BELL_CHANNEL
from autovibe.db.engine import Database
from autovibe.kernel.errors import AutovibeError

_logger = logging.getLogger(__name__)

_PROBE_S: Final = 15.0
"""How often a connection is asked whether it lives: one that is half open says nothing."""
_PROBE_WAIT_S: Final = 5.0
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 10.0


@contextlib.asynccontextmanager
async def listening(database: Database, channel: str) -> AsyncGenerator[asyncio.Event]:
    """Give an event that is set whenever something is notified; whoever waits clears it.

    On SQLite nobody sets it: wait with a timeout, and look.
    """
    rung = asyncio.Event()
    async with listened(database, channel, lambda _payload: rung.set(), rung.set):
        yield rung


@contextlib.asynccontextmanager
async def hearing_bells(database: Database) -> AsyncGenerator[None]:
    """Ring the bells of this process for what others committed, until the block ends."""
    bells = database.bells
    async with listened(
        database, BELL_CHANNEL, lambda payload: bells.hear((payload,)), bells.hear_all
    ):
        yield


@contextlib.asynccontextmanager
async def listened(
    database: Database,
    channel: str,
    hear: Callable[[str], None],
    may_have_missed: Callable[[], None],
) -> AsyncGenerator[None]:
    """Hear every notification of a channel until the block ends; on SQLite there are none.

    A lost connection is replaced by a new one, after growing pauses while there is none.

    Args:
        database: whose channel it is.
        channel: its name.
        hear: gets the payload of each.
        may_have_missed: called after a time in which nobody listened.
    """
    if database.dialect.name != "postgresql":
        yield
        return
    task = asyncio.create_task(
        _keep_listening(database, channel, hear, may_have_missed), name=f"listen-{channel}"
    )
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _keep_listening(
    database: Database,
    channel: str,
    hear: Callable[[str], None],
    may_have_missed: Callable[[], None],
) -> None:
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            async with _connection(database, channel, hear) as lost:
                may_have_missed()
                pause_s = _FIRST_PAUSE_S
                await lost.wait()
            _logger.warning("the connection that listens to %s was lost", channel)
        except (AutovibeError, OSError) as error:
            _logger.warning("nobody listens to %s: %s", channel, error)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


@contextlib.asynccontextmanager
async def _connection(
    database: Database, channel: str, hear: Callable[[str], None]
) -> AsyncGenerator[asyncio.Event]:
    """Keep one connection of the pool listening; give an event that is set when it is lost."""
    lost = asyncio.Event()

    def take(_connection: object, _pid: int, _channel: str, payload: str) -> None:
        hear(payload)

    def end(*_connection: object) -> None:
        lost.set()

    async with database.engine.connect() as connection:
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        driver.add_termination_listener(end)
        await driver.add_listener(channel, take)
        probing = asyncio.create_task(_probe(driver, lost), name="listen-probe")
        try:
            yield lost
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)
            driver.remove_termination_listener(end)
            if driver.is_closed():
                await connection.invalidate()
            else:
                await driver.remove_listener(channel, take)


async def _probe(driver: Any, lost: asyncio.Event) -> None:
    while True:
        await asyncio.sleep(_PROBE_S)
        try:
            await driver.fetchval("SELECT 1", timeout=_PROBE_WAIT_S)
        except Exception as error:  # noqa: BLE001 - whatever it says, this connection is no good
            _logger.warning("the listening connection does not answer: %s", error)
            driver.terminate()
            lost.set()
            return
