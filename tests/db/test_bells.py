from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest
from sqlalchemy import text
from valkey_server import Valkey

from autovibe.db import Database, open_database
from autovibe.db.bell_redis import redis_bells
from autovibe.db.bells import Bells
from autovibe.db.listening import hearing_bells

TOPIC = "queue:default"


async def _rung(bells: Bells, seen: int) -> int:
    count = await bells.wait((TOPIC,), seen, 30)
    assert count != seen, "no bell came"
    return count


async def test_a_bell_wakes_those_who_wait_for_its_topic_and_no_others():
    bells = Bells()
    assert await bells.wait((TOPIC,), 0, 0) == 0
    waiting = [asyncio.create_task(bells.wait((TOPIC, "else"), 0, 30)) for _ in range(3)]
    other = asyncio.create_task(bells.wait(("worker:1",), 0, 30))
    await asyncio.sleep(0)
    bells.ring({TOPIC: []})
    assert await asyncio.gather(*waiting) == [1, 1, 1]
    assert not other.done()
    bells.hear_all()
    assert await other == 1
    assert bells.count((TOPIC,)) == 2


async def test_a_bell_rings_after_the_commit_only(database_url: str):
    database = open_database(database_url)
    seen = database.bells.count((TOPIC,))
    with pytest.raises(RuntimeError, match="no"):
        await _ring_and_fail(database)
    assert database.bells.count((TOPIC,)) == seen
    async with database.write() as tx:
        tx.ring(TOPIC, "1")
        tx.ring(TOPIC, "2")
        assert database.bells.count((TOPIC,)) == seen
    assert database.bells.count((TOPIC,)) == seen + 1
    await database.close()


async def _ring_and_fail(database: Database) -> None:
    async with database.write() as tx:
        tx.ring(TOPIC)
        raise RuntimeError("no")


async def test_another_process_hears_it_again_after_its_connection_was_lost(databases):
    url = await databases.postgresql()
    here, there = open_database(url), open_database(url)
    async with hearing_bells(there):
        seen = await _rung(there.bells, 0)  # it listens now, and may have missed something
        async with here.write() as tx:
            tx.ring(TOPIC)
        seen = await _rung(there.bells, seen)
        async with here.write() as tx:
            ended = await tx.session.scalar(
                text(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                )
            )
        assert ended == 1
        seen = await _rung(there.bells, seen)  # mended, and whoever waits looks
        async with here.write() as tx:
            tx.ring(TOPIC)
        await _rung(there.bells, seen)
    await here.close()
    await there.close()


@pytest.fixture
def valkey() -> Generator[Valkey]:
    server = Valkey()
    server.start()
    yield server
    server.close()


async def test_every_process_hears_the_bell_of_any_queue_and_of_its_workers(valkey: Valkey):
    here, listeners = Bells(), [Bells(), Bells()]
    async with (
        redis_bells(valkey.url, here, ()),
        redis_bells(valkey.url, listeners[0], ("default",)),
        redis_bells(valkey.url, listeners[1], ("default",)),
    ):
        for topic in ("queue:night", "worker:1", TOPIC):
            waiting = [
                asyncio.create_task(_heard(bells, topic, bells.count((topic,))))
                for bells in listeners
            ]
            while not all(task.done() for task in waiting):
                here.ring({topic: ["an id"]})  # again: they may not listen yet
                await asyncio.sleep(0.02)


async def _heard(bells: Bells, topic: str, seen: int) -> None:
    """Wait until this very bell has rung; what rings for everybody does not count."""
    everybody = bells.count(())
    while bells.count((topic,)) - bells.count(()) == seen - everybody:
        seen, everybody = bells.count((topic,)), bells.count(())
        await bells.wait((topic,), seen, 30)


async def test_a_list_of_the_queues_name_carries_the_bell_through_a_restart(valkey: Valkey):
    here, there = Bells(), Bells()
    async with redis_bells(valkey.url, here, ()), redis_bells(valkey.url, there, ("default",)):
        here.ring({TOPIC: ["an order"], "worker:1": []})
        seen = await _rung(there, 0)
        valkey.stop()
        seen = await _rung(there, seen)  # nobody knows what was missed
        valkey.start()
        while there.count((TOPIC,)) < seen + 2:  # one may be for the connection alone
            here.ring({TOPIC: ["another"]})
            await asyncio.sleep(0.05)
