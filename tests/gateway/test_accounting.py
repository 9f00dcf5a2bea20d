"""The ledger equals the provider's bill, whatever happens to the answer."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from gateway_bench import Bench, ask, bill_usd, cad, open_bench
from ledger_desk import LedgerDesk

from autovibe.gateway import Ledger, Limits, Upstream
from autovibe.kernel.clock import SystemClock
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import Fault, Script, Text, Turn, Usage
from autovibe.v1 import metering_pb2

USAGE = Usage(
    input_tokens=1200,
    output_tokens=400,
    cache_creation_input_tokens=300,
    cache_creation_1h_input_tokens=50,
    cache_read_input_tokens=2000,
)
TEXT = "An answer that comes in several pieces, so that it can break off in the middle of it."


def script(fault: Fault | None = None, usage: Usage = USAGE) -> Script:
    return Script((Turn((Text(TEXT),), usage, fault),))


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_is_passed_on_and_settled_at_the_providers_bill(
    desk: LedgerDesk, *, stream: bool
) -> None:
    async with ModelServer(script()) as provider, open_bench(desk, provider) as bench:
        status, headers, answer = await bench.send(ask("x" * 20_000, stream=stream))

        assert status == 200
        direct = provider.calls()[0]
        assert await bench.ledger() == (await bench.billed_cad(), 0)
        [(call, settlement)] = bench.observer.settlements
        assert headers["request-id"] == settlement.id == call.request_id
        assert headers["x-autovibe-upstream-request-id"] == direct.request_id
        if not stream:
            assert Decimal(headers["x-autovibe-cost-cad"]) == await bench.billed_cad()
            assert json.loads(answer)["content"] == [{"type": "text", "text": TEXT}]
        [row] = await desk.rows("SELECT id, state FROM budget_reservations")
        assert str(row.id).replace("-", "") == settlement.id.replace("-", "")
        assert row.state == "settled"
        report = await desk.usage(task_id=bench.task_id)
        assert (report.api_calls, report.uncertain_calls) == (1, 0)


@pytest.mark.parametrize("chunk_bytes", [1, 7, 100, None])
async def test_the_bytes_of_a_stream_are_not_changed(
    desk: LedgerDesk, chunk_bytes: int | None
) -> None:
    async with (
        ModelServer(script(), chunk_bytes=chunk_bytes) as provider,
        open_bench(desk, provider) as bench,
    ):
        _, _, through = await bench.send(ask("x" * 20_000, stream=True))

        assert through.endswith(b'data: {"type": "message_stop"}\n\n')
        assert through.count(b"event: ") == through.count(b"\n\n")
        assert await bench.ledger() == (await bench.billed_cad(), 0)


async def test_the_books_are_right_before_the_end_of_the_answer_is_seen(
    desk: LedgerDesk,
) -> None:
    async with ModelServer(script()) as provider, open_bench(desk, provider) as bench:
        async with bench.open(ask("x" * 20_000, stream=True)) as response:
            async for line in response.content:
                if line.startswith(b"event: message_stop"):
                    assert await bench.ledger() == (await bench.billed_cad(), 0)
        assert bench.observer.settlements


# message_start, content_block_start, ping, four deltas, content_block_stop, message_delta, stop
@pytest.mark.parametrize("events", range(1, 11))
async def test_a_client_that_leaves_at_any_event_pays_the_true_price(
    desk: LedgerDesk, events: int
) -> None:
    fault = Fault(event_delay_s=0.002)
    async with ModelServer(script(fault)) as provider, open_bench(desk, provider) as bench:
        async with bench.open(ask("x" * 20_000, stream=True)) as response:
            seen = 0
            async for line in response.content:
                seen += line.startswith(b"event:")
                if seen == events:
                    break
            response.close()

        await bench.all_settled()
        assert (await bench.ledger())[0] == await bench.billed_cad()
        assert (await desk.usage()).uncertain_calls == 0


@pytest.mark.parametrize("events", range(11))
async def test_a_stream_that_breaks_off_is_never_settled_below_the_bill(
    desk: LedgerDesk, events: int
) -> None:
    fault = Fault(cut_after_events=events)
    async with ModelServer(script(fault)) as provider, open_bench(desk, provider) as bench:
        try:
            status, _, answer = await bench.send(ask("x" * 20_000, stream=True))
        except aiohttp.ClientError:
            status, answer = 200, b""

        await bench.all_settled()
        assert status == 200
        assert b"message_stop" not in answer or events == 10
        used, billed = (await bench.ledger())[0], await bench.billed_cad()
        [(_, settlement)] = bench.observer.settlements
        if events == 0:
            assert settlement.outcome == "uncertain"
            assert used > billed
        elif events < 9:
            # The input is known from the first event, the output bounded by max_tokens.
            usage = bench.provider.billed[0]
            most = bill_usd(usage) + Decimal(1000 - usage.output_tokens) * 10 / 1_000_000
            assert used == cad(most, await bench.rate())
            assert (settlement.outcome, settlement.estimated) == ("settled", True)
        else:
            assert used == billed
            assert not settlement.estimated


async def test_a_stream_without_any_usage_is_settled_at_the_full_hold(desk: LedgerDesk) -> None:
    fault = Fault(no_usage=True)
    async with ModelServer(script(fault)) as provider, open_bench(desk, provider) as bench:
        status, headers, _ = await bench.send(ask("x" * 20_000, stream=True))

        assert status == 200
        assert await bench.ledger() == (Decimal(headers["x-autovibe-hold-cad"]), 0)
        assert (await desk.usage()).uncertain_calls == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "reported",
    [
        {"output_tokens": -5},
        {"output_tokens": "many"},
        {"input_tokens": 1.5},
        {"service_tier": "priority"},
        {"speed": "fast"},
        {"server_tool_use": {"code_execution_requests": 2}},
    ],
)
async def test_usage_that_cannot_be_priced_right_is_settled_at_the_full_hold(
    desk: LedgerDesk, *, stream: bool, reported: dict[str, object]
) -> None:
    fault = Fault(reported_usage=reported)
    async with ModelServer(script(fault)) as provider, open_bench(desk, provider) as bench:
        status, headers, _ = await bench.send(ask("x" * 20_000, stream=stream))

        assert status == 200
        assert await bench.ledger() == (Decimal(headers["x-autovibe-hold-cad"]), 0)
        assert bench.observer.settlements[0][1].outcome == "uncertain"


async def test_a_bill_above_the_hold_is_paid_and_blocks_what_follows(desk: LedgerDesk) -> None:
    fault = Fault(billed_output_tokens=900_000)
    async with (
        ModelServer(script(fault)) as provider,
        open_bench(desk, provider, budget="1") as bench,
    ):
        status, _, _ = await bench.send(ask())
        again, _, refusal = await bench.send(ask())

        assert (status, again) == (200, 400)
        assert await bench.ledger() == (await bench.billed_cad(), 0)
        assert json.loads(refusal)["error"]["type"] == "billing_error"
        assert len(provider.calls()) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 503, 529])
async def test_an_error_of_the_provider_is_passed_on_and_costs_nothing(
    desk: LedgerDesk, status: int
) -> None:
    fault = Fault(status=status, error_type="some_error", headers={"retry-after": "7"})
    async with ModelServer(script(fault)) as provider, open_bench(desk, provider) as bench:
        got, headers, answer = await bench.send(ask(stream=True))

        assert got == status
        assert headers["retry-after"] == "7"
        assert json.loads(answer)["error"]["type"] == "some_error"
        assert await bench.ledger() == (0, 0)
        assert bench.observer.settlements[0][1].outcome == "released"
        assert headers.get("x-should-retry") == ("false" if status in {401, 403} else None)


async def test_an_error_page_of_something_in_between_leaves_open_what_was_billed(
    desk: LedgerDesk,
) -> None:
    fault = Fault(status=502, body={"html": "Bad gateway"})
    async with ModelServer(script(fault)) as provider, open_bench(desk, provider) as bench:
        got, headers, _ = await bench.send(ask())

        assert got == 502
        assert await bench.ledger() == (Decimal(headers["x-autovibe-hold-cad"]), 0)


async def test_a_provider_that_cannot_be_reached_costs_nothing(desk: LedgerDesk) -> None:
    async with ModelServer(script()) as provider:
        dead = Upstream("http://127.0.0.1:1", "key")
        async with open_bench(desk, provider, upstream=dead) as bench:
            status, _, answer = await bench.send(ask())

            assert status == 502
            assert json.loads(answer)["error"]["type"] == "api_error"
            assert await bench.ledger() == (0, 0)


async def test_a_provider_that_falls_silent_is_settled_at_the_full_hold(
    desk: LedgerDesk,
) -> None:
    fault = Fault(hang_after_events=0)
    async with ModelServer(script(fault)) as provider:
        impatient = Upstream(provider.url, provider.api_key, read_timeout_s=0.2)
        async with open_bench(desk, provider, upstream=impatient) as bench:
            status, _, answer = await bench.send(ask())

            assert status == 504
            assert json.loads(answer)["error"]["type"] == "timeout_error"
            assert (await bench.ledger())[0] >= await bench.billed_cad() > 0
            assert (await desk.usage()).uncertain_calls == 1


async def test_a_silent_stream_is_not_read_for_ever_once_the_client_is_gone(
    desk: LedgerDesk,
) -> None:
    fault = Fault(hang_after_events=4)
    limits = Limits(held_wait_s=0, drain_s=0.2)
    async with (
        ModelServer(script(fault)) as provider,
        open_bench(desk, provider, limits=limits) as bench,
    ):
        async with bench.open(ask(stream=True)) as response:
            await response.content.readline()
            response.close()

        await bench.all_settled()
        assert bench.observer.settlements[0][1].estimated


async def test_calls_under_way_are_settled_when_the_gateway_closes(desk: LedgerDesk) -> None:
    fault = Fault(hang_after_events=4)
    async with ModelServer(script(fault)) as provider, open_bench(desk, provider) as bench:
        async with bench.open(ask(stream=True)) as response:
            await response.content.readline()
            waiting_for_headers = asyncio.create_task(bench.send(ask("other")))
            await bench.server.close(grace_s=0.1)
            with pytest.raises(aiohttp.ClientError):
                await response.read()
        with pytest.raises(aiohttp.ClientError):
            await waiting_for_headers

        assert (await bench.ledger())[1] == 0
        assert (await bench.ledger())[0] >= await bench.billed_cad()


async def test_what_a_killed_process_left_is_settled_in_full_by_recovery(
    desk: LedgerDesk,
) -> None:
    fault = Fault(first_byte_delay_s=0.6)
    async with ModelServer(script(fault)) as provider, open_bench(desk, provider) as bench:
        request = asyncio.create_task(bench.send(ask()))
        while not provider.requests:  # noqa: ASYNC110 - a server tells nobody of its requests
            await asyncio.sleep(0.005)
        held = (await bench.ledger())[1]

        # As if the process had ended here: another one recovers what it left.
        answer = await desk.metering.recover_reservations(
            metering_pb2.RecoverReservationsRequest(instance_ids=[desk.instance_id])
        )
        await request

        assert (answer.released, answer.uncertain) == (0, 1)
        assert await bench.ledger() == (held, 0)
        assert held >= await bench.billed_cad()


async def test_concurrent_callers_on_a_cap_are_admitted_exactly_as_it_allows(
    desk: LedgerDesk,
) -> None:
    fault = Fault(first_byte_delay_s=0.3)
    async with (
        ModelServer(script(fault)) as provider,
        open_bench(desk, provider, budget="") as bench,
    ):
        await desk.budget("100")
        _, headers, _ = await bench.send(ask())
        hold = Decimal(headers["x-autovibe-hold-cad"])
        used = (await bench.ledger())[0]
        await desk.budget(f"{used + hold * Decimal('5.9'):.6f}")

        answers = await asyncio.gather(*(bench.send(ask()) for _ in range(16)))

        statuses = sorted(status for status, _, _ in answers)
        assert statuses == [200] * 5 + [429] * 11
        assert len(provider.calls()) == 6
        assert await bench.ledger() == (await bench.billed_cad(), 0)


async def test_a_call_that_is_only_held_up_waits_for_the_others(desk: LedgerDesk) -> None:
    fault = Fault(first_byte_delay_s=0.1)
    limits = Limits(held_wait_s=30)
    async with (
        ModelServer(script(fault)) as provider,
        open_bench(desk, provider, budget="100", limits=limits) as bench,
    ):
        _, headers, _ = await bench.send(ask())
        hold = Decimal(headers["x-autovibe-hold-cad"])
        await desk.budget(f"{(await bench.ledger())[0] + hold * Decimal('1.9'):.6f}")

        first, second = await asyncio.gather(bench.send(ask()), bench.send(ask()))

        assert (first[0], second[0]) == (200, 200)
        assert await bench.ledger() == (await bench.billed_cad(), 0)


async def test_a_client_that_leaves_while_it_waits_holds_nothing(desk: LedgerDesk) -> None:
    limits = Limits(held_wait_s=30)
    async with (
        ModelServer(script()) as provider,
        open_bench(desk, provider, budget="1", limits=limits) as bench,
    ):
        other = await desk.hold("1")
        request = asyncio.create_task(bench.send(ask()))
        await asyncio.sleep(0.1)
        request.cancel()
        await asyncio.wait({request})
        await desk.settle(other.id, outcome="released")

        await bench.all_settled()
        assert not provider.calls()


async def test_the_second_call_of_a_conversation_holds_little_more_than_it_adds(
    desk: LedgerDesk,
) -> None:
    usage = Usage(input_tokens=9_000, output_tokens=10)
    async with (
        ModelServer(script(usage=usage)) as provider,
        open_bench(desk, provider, budget="100") as bench,
    ):
        first = ask("x" * 40_000)
        longer = ask("x" * 40_000)
        longer["messages"] += [
            {"role": "assistant", "content": TEXT},
            {"role": "user", "content": "Go on."},
        ]
        _, one, _ = await bench.send(first)
        _, two, _ = await bench.send(longer)
        _, other, _ = await bench.send(ask("y" * 40_000))

        holds = [Decimal(h["x-autovibe-hold-cad"]) for h in (one, two, other)]
        assert holds[1] < holds[0] / 2
        # Text of which nothing was counted before is bounded by its bytes again.
        assert holds[2] > holds[0] * Decimal("0.9")
        assert await bench.ledger() == (await bench.billed_cad(), 0)


async def test_two_gateways_of_one_project_share_its_budget_exactly(desk: LedgerDesk) -> None:
    async with (
        ModelServer(script(Fault(first_byte_delay_s=0.2))) as provider,
        open_bench(desk, provider, budget="100") as one,
        open_bench(desk, provider, budget="") as two,
    ):
        _, headers, _ = await one.send(ask())
        hold = Decimal(headers["x-autovibe-hold-cad"])
        used = (await one.ledger())[0]
        await desk.budget(f"{used + hold * Decimal('3.5'):.6f}")

        benches: list[Bench] = [one, two] * 4
        answers = await asyncio.gather(*(bench.send(ask()) for bench in benches))

        assert sorted(answer[0] for answer in answers) == [200] * 3 + [429] * 5
        assert await one.ledger() == (await one.billed_cad(), 0)


async def test_gateways_that_share_a_ledger_batch_their_calls_and_close_apart(
    desk: LedgerDesk,
) -> None:
    counting = CountingLedger(desk.metering)
    ledger = Ledger(counting, SystemClock())  # type: ignore[arg-type]  # it passes all else on
    async with (
        ModelServer(script()) as provider,
        open_bench(desk, provider, budget="100", ledger=ledger) as one,
        open_bench(desk, provider, budget="", ledger=ledger) as two,
    ):
        answers = await asyncio.gather(*(bench.send(ask()) for bench in [one, two] * 8))
        await one.server.close()
        again, _, _ = await two.send(ask())

        assert [answer[0] for answer in answers] == [200] * 16
        assert again == 200
        assert sum(counting.batches) == 17
        assert max(counting.batches) > 1
        assert await two.ledger() == (await two.billed_cad(), 0)


class CountingLedger:
    """Counts how many calls come together."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.batches: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def reserve_many(self, request: metering_pb2.ReserveManyRequest) -> Any:
        self.batches.append(len(request.reservations))
        return await self.real.reserve_many(request)
