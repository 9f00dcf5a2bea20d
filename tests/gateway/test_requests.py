"""What may go to the provider, and what comes back for what may not."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from gateway_bench import KEY, MODEL, ask, open_bench, refused
from ledger_desk import LedgerDesk

from autovibe.domains.metering import ArrivedCall
from autovibe.gateway import Limits, Upstream
from autovibe.kernel.errors import UnavailableError
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import Usage, plain_text

TOOL_RESULT = [
    {"role": "user", "content": "Fix it."},
    {
        "role": "assistant",
        "content": [
            {"type": "tool_use", "id": "toolu_a", "name": "Bash", "input": {}},
            {"type": "tool_use", "id": "toolu_b", "name": "Read", "input": {}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "toolu_a", "content": "ok"},
            {"type": "tool_result", "tool_use_id": "toolu_b", "content": "ok"},
            {"type": "text", "text": "Go on."},
        ],
    },
]


@pytest.fixture
def desk(sqlite_desk: LedgerDesk) -> LedgerDesk:
    """Give a ledger on SQLite: what is tested here does not depend on the database."""
    return sqlite_desk


async def test_bodies_and_headers_that_may_pass_arrive_byte_for_byte(desk: LedgerDesk) -> None:
    odd = (
        b'{ "future_field": {"a": [1.10, 1e3]},  "model":"claude-sonnet-5-5","max_tokens" : 10,'
        b'"metadata":{"user_id":"{}"}, "thinking":{"type":"adaptive"},'
        b'"messages":[{"role":"user","content":"h\\u00e9 \\ud83d\\ude00"},'
        b'{"role":"system","content":"be brief"}]}'
    )
    async with ModelServer(plain_text()) as provider, open_bench(desk, provider) as bench:
        status, _, _ = await bench.send(
            odd,
            url=f"{bench.url}?beta=true&limit=5",
            anthropic_beta="a-2026-01-01,b-2026-02-02",
            anthropic_version="2023-06-01",
            user_agent="claude-cli/2.1.330",
            x_stainless_retry_count="0",
            cookie="session=1",
            x_forwarded_for="10.1.2.3",
            forwarded="for=10.1.2.3",
            x_secret="of-the-machine",
            authorization=f"Bearer {KEY}",
        )

        assert status == 200
        [got] = provider.calls()
        assert got.size_bytes == len(odd)
        assert got.body == json.loads(odd)
        assert got.query == "beta=true&limit=5"
        assert got.headers["anthropic-beta"] == "a-2026-01-01,b-2026-02-02"
        assert got.headers["user-agent"] == "claude-cli/2.1.330"
        assert got.headers["x-api-key"] == provider.api_key
        sent = {name.lower() for name in got.headers}
        assert not sent & {"cookie", "authorization", "x-forwarded-for", "forwarded", "x-secret"}
        assert KEY not in str(dict(got.headers))


async def test_the_providers_key_never_comes_back(desk: LedgerDesk) -> None:
    async with ModelServer(plain_text()) as provider, open_bench(desk, provider) as bench:
        for stream in (False, True):
            _, headers, answer = await bench.send(ask(stream=stream))
            assert provider.api_key not in str(dict(headers))
            assert provider.api_key.encode() not in answer


@pytest.mark.parametrize("headers", [{}, {"x_api_key": "wrong"}, {"authorization": "Bearer no"}])
async def test_only_the_key_of_the_machine_opens_its_listener(
    desk: LedgerDesk, headers: dict[str, str]
) -> None:
    async with ModelServer(plain_text()) as provider, open_bench(desk, provider) as bench:
        status, got, answer = await bench.send(ask(), **({"x_api_key": ""} | headers))

        assert status == 401
        assert got["x-should-retry"] == "false"
        assert json.loads(answer)["error"]["type"] == "authentication_error"
        assert not provider.requests


async def test_a_bearer_token_is_as_good_as_an_api_key(desk: LedgerDesk) -> None:
    async with ModelServer(plain_text()) as provider, open_bench(desk, provider) as bench:
        status, _, _ = await bench.send(ask(), x_api_key="", authorization=f"Bearer {KEY}")

        assert status == 200


@pytest.mark.parametrize(
    ("body", "say"),
    [
        (b"", "one JSON object"),
        (b"[]", "one JSON object"),
        (b"{", "one JSON object"),
        (b"[" * 100_000, "one JSON object"),
        (b'{"a": NaN}', "NaN"),
        ('{"model": "x"}'.encode("utf-16"), "UTF-8"),
        (b'{"max_tokens": 5, "max_tokens": 6}', "'max_tokens' occurs twice"),
        (b'{"messages": [{"role": "user", "r\\u006fle": "x"}]}', "'role' occurs twice"),
        (b'{"max_tokens": 5}', "model"),
        (b'{"model": "claude-sonnet-5-5"}', "max_tokens"),
        (b'{"model": "claude-sonnet-5-5", "max_tokens": 0}', "max_tokens"),
        (b'{"model": "claude-sonnet-5-5", "max_tokens": true}', "max_tokens"),
        (b'{"model": "claude-sonnet-5-5", "max_tokens": 1e9}', "max_tokens"),
    ],
)
async def test_a_body_that_could_be_read_in_two_ways_or_none_is_refused(
    desk: LedgerDesk, body: bytes, say: str
) -> None:
    async with ModelServer(plain_text()) as provider, open_bench(desk, provider) as bench:
        assert say in await refused(bench, body)


async def test_compressed_bodies_are_sent_on_decoded_and_bombs_are_not(desk: LedgerDesk) -> None:
    body = json.dumps(ask()).encode()
    async with ModelServer(plain_text()) as provider, open_bench(desk, provider) as bench:
        for coding, packed in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body))):
            status, _, _ = await bench.send(packed, content_encoding=coding)
            assert status == 200
        bomb = gzip.compress(b" " * (65 * 1024 * 1024))
        too_large, _, answer = await bench.send(bomb, content_encoding="gzip")
        unknown, _, _ = await bench.send(body, content_encoding="br")
        broken, _, _ = await bench.send(body, content_encoding="gzip")
        cut, _, _ = await bench.send(gzip.compress(body)[:-9], content_encoding="gzip")

        assert (too_large, unknown, broken, cut) == (413, 400, 400, 400)
        assert json.loads(answer)["error"]["type"] == "request_too_large"
        assert [call.body for call in provider.calls()] == [ask(), ask()]


async def test_a_body_over_the_limit_is_refused_before_it_is_read(desk: LedgerDesk) -> None:
    async with ModelServer(plain_text()) as provider, open_bench(desk, provider) as bench:
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
        writer.write(
            b"POST /llm/anthropic/v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: "
            + KEY.encode()
            + b"\r\ncontent-length: 99999999999\r\n\r\n"
        )
        assert b" 413 " in await reader.readline()
        writer.close()
        assert not provider.requests


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/", 404),
        ("GET", "/", 404),
        ("HEAD", "/api/hello", 404),
        ("HEAD", "/llm/anthropic/api/hello", 404),
        ("GET", "/llm/anthropic", 404),
        ("GET", "/llm/anthropic/v1/messages", 404),
        ("POST", "/llm/anthropic/v1/messages/", 404),
        ("POST", "/llm/anthropic/v1/messages/batches", 404),
        ("POST", "/llm/anthropic/v1/../v1/messages/batches", 404),
        ("POST", "/llm/anthropic/v1/complete", 404),
        ("GET", "/llm/anthropic/v1/files", 404),
        ("POST", "/llm/openai/v1/embeddings", 404),
        ("GET", "/llm/openai/v1/chat/completions", 404),
        ("GET", "/api/v1/budgets", 404),
        ("GET", "/llm/anthropic/v1/models", 200),
    ],
)
async def test_only_the_listed_paths_exist(
    desk: LedgerDesk, method: str, path: str, status: int
) -> None:
    async with ModelServer(plain_text()) as provider, open_bench(desk, provider) as bench:
        got, _, _ = await bench.send(method=method, url=bench.base + path)

        assert got == status
        assert len(provider.requests) == (status == 200)


async def test_free_endpoints_work_with_an_empty_budget(desk: LedgerDesk) -> None:
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider, budget="0") as bench,
    ):
        counted, headers, answer = await bench.send(
            {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]},
            url=f"{bench.url}/count_tokens?beta=true",
        )
        listed, _, _ = await bench.send(method="GET", url=f"{bench.base}/llm/anthropic/v1/models")

        assert (counted, listed) == (200, 200)
        assert json.loads(answer)["input_tokens"] > 0
        assert headers["x-autovibe-upstream-request-id"]
        assert await bench.ledger() == (0, 0)


async def test_an_exhausted_budget_is_refused_in_the_callers_dialect(desk: LedgerDesk) -> None:
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider, budget="0.000001") as bench,
    ):
        message = await refused(bench, ask())

        assert message.startswith("The total money budget of project website cannot take this call")
        assert "allocated 0.000001 CAD, used 0.00 CAD, reserved 0.00 CAD, needed 0.0" in message
        assert "autovibe budget raise website money AMOUNT" in message
        [(call, verdict)] = bench.observer.refusals
        assert (verdict.reason, verdict.id) == ("BUDGET_EXHAUSTED", call.request_id)
        assert not bench.observer.arrivals


async def test_money_that_is_only_held_is_a_429_after_the_wait(desk: LedgerDesk) -> None:
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider, budget="1") as bench,
    ):
        await desk.hold("1")
        status, headers, answer = await bench.send(ask())

        assert (status, headers["retry-after"]) == (429, "30")
        assert json.loads(answer)["error"]["type"] == "rate_limit_error"
        assert bench.observer.refusals[0][1].reason == "BUDGET_HELD"
        assert not provider.requests


@pytest.mark.parametrize(
    ("reason", "more"),
    [
        ("NO_PRICE", {"model": "stub-model-xyz"}),
        (
            "NO_PRICE",
            {
                "model": "claude-v1",
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "document", "source": {"type": "base64", "data": "JVBERi0="}}
                        ],
                    }
                ],
            },
        ),
    ],
)
async def test_a_call_whose_cost_has_no_bound_does_not_go_out(
    desk: LedgerDesk, reason: str, more: dict[str, Any]
) -> None:
    async with ModelServer(plain_text()) as provider, open_bench(desk, provider) as bench:
        assert "prices.toml" in await refused(bench, ask(**more))
        assert bench.observer.refusals[0][1].reason == reason


async def test_own_prices_make_an_unknown_model_known(desk: LedgerDesk, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('[anthropic."stub-model-xyz"]\ninput = 1\noutput = 2\ncurrency = "CAD"\n')
    usage = Usage(input_tokens=100, output_tokens=50)
    async with (
        ModelServer(plain_text(usage=usage)) as provider,
        open_bench(desk, provider, prices_path=path) as bench,
    ):
        status, _, _ = await bench.send(ask("x" * 2000, model="stub-model-xyz"))

        assert status == 200
        assert await bench.ledger() == (Decimal("0.0002"), 0)


async def test_without_a_budget_a_key_or_a_lease_nothing_goes_out(desk: LedgerDesk) -> None:
    async with ModelServer(plain_text()) as provider:
        async with open_bench(desk, provider, budget="") as bench:
            await refused(bench, ask())
            assert bench.observer.refusals[0][1].reason == "NO_BUDGET"
            await desk.budget("5")
            order = await desk.order(bench.task_id, 2)
        async with open_bench(desk, provider, work_order_id=order, lease_generation=1) as bench:
            await refused(bench, ask())
            assert bench.observer.refusals[0][1].reason == "LEASE_LOST"
        async with open_bench(desk, provider, upstream=Upstream(provider.url)) as bench:
            assert "AUTOVIBE_UPSTREAM_ANTHROPIC_KEY" in await refused(bench, ask())
        async with open_bench(desk, provider, work_order_id=order, lease_generation=2) as bench:
            assert (await bench.send(ask()))[0] == 200


class BrokenLedger:
    """A ledger whose database is away."""

    def __init__(self, real: Any, broken: set[str]) -> None:
        self.real = real
        self.broken = broken

    def __getattr__(self, name: str) -> Any:
        if name in self.broken:
            return self._fail
        return getattr(self.real, name)

    async def _fail(self, _request: object) -> None:
        raise UnavailableError("The database is away; try again.")


@pytest.mark.parametrize("verb", ["reserve_many", "get_exchange_rate"])
async def test_without_the_ledger_nothing_goes_out(desk: LedgerDesk, verb: str) -> None:
    ledger = BrokenLedger(desk.metering, {verb})
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider, metering=ledger) as bench,
    ):
        status, headers, answer = await bench.send(ask())
        ledger.broken.clear()
        again, _, _ = await bench.send(ask())

        assert (status, again) == (503, 200)
        assert headers["retry-after"] == "5"
        assert json.loads(answer)["error"]["type"] == "overloaded_error"
        assert len(provider.calls()) == 1


async def test_a_database_that_goes_away_during_the_call_settles_it_later(
    desk: LedgerDesk,
) -> None:
    ledger = BrokenLedger(desk.metering, set())
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider, metering=ledger) as bench,
    ):

        async def lose(call: ArrivedCall) -> None:
            ledger.broken.add("settle_many")
            asyncio.get_running_loop().call_later(0.3, ledger.broken.clear)

        bench.observer.on_arrived = lose
        status, _, _ = await bench.send(ask("x" * 2000, stream=True))
        await bench.all_settled()

        assert status == 200
        assert await bench.ledger() == (await bench.billed_cad(), 0)


async def test_max_tokens_is_lowered_to_what_fits_and_said_so(desk: LedgerDesk) -> None:
    body = json.dumps(ask("x" * 100, max_tokens=64_000)).replace(
        '"max_tokens"', ' "max\\u005ftokens"'
    )
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider, budget="0.2") as bench,
    ):
        status, headers, _ = await bench.send(body.encode())

        clamped = int(headers["x-autovibe-max-tokens-clamped"])
        [call] = provider.calls()
        assert status == 200
        assert call.body == json.loads(body) | {"max_tokens": clamped}
        assert call.size_bytes == len(body) - len("64000") + len(str(clamped))
        assert headers["x-autovibe-hold-cad"] == "0.20"
        rate = await bench.rate()
        fits = (len(body) * 4 + clamped * 10) * rate / 1_000_000
        one_more = (len(body) * 4 + (clamped + 1) * 10) * rate / 1_000_000
        assert fits <= Decimal("0.2") < one_more
        assert bench.observer.arrivals[0].clamped_max_tokens == clamped


async def test_max_tokens_is_never_lowered_below_the_floor_or_the_thinking(
    desk: LedgerDesk,
) -> None:
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 20_000}}
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider, budget="0.05") as bench,
    ):
        await refused(bench, ask(max_tokens=64_000))
        await desk.budget("0.2")
        await refused(bench, ask(max_tokens=64_000, **thinking))
        await desk.budget("0.3")
        status, headers, _ = await bench.send(ask(max_tokens=64_000, **thinking))

        assert status == 200
        assert int(headers["x-autovibe-max-tokens-clamped"]) > 20_000


async def test_the_observer_is_told_of_the_call_before_the_agent_hears_the_answer(
    desk: LedgerDesk,
) -> None:
    async with (
        ModelServer(plain_text(), strict=False) as provider,
        open_bench(desk, provider, limits=Limits(held_wait_s=0, arrived_wait_s=60)) as bench,
    ):
        release = asyncio.Event()

        async def hold_back(call: ArrivedCall) -> None:
            await release.wait()

        bench.observer.on_arrived = hold_back
        request = asyncio.create_task(bench.send(ask(messages=TOOL_RESULT, stream=True)))
        while not provider.billed:  # noqa: ASYNC110 - a server tells nobody of its requests
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        assert not request.done()
        release.set()
        status, headers, _ = await request

        [call] = bench.observer.arrivals
        [(_, settlement)] = bench.observer.settlements
        assert settlement.held_back_ms > 0
        assert status == 200
        assert call.request_id == headers["request-id"]
        assert (call.model, call.stream, call.max_tokens) == (MODEL, True, 1000)
        assert call.tool_use_ids == ("toolu_a", "toolu_b")
        assert call.follows_tool_result
        assert call.hold_cad == headers["x-autovibe-hold-cad"]


async def test_an_observer_that_takes_too_long_or_fails_stops_nobody(desk: LedgerDesk) -> None:
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider, limits=Limits(held_wait_s=0, arrived_wait_s=0.05)) as bench,
    ):
        ended = asyncio.Event()

        async def slow(call: ArrivedCall) -> None:
            await asyncio.sleep(0.2)
            ended.set()

        async def broken(call: ArrivedCall) -> None:
            raise RuntimeError("no checkpoint")

        bench.observer.on_arrived = slow
        first, _, _ = await bench.send(ask())
        assert not ended.is_set()
        bench.observer.on_arrived = broken
        second, _, _ = await bench.send(ask("again"))
        await ended.wait()

        assert (first, second) == (200, 200)
        assert [call.follows_tool_result for call in bench.observer.arrivals] == [False, False]


async def test_several_gateways_serve_in_one_process_and_close_twice(desk: LedgerDesk) -> None:
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider) as one,
        open_bench(desk, provider, budget="", virtual_key="another-key") as two,
    ):
        assert (await one.send(ask()))[0] == 200
        assert (await two.send(ask()))[0] == 401
        assert (await two.send(ask(), x_api_key="another-key"))[0] == 200
        await two.server.close()
        await two.server.close()
        assert (await one.send(ask()))[0] == 200
