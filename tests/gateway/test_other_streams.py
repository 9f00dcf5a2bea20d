"""Streams and errors of OpenAI and Gemini: who leaves, what breaks off, what is passed on."""

from __future__ import annotations

from decimal import Decimal

import aiohttp
import pytest
from gateway_bench import cad, open_bench
from ledger_desk import LedgerDesk
from other_dialects import (
    CHAT,
    COST,
    PATHS,
    RESPONSES,
    STREAM,
    USAGE,
    ask,
    key_for,
    message_of,
    provider_of,
)

from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import Fault, Script, Text, Turn, plain_text


@pytest.fixture
def desk(sqlite_desk: LedgerDesk) -> LedgerDesk:
    """Give a ledger on SQLite: what is tested here does not depend on the database."""
    return sqlite_desk


@pytest.mark.parametrize("path", [CHAT, RESPONSES, f"{STREAM}?alt=sse"])
async def test_a_client_that_leaves_pays_the_true_price(desk: LedgerDesk, path: str) -> None:
    turn = Turn((Text("A text in many pieces. " * 20),), USAGE, Fault(event_delay_s=0.002))
    async with ModelServer(Script((turn,))) as provider, open_bench(desk, provider) as bench:
        body = ask(path) if "gemini" in path else ask(path, stream=True)
        async with bench.open(body, url=bench.base + path, **key_for(path)) as response:
            await response.content.readline()
            response.close()

        await bench.all_settled()
        cost = cad(COST[provider_of(path)], await bench.rate())
        assert (await bench.ledger())[0] == cost
        assert not bench.observer.settlements[0][1].estimated


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("path", PATHS)
async def test_an_error_of_the_provider_is_passed_on_and_costs_nothing(
    desk: LedgerDesk, path: str, status: int
) -> None:
    fault = Fault(status=status, message="Not now.", headers={"retry-after": "7"})
    script = Script((Turn((Text("x"),), USAGE, fault),))
    async with ModelServer(script) as provider, open_bench(desk, provider) as bench:
        got, headers, answer = await bench.send(ask(path), url=bench.base + path, **key_for(path))

        assert (got, headers["retry-after"]) == (status, "7")
        code = {429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}[status]
        assert message_of(path, answer, code) == "Not now."
        assert await bench.ledger() == (0, 0)


@pytest.mark.parametrize("events", [1, 4])
@pytest.mark.parametrize("path", [CHAT, RESPONSES, f"{STREAM}?alt=sse"])
async def test_a_stream_that_breaks_off_is_never_settled_below_the_bill(
    desk: LedgerDesk, path: str, events: int
) -> None:
    turn = Turn((Text("A text in many pieces. " * 20),), USAGE, Fault(cut_after_events=events))
    async with ModelServer(Script((turn,))) as provider, open_bench(desk, provider) as bench:
        body = ask(path) if "gemini" in path else ask(path, stream=True)
        with pytest.raises(aiohttp.ClientError):
            await bench.send(body, url=bench.base + path, **key_for(path))

        await bench.all_settled()
        [(call, settlement)] = bench.observer.settlements
        used, rate = (await bench.ledger())[0], await bench.rate()
        if "gemini" in path:
            # Its input is known: 469 millionths with an output of 100, at 2.5 for each token more.
            usd = COST["gemini"] + Decimal(32_768 - 100) * Decimal("2.5") / 1_000_000
            assert (used, settlement.outcome) == (cad(usd, rate), "settled")
        else:
            assert (used, settlement.outcome) == (Decimal(call.hold_cad), "uncertain")


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
async def test_the_books_are_right_before_the_end_of_the_answer_is_seen(
    desk: LedgerDesk, path: str
) -> None:
    script = plain_text("Some text.", USAGE)
    end = b"data: [DONE]" if path == CHAT else b"event: response.completed"
    async with ModelServer(script) as provider, open_bench(desk, provider) as bench:
        cost = cad(COST["openai"], await bench.rate())
        body, seen = ask(path, stream=True), False
        async with bench.open(body, url=bench.base + path, **key_for(path)) as response:
            async for line in response.content:
                if line.startswith(end):
                    seen = True
                    assert await bench.ledger() == (cost, 0)
        assert seen
