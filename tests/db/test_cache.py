"""The query cache itself: stamps, single flight, what trouble of a server costs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter
from valkey_server import Valkey

from autovibe.db import cache_backends
from autovibe.db.cache import PREFIX, QueryCache, Region, changed_keys, told_keys
from autovibe.db.cache_backends import FAILURES, OPEN_S, MemoryCache, RedisCache
from autovibe.v1 import projects_pb2

REGION = Region("things", ttl_s=300, tables=("cache_test",))
REQUEST = projects_pb2.ListProjectsRequest(page_size=3)


class HandClock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


class Source:
    """What is read: a value, and how often it was read."""

    def __init__(self) -> None:
        self.value = 0
        self.loads = 0
        self.gate: asyncio.Event | None = None

    async def load(self) -> projects_pb2.Project:
        self.loads += 1
        seen = self.value  # the snapshot of a transaction
        if self.gate is not None:
            await self.gate.wait()
        return projects_pb2.Project(name=str(seen))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.001)


async def nobody_else() -> list[str]:
    return []


def counters() -> tuple[Counter, Counter]:
    registry = CollectorRegistry()
    return (
        Counter("requests", "x", ("region", "result"), registry=registry),
        Counter("errors", "x", registry=registry),
    )


@pytest.fixture(scope="module")
def server():
    valkey = Valkey()
    valkey.start()
    yield valkey
    valkey.close()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy host may need longer than a cache is normally given."""
    monkeypatch.setattr(cache_backends, "TIMEOUT_S", 30)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=["memory", "valkey"])
async def backend(request, clock, server):
    """Each of the backends."""
    if request.param == "memory":
        made = MemoryCache(100, clock)
    else:
        made = RedisCache(server.url, counters()[1], clock)
    yield made
    await made.close()


@pytest.fixture
def cache(backend, clock) -> QueryCache:
    return QueryCache(backend, counters()[0], nobody_else, clock)


Ask = Callable[..., Awaitable[str]]


@pytest.fixture
def ask(cache: QueryCache, request) -> Ask:
    async def ask(source: Source, viewer: str = "", region: Region = REGION) -> str:
        # A request of its own for each test: they share the server.
        mine = projects_pb2.ListProjectsRequest(page_token=request.node.name)
        answer = await cache.answer(region, mine, viewer, source.load, projects_pb2.Project)
        return answer.name

    return ask


def count(cache: QueryCache, result: str) -> float:
    return cache._requests.labels("things", result)._value.get()


async def test_an_answer_is_kept_until_its_table_changes(cache: QueryCache, ask: Ask) -> None:
    source = Source()
    assert [await ask(source) for _ in range(3)] == ["0", "0", "0"]
    assert source.loads == 1
    source.value = 7
    await cache.replace(["cache_test/*"])
    assert [await ask(source), await ask(source)] == ["7", "7"]
    assert source.loads == 2
    assert (count(cache, "hit"), count(cache, "miss")) == (3, 2)


async def test_what_one_person_sees_is_not_shown_to_another(ask: Ask) -> None:
    source = Source()
    await ask(source, viewer="user/a")
    await ask(source, viewer="user/b")
    assert source.loads == 2


async def test_a_reader_that_began_before_a_commit_keeps_nothing(
    cache: QueryCache, ask: Ask
) -> None:
    source = Source()
    source.gate = asyncio.Event()
    reading = asyncio.create_task(ask(source))
    await until(lambda: source.loads > 0)
    source.value = 1
    await cache.replace(["cache_test/*"])
    source.gate.set()
    assert await reading == "0"  # it saw what was committed when it began
    assert await ask(source) == "1"
    assert source.loads == 2


async def test_of_many_that_ask_at_once_one_loads(cache: QueryCache, ask: Ask) -> None:
    source = Source()
    source.gate = asyncio.Event()
    reading = [asyncio.create_task(ask(source)) for _ in range(20)]
    await until(lambda: count(cache, "joined") == 19)
    source.gate.set()
    assert set(await asyncio.gather(*reading)) == {"0"}
    assert source.loads == 1


async def test_when_the_one_that_loads_is_cancelled_another_loads(
    cache: QueryCache, ask: Ask
) -> None:
    source = Source()
    source.gate = asyncio.Event()
    first = asyncio.create_task(ask(source))
    await until(lambda: source.loads > 0)
    second = asyncio.create_task(ask(source))
    await until(lambda: count(cache, "joined") > 0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    source.gate.set()
    assert await second == "0"
    assert source.loads == 2


async def test_an_error_is_not_kept(cache: QueryCache) -> None:
    async def fail() -> projects_pb2.Project:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await cache.answer(REGION, REQUEST, "error", fail, projects_pb2.Project)


async def test_an_answer_that_may_not_be_kept_is_loaded_each_time(ask: Ask) -> None:
    source = Source()
    picky = Region("picky", tables=("cache_test",), keep=lambda project: project.name != "0")
    await ask(source, region=picky)
    await ask(source, region=picky)
    assert source.loads == 2
    source.value = 1
    assert [await ask(source, region=picky) for _ in range(2)] == ["1", "1"]
    assert source.loads == 3


async def test_memory_forgets_after_the_time_to_live_and_what_was_not_used(clock) -> None:
    backend = MemoryCache(2, clock)
    await backend.put("a", b"1", 300)
    clock.at += 299
    assert await backend.get("a") == b"1"
    clock.at += 1
    assert await backend.get("a") is None
    for name in "bcb":
        await backend.put(name, name.encode(), 300)
    await backend.put("d", b"d", 300)
    assert [await backend.get(name) for name in "bcd"] == [b"b", None, b"d"]


async def test_a_shared_only_region_is_not_kept_in_memory(clock) -> None:
    memory = QueryCache(MemoryCache(9, clock), counters()[0], nobody_else, clock)
    source = Source()
    region = Region("usage", tables=("cache_test",), shared_only=True)
    for _ in range(2):
        await memory.answer(region, REQUEST, "", source.load, projects_pb2.Project)
    assert source.loads == 2


@pytest.mark.req("S0-06", "S0-115")
async def test_names_on_the_server_have_the_prefix_and_a_time_to_live(clock, server) -> None:
    backend = RedisCache(server.url, counters()[1], clock)
    cache = QueryCache(backend, counters()[0], nobody_else, clock)
    await backend._client.flushdb()
    await cache.answer(REGION, REQUEST, "", Source().load, projects_pb2.Project)
    names = [name.decode() async for name in backend._client.scan_iter("*")]
    assert len(names) == 2
    assert all(name.startswith("autovibe:query_cache:") for name in names)
    (answer,) = [name for name in names if name.startswith(f"{PREFIX}things:")]
    assert 0 < await backend._client.ttl(answer) <= 300
    await backend.close()


async def test_two_processes_share_answers_and_changes_on_a_server(clock, server) -> None:
    backends = [RedisCache(server.url, counters()[1], clock) for _ in range(2)]
    one, other = (QueryCache(each, counters()[0], nobody_else, clock) for each in backends)
    source = Source()

    async def see(cache: QueryCache) -> str:
        answer = await cache.answer(REGION, REQUEST, "2p", source.load, projects_pb2.Project)
        return answer.name

    assert [await see(one), await see(other)] == ["0", "0"]
    assert source.loads == 1
    source.value = 1
    await one.replace(["cache_test/*"])
    assert await see(other) == "1"
    for backend in backends:
        await backend.close()


async def test_a_stamp_that_the_server_evicted_is_a_miss_and_never_an_old_answer(
    clock, server
) -> None:
    backend = RedisCache(server.url, counters()[1], clock)
    cache = QueryCache(backend, counters()[0], nobody_else, clock)
    source = Source()
    await cache.answer(REGION, REQUEST, "ev", source.load, projects_pb2.Project)
    source.value = 1
    await cache.replace(["cache_test/*"])
    await backend._client.delete(f"{PREFIX}stamp:cache_test/*")
    found = await cache.answer(REGION, REQUEST, "ev", source.load, projects_pb2.Project)
    assert found.name == "1"
    await backend.close()


async def test_a_server_that_is_down_is_a_miss_and_is_soon_left_alone(clock) -> None:
    valkey = Valkey()
    valkey.start()
    errors = counters()[1]
    backend = RedisCache(valkey.url, errors, clock)
    cache = QueryCache(backend, counters()[0], nobody_else, clock)
    source = Source()

    async def see() -> str:
        answer = await cache.answer(REGION, REQUEST, "", source.load, projects_pb2.Project)
        return answer.name

    try:
        assert await see() == "0"
        valkey.stop()
        source.value = 1
        await cache.replace(["cache_test/*"])  # no error, though nobody is told
        assert [await see() for _ in range(20)] == ["1"] * 20
        assert errors._value.get() == FAILURES
        valkey.start()
        assert await see() == "1"
        assert errors._value.get() == FAILURES  # it was not even tried
        clock.at += OPEN_S
        loads = source.loads
        assert [await see() for _ in range(3)] == ["1"] * 3
        assert source.loads == loads + 1
    finally:
        await backend.close()
        valkey.close()


async def test_what_could_not_be_told_is_told_before_anything_is_read_again(
    clock, server, monkeypatch
) -> None:
    backend = RedisCache(server.url, counters()[1], clock)
    cache = QueryCache(backend, counters()[0], nobody_else, clock)
    source = Source()

    async def see() -> str:
        answer = await cache.answer(REGION, REQUEST, "lost", source.load, projects_pb2.Project)
        return answer.name

    assert await see() == "0"

    async def broken(*_names: str) -> None:
        raise OSError("cut")

    with monkeypatch.context() as cut:
        cut.setattr(backend._client, "delete", broken)
        source.value = 1
        await cache.replace(["cache_test/*"])
    assert await see() == "1"
    await backend.close()


async def test_others_are_followed_at_most_once_a_second(clock) -> None:
    told: list[list[str]] = []

    async def follow() -> list[str]:
        told.append([])
        return ["cache_test/*"] if len(told) == 2 else []

    cache = QueryCache(MemoryCache(9, clock), counters()[0], follow, clock)
    source = Source()
    for second in (0.0, 0.5, 0.5, 0.9):
        clock.at += second
        await cache.answer(REGION, REQUEST, "", source.load, projects_pb2.Project)
    assert len(told) == 2
    assert source.loads == 2


def test_only_what_somebody_asks_for_makes_keys() -> None:
    assert list(changed_keys("no_such_table", "1")) == []
    assert told_keys(["no_such_table/*"]) == []


@settings(deadline=None)
@given(st.lists(st.sampled_from(["write", "begin", "end", "read"]), max_size=40))
def test_no_reader_ever_sees_less_than_was_committed_when_it_began(steps: list[str]) -> None:
    asyncio.run(_interleave(steps))


async def _interleave(steps: list[str]) -> None:
    clock = HandClock()
    cache = QueryCache(MemoryCache(50, clock), counters()[0], nobody_else, clock)
    source = Source()
    under_way: list[tuple[int, asyncio.Event, asyncio.Task[projects_pb2.Project]]] = []

    async def check(at_least: int, reading: Awaitable[projects_pb2.Project]) -> None:
        assert int((await reading).name) >= at_least

    for step in steps:
        if step == "write":
            source.value += 1
            await cache.replace(["cache_test/*"])
        elif step == "begin":
            gate = asyncio.Event()

            async def load(gate: asyncio.Event = gate) -> projects_pb2.Project:
                seen = source.value
                await gate.wait()
                return projects_pb2.Project(name=str(seen))

            task = asyncio.create_task(
                cache.answer(REGION, REQUEST, "", load, projects_pb2.Project)
            )
            under_way.append((source.value, gate, task))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        elif step == "end" and under_way:
            at_least, gate, task = under_way.pop(0)
            gate.set()
            await check(at_least, task)
        elif step == "read" and not under_way:
            await check(
                source.value,
                cache.answer(REGION, REQUEST, "", source.load, projects_pb2.Project),
            )
    for at_least, gate, task in under_way:
        gate.set()
        await check(at_least, task)
