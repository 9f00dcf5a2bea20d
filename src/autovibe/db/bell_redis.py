"""Bells through Redis or Valkey: each queue is a list of its own name, with the ids of its orders.

Whoever rings pushes after the commit, and says on a channel for what it rang: every process that
listens there hears it, whatever queue it is of, and what is wanted of single workers too. The
database alone says what there is to do. One process takes the ids from a list; a list is cut at
10,000 ids: it wakes, it does not keep.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final

from redis import asyncio as redis
from redis.exceptions import RedisError

from autovibe.db.bells import Bells

_logger = logging.getLogger(__name__)

PREFIX: Final = "queue:"
CHANNEL: Final = "autovibe_bell"
_LONGEST: Final = 10_000
_MOST_QUEUES: Final = 1_000
_POP_S: Final = 5
_TIMEOUT_S: Final = 10.0
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 10.0


@contextlib.asynccontextmanager
async def redis_bells(url: str, bells: Bells, queue_names: Sequence[str]) -> AsyncGenerator[None]:
    """Carry bells to the other processes of an instance, until the block ends.

    A lost connection is made anew, and everybody looks for itself then.

    Args:
        url: of the instance.
        bells: of this process.
        queue_names: whose lists this process empties, beside those of the queues that it hears of.
    """
    client: Any = redis.Redis.from_url(  # pyright: ignore[reportUnknownMemberType]  # its options have no types
        url.replace("valkey://", "redis://", 1).replace("valkeys://", "rediss://", 1),
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        retry=None,
        protocol=2,
    )
    outgoing: asyncio.Queue[tuple[str, list[str]]] = asyncio.Queue()

    def carry(rings: Mapping[str, Sequence[str]]) -> None:
        for topic, items in rings.items():
            outgoing.put_nowait((topic, list(items) or [""]))

    end_carrying = bells.carry(carry)
    tasks = [asyncio.create_task(_push(client, outgoing), name="bell-push")]
    if queue_names:
        names = set(queue_names)
        tasks += [
            asyncio.create_task(_pop(client, bells, names), name="bell-pop"),
            asyncio.create_task(_hear(client, bells, names), name="bell-hear"),
        ]
    try:
        yield
    finally:
        end_carrying()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await client.aclose()


async def _push(client: Any, outgoing: asyncio.Queue[tuple[str, list[str]]]) -> None:
    while True:
        topic, items = await outgoing.get()
        try:
            async with client.pipeline(transaction=True) as steps:
                if topic.startswith(PREFIX):
                    name = topic.removeprefix(PREFIX)
                    steps.lpush(name, *items[:_LONGEST])
                    steps.ltrim(name, 0, _LONGEST - 1)
                steps.publish(CHANNEL, topic)
                await steps.execute()
        except (RedisError, OSError) as error:
            # The orders are committed: whoever waits finds them when its time is up.
            _logger.warning("the bell %s was not carried: %s", topic, error)


async def _hear(client: Any, bells: Bells, queue_names: set[str]) -> None:
    """Hear what any process rings for."""
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            async with client.pubsub(ignore_subscribe_messages=True) as channel:
                await channel.subscribe(CHANNEL)
                bells.hear_all()  # it may have rung before
                while True:
                    message = await channel.get_message(timeout=_POP_S)
                    pause_s = _FIRST_PAUSE_S
                    if message is not None:
                        data = message["data"]
                        topic = data.decode(errors="replace") if isinstance(data, bytes) else data
                        if topic.startswith(PREFIX) and len(queue_names) < _MOST_QUEUES:
                            queue_names.add(topic.removeprefix(PREFIX))
                        bells.hear((topic,))
        except (RedisError, OSError):  # `_pop` tells of it
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def _pop(client: Any, bells: Bells, queue_names: set[str]) -> None:
    pause_s = _FIRST_PAUSE_S
    checked = False
    while True:
        try:
            if not checked:
                await _refuse_eviction(client)
                checked = True
            popped = await client.brpop(sorted(queue_names), timeout=_POP_S)
            pause_s = _FIRST_PAUSE_S
        except (RedisError, OSError) as error:
            _logger.warning("no bell comes from Redis: %s", error)
            checked = False
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            bells.hear_all()
            continue
        if popped is not None:
            name = popped[0].decode() if isinstance(popped[0], bytes) else str(popped[0])
            bells.hear((PREFIX + name,))


async def _refuse_eviction(client: Any) -> None:
    """Say so when the instance may drop lists: bells would be lost without a trace."""
    try:
        told = await client.config_get("maxmemory-policy")
    except RedisError:
        return  # a managed instance does not say
    policy = next(iter(told.values()), "noeviction")
    if policy != "noeviction":
        _logger.warning("Redis may evict bells (%s); set maxmemory-policy noeviction.", policy)
