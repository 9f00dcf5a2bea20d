"""Where the query cache keeps answers: nowhere, in memory, or in Redis or Valkey.

dogpile.cache was looked at and not taken: its regions are synchronous (its lock and its Redis
backend block the event loop), and it knows no version of what an answer depends on.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Final, TypeVar

from prometheus_client import Counter
from redis import asyncio as redis
from redis.exceptions import RedisError

from autovibe.db.cache import STAMP_TTL_S, Backend, new_stamp, stamp_name
from autovibe.kernel.database_settings import CacheSettings

_logger = logging.getLogger(__name__)

T = TypeVar("T")

TIMEOUT_S: Final = 0.25
"""Of a call to the server: a database answers faster than a cache in trouble."""
FAILURES: Final = 3
"""After so many failures in a row the server is left alone."""
OPEN_S: Final = 5.0
"""For so long; then one call tries."""
_MOST_LOST: Final = 10_000


class NoCache:
    """Keeps nothing."""

    shared: bool = False

    async def stamps(self, keys: Sequence[str]) -> Sequence[str] | None:
        """Return None."""
        del keys

    async def get(self, name: str) -> bytes | None:
        """Return None."""
        del name

    async def put(self, name: str, value: bytes, ttl_s: int) -> None:
        """Do nothing."""

    async def replace_stamps(self, keys: Collection[str]) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


class MemoryCache:
    """A cache in this process; what was not used for longest goes first."""

    shared: bool = False

    def __init__(self, max_entries: int, monotonic: Callable[[], float]) -> None:
        """Args: how many answers and stamps at most, and the clock of their lives."""
        self._max_entries = max_entries
        self._monotonic = monotonic
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    async def stamps(self, keys: Sequence[str]) -> Sequence[str]:
        """Return the stamp of each key."""
        found: list[str] = []
        for key in keys:
            name = stamp_name(key)
            kept = await self.get(name)
            if kept is None:
                kept = new_stamp().encode()
                await self.put(name, kept, STAMP_TTL_S)
            found.append(kept.decode())
        return found

    async def get(self, name: str) -> bytes | None:
        """Return what is kept under a name."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        if entry[0] <= self._monotonic():
            del self._entries[name]
            return None
        self._entries.move_to_end(name)
        return entry[1]

    async def put(self, name: str, value: bytes, ttl_s: int) -> None:
        """Keep a value for a time."""
        self._entries[name] = (self._monotonic() + ttl_s, value)
        self._entries.move_to_end(name)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    async def replace_stamps(self, keys: Collection[str]) -> None:
        """Give keys new stamps: the next one to ask makes them."""
        for key in keys:
            self._entries.pop(stamp_name(key), None)

    async def close(self) -> None:
        """Forget everything."""
        self._entries.clear()


class RedisCache:
    """A cache that processes share. Trouble is a miss; a server in trouble is left alone a while.

    Keys that could not be told to the server are told before the next answer is taken from it.
    """

    shared: bool = True

    def __init__(self, url: str, errors: Counter, monotonic: Callable[[], float]) -> None:
        """Args: a URL of Redis or Valkey, what counts failures, and the clock of the pause."""
        self._client: Any = redis.Redis.from_url(  # pyright: ignore[reportUnknownMemberType]  # its options have no types
            url.replace("valkey://", "redis://", 1).replace("valkeys://", "rediss://", 1),
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=None,
            protocol=2,
        )
        self._errors = errors
        self._monotonic = monotonic
        self._failures = 0
        self._open_until = 0.0
        self._lost: set[str] = set()
        self._all_lost = False

    async def stamps(self, keys: Sequence[str]) -> Sequence[str] | None:
        """Return the stamp of each key, made where there was none."""

        async def ask() -> Sequence[str]:
            await self._tell_lost()
            names = [stamp_name(key) for key in keys]
            found = list(await self._client.mget(names)) if names else []
            for at, name in enumerate(names):
                if found[at] is None:
                    # Of two that make it at once, both take the one that was first.
                    await self._client.set(name, new_stamp(), nx=True, ex=STAMP_TTL_S)
                    found[at] = await self._client.get(name)
                    if found[at] is None:
                        raise RedisError("a stamp vanished")
            return [stamp.decode() for stamp in found]

        return await self._try(ask)

    async def get(self, name: str) -> bytes | None:
        """Return what is kept under a name."""
        return await self._try(lambda: self._client.get(name))

    async def put(self, name: str, value: bytes, ttl_s: int) -> None:
        """Keep a value for a time."""
        await self._try(lambda: self._client.set(name, value, ex=ttl_s))

    async def replace_stamps(self, keys: Collection[str]) -> None:
        """Give keys new stamps, now or before anything is read again."""
        if len(self._lost) < _MOST_LOST:
            self._lost.update(keys)
        else:
            self._all_lost = True

        await self._try(self._tell_lost)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _tell_lost(self) -> None:
        if self._all_lost:
            async for name in self._client.scan_iter(f"{stamp_name('')}*"):
                await self._client.delete(name)
            self._all_lost = False
        if self._lost:
            told = set(self._lost)
            await self._client.delete(*(stamp_name(key) for key in told))
            self._lost -= told

    async def _try(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """Call the server unless it is left alone; a failure is None."""
        if self._failures >= FAILURES:
            if self._monotonic() < self._open_until:
                return None
            self._open_until = self._monotonic() + OPEN_S  # the others wait for this one
        try:
            answer = await call()
        except (RedisError, OSError, TimeoutError) as error:
            self._failures += 1
            self._errors.inc()
            if self._failures >= FAILURES:
                self._open_until = self._monotonic() + OPEN_S
            if self._failures == FAILURES:
                _logger.warning("the query cache's server fails (%s); going on without", error)
            return None
        self._failures = 0
        return answer


def make_backend(
    settings: CacheSettings, errors: Counter, monotonic: Callable[[], float]
) -> Backend:
    """Return the backend that the settings name; nothing is connected yet."""
    if settings.url == "off":
        return NoCache()
    if settings.url == "memory":
        return MemoryCache(settings.max_entries, monotonic)
    return RedisCache(settings.url, errors, monotonic)
