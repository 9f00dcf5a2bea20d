"""One 429 parks every call on a key until its quota resets; then projects take fair turns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from gateway_bench import Bench, ask, open_bench
from ledger_desk import HandClock, LedgerDesk
from limited_provider import LimitedProvider, limit_error, limited
from prometheus_client import CollectorRegistry

from autovibe.gateway import GatewayTelemetry, Limits, Upstream
from autovibe.gateway.brake import Brake, BrakeCounts, Lane, ParkedTooLongError, Visit
from autovibe.kernel.clock import SystemClock
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import plain_text

SHORT = {"retry-after-ms": "30"}
LONG = {"retry-after": "500"}
PARKING = Limits(held_wait_s=0, parked_wait_s=20, drain_s=5)


@pytest.fixture
def desk(sqlite_desk: LedgerDesk) -> LedgerDesk:
    """Give a ledger on SQLite: what is tested here does not depend on the database."""
    return sqlite_desk


@asynccontextmanager
async def parking(
    desk: LedgerDesk, provider: LimitedProvider, **more: Any
) -> AsyncGenerator[Bench, None]:
    """Serve a gateway that parks, in front of a provider with a quota."""
    more = {"limits": PARKING, "upstream": Upstream(provider.url, "key")} | more
    # The bench's own scripted provider is not asked for anything here.
    async with ModelServer(plain_text()) as unused, open_bench(desk, unused, **more) as bench:
        yield bench


async def until(condition: Any) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a queue tells nobody of those who join it
            await asyncio.sleep(0.005)


async def test_a_call_that_hits_the_limit_gets_its_answer_later_and_holds_nothing_meanwhile(
    desk: LedgerDesk,
) -> None:
    async with limited((SHORT, limit_error())) as provider, parking(desk, provider) as bench:
        status, headers, answer = await bench.send(ask())

        assert status == 200, answer
        assert provider.calls == 2
        await bench.all_settled()
        rows = await desk.rows("SELECT state FROM budget_reservations")
        assert sorted(row.state for row in rows) == ["released", "settled"]
        [(parked, upstream, _)] = bench.observer.parkings
        assert upstream == "anthropic"
        # The answer bears the id of the attempt that was paid; the checkpoint is made once.
        assert headers["request-id"] == parked.request_id
        assert len(bench.observer.arrivals) == 1
        assert [one.outcome for _, one in bench.observer.settlements] == ["released", "settled"]


@pytest.mark.parametrize(
    "headers",
    [
        LONG,
        {"anthropic-ratelimit-requests-remaining": "0"}
        | {"anthropic-ratelimit-requests-reset": "2100-01-01T00:00:00Z"},
    ],
)
async def test_a_reset_beyond_the_bound_is_passed_on_and_everybody_hears_of_it_at_once(
    desk: LedgerDesk, headers: dict[str, str]
) -> None:
    telemetry = GatewayTelemetry(SystemClock())
    async with (
        limited((headers, limit_error())) as provider,
        parking(desk, provider, telemetry=telemetry) as bench,
    ):
        first, told, _ = await bench.send(ask())
        second, also_told, answer = await bench.send(ask())

        assert (first, second) == (429, 429)
        assert int(told["retry-after"]) >= 499
        assert int(also_told["retry-after"]) >= 490
        error = json.loads(answer)
        assert error["error"]["type"] == "rate_limit_error"
        assert "anthropic" in error["error"]["message"]
        assert provider.calls == 1
        assert await bench.ledger() == (0, 0)
        [key] = telemetry.brake.parked()
        assert key.upstream == "anthropic"
        assert key.opens_in_s > 490


async def test_another_process_on_the_same_ledger_hears_of_it_before_it_asks_the_provider(
    desk: LedgerDesk,
) -> None:
    async with limited((LONG, limit_error())) as provider:
        async with parking(desk, provider, telemetry=GatewayTelemetry(SystemClock())) as bench:
            assert (await bench.send(ask()))[0] == 429
        other = GatewayTelemetry(SystemClock())
        async with parking(desk, provider, telemetry=other) as bench:
            status, told, _ = await bench.send(ask())
            assert (status, provider.calls) == (429, 1)
            assert int(told["retry-after"]) >= 490
            [key] = other.brake.parked()
            assert key.opens_in_s > 490
        # A third one comes when the quota is there again.
        desk.clock.advance(seconds=600)
        async with parking(desk, provider, telemetry=GatewayTelemetry(SystemClock())) as bench:
            assert (await bench.send(ask()))[0] == 200
            await bench.all_settled()
    states = await desk.rows("SELECT state FROM budget_reservations")
    assert sorted(row.state for row in states) == ["released", "settled"]


async def test_money_that_is_gone_is_no_quota_and_parks_nobody(desk: LedgerDesk) -> None:
    spent = limit_error() | {"error": {"code": "insufficient_quota", "message": "Pay."}}
    async with limited(({}, spent)) as provider, parking(desk, provider) as bench:
        first, _, _ = await bench.send(ask())
        second, _, _ = await bench.send(ask())

        assert (first, second) == (429, 200)


async def test_calls_that_wait_are_seen_and_a_client_that_leaves_leaves_the_queue(
    desk: LedgerDesk,
) -> None:
    registry = CollectorRegistry()
    telemetry = GatewayTelemetry(SystemClock(), registry)

    def waiting() -> float | None:
        return registry.get_sample_value("autovibe_parked_calls", {"upstream": "anthropic"})

    async with (
        limited(({"retry-after": "15"}, limit_error())) as provider,
        parking(desk, provider, telemetry=telemetry) as bench,
    ):
        calls = [asyncio.create_task(bench.send(ask()))]
        await until(lambda: waiting() == 1)
        calls += [asyncio.create_task(bench.send(ask())) for _ in range(2)]
        await until(lambda: waiting() == 3)
        [key] = telemetry.brake.parked()
        assert key.waiting == {desk.project_id: 3}
        assert provider.calls == 1
        assert await bench.ledger() == (0, 0)

        for call in calls:
            call.cancel()
        await asyncio.wait(calls)

        await until(lambda: waiting() == 0)
        assert registry.get_sample_value(
            "autovibe_provider_limits_total", {"upstream": "anthropic"}
        )
        assert await bench.ledger() == (0, 0)


async def test_a_full_queue_refuses_what_comes_next(desk: LedgerDesk) -> None:
    telemetry = GatewayTelemetry(SystemClock(), parked_calls=1)
    async with (
        limited(({"retry-after": "15"}, limit_error())) as provider,
        parking(desk, provider, telemetry=telemetry) as bench,
    ):
        first = asyncio.create_task(bench.send(ask()))
        await until(lambda: any(key.waiting for key in telemetry.brake.parked()))

        status, headers, answer = await bench.send(ask())

        assert status == 429
        assert 1 <= int(headers["retry-after"]) <= 15
        assert "1 calls wait for it" in json.loads(answer)["error"]["message"]
        first.cancel()
        await asyncio.wait({first})


async def test_a_machine_that_ends_while_its_call_is_parked_leaves_no_hold(
    desk: LedgerDesk,
) -> None:
    async with (
        limited(({"retry-after": "15"}, limit_error())) as provider,
        parking(desk, provider) as bench,
    ):
        call = asyncio.create_task(bench.send(ask()))
        await until(lambda: bench.observer.parkings)
        await bench.server.close(grace_s=0)
        await asyncio.wait({call})

        assert provider.calls == 1
        assert await bench.ledger() == (0, 0)


async def drained(
    weights: dict[str, float], each: int, clock: HandClock, *, limited_again: int = 0
) -> list[str]:
    """Park a lane, let calls of projects queue, open it; return whose turn it was when."""
    lane = Lane("a provider", clock, 1_000, BrakeCounts())
    order: list[str] = []
    lane.park(0.01)

    async def call(project: str) -> None:
        visit = Visit(lane, project, weights[project], wait_s=60)
        while True:
            await visit.enter(lambda _leave: None)
            order.append(project)
            if len(order) > limited_again or not visit.limited(0.01):
                break
            clock.advance(seconds=1)
        await asyncio.sleep(0)
        visit.answered()

    calls = [asyncio.create_task(call(name)) for name in weights for _ in range(each)]
    await until(lambda: sum(lane.waiting().values()) == len(calls))
    clock.advance(seconds=1)
    async with asyncio.timeout(10):
        await asyncio.gather(*calls)
    assert lane.free
    return order


async def test_projects_take_turns_in_proportion_to_their_greediness() -> None:
    order = await drained({"modest": 0.25, "patient": 0, "greedy": 0.5}, 6, HandClock())

    # While both have calls that wait: two of the one to one of the other, within one turn.
    contended = order[: len(order) - 1 - order[::-1].index("greedy") + 1]
    assert abs(contended.count("greedy") - 2 * contended.count("modest")) <= 2
    # Greediness 0 goes only when nobody else waits.
    assert order[-6:] == ["patient"] * 6


async def test_equal_projects_alternate_however_many_calls_one_of_them_has() -> None:
    clock = HandClock()
    lane = Lane("a provider", clock, 1_000, BrakeCounts())
    order: list[str] = []
    lane.park(0.01)

    async def call(project: str) -> None:
        visit = Visit(lane, project, 0.5, wait_s=60)
        await visit.enter(lambda _leave: None)
        order.append(project)
        visit.answered()

    calls = [asyncio.create_task(call("many")) for _ in range(20)]
    calls += [asyncio.create_task(call("few")) for _ in range(3)]
    await until(lambda: sum(lane.waiting().values()) == len(calls))
    clock.advance(seconds=1)
    async with asyncio.timeout(10):
        await asyncio.gather(*calls)

    assert [index for index, name in enumerate(order) if name == "few"][-1] <= 6


async def test_a_call_that_is_limited_once_more_keeps_its_place() -> None:
    order = await drained({"a": 0.5, "b": 0.5}, 2, HandClock(), limited_again=1)

    assert order[0] == order[1]
    assert sorted(order[1:]) == ["a", "a", "b", "b"]


async def test_the_lane_stays_shut_until_the_quota_resets() -> None:
    clock = HandClock()
    lane = Lane("a provider", clock, 10, BrakeCounts())
    lane.park(30)
    lane.park(10)

    assert lane.opens_in_s() == 30
    with pytest.raises(ParkedTooLongError) as refused:
        await Visit(lane, "p", 0.5, wait_s=29).enter(lambda _leave: None)
    assert refused.value.retry_after_s == 30


async def test_a_provider_that_names_no_time_is_left_alone_for_longer_each_time() -> None:
    clock = HandClock()
    lane = Lane("a provider", clock, 10, BrakeCounts())
    pauses: list[float] = []
    for _ in range(7):
        lane.park(None)
        lane.park(None)
        pauses.append(lane.opens_in_s())
        clock.advance(seconds=pauses[-1])

    assert pauses == [2, 4, 8, 16, 32, 60, 60]


def test_one_lane_serves_all_that_use_a_key_and_no_other() -> None:
    brake = Brake(HandClock())

    lane = brake.lane(Upstream("http://a", "k"), "a")

    assert brake.lane(Upstream("http://a", "k"), "a") is lane
    assert brake.lane(Upstream("http://a", "other"), "a") is not lane
    assert brake.lane(Upstream("http://b", "k"), "b") is not lane
    assert brake.parked() == []
