"""Every row of a call can be priced again from what it keeps: its prices, its rate, its usage."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from gateway_bench import KEY, MODEL, ask, open_bench
from google.protobuf import json_format
from ledger_desk import LedgerDesk
from replaying import (
    Replay,
    chat_usage,
    completion,
    gemini_answer,
    replaying,
    response,
    responses_usage,
)
from sqlalchemy import text

from autovibe.domains.metering import ModelPrices, in_cad, pinned_prices
from autovibe.gateway import Upstream
from autovibe.gateway.chat import ChatDialect
from autovibe.gateway.gemini import GeminiDialect
from autovibe.gateway.messages import MessagesDialect
from autovibe.gateway.responses import ResponsesDialect
from autovibe.kernel.money import to_text
from autovibe.kernel.protoconv import from_struct, struct
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import plain_text
from autovibe.v1 import metering_pb2, usage_pb2

MESSAGES = {
    "type": "message",
    "model": MODEL,
    "usage": {
        "input_tokens": 1234,
        "output_tokens": 77,
        "cache_read_input_tokens": 999,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    },
}
GEMINI = {"promptTokenCount": 1234, "candidatesTokenCount": 7, "thoughtsTokenCount": 70}
PATHS: dict[str, tuple[Any, str, dict[str, Any], bytes]] = {
    "messages": (
        MessagesDialect(),
        "/llm/anthropic/v1/messages",
        ask(),
        json.dumps(MESSAGES).encode(),
    ),
    "chat": (
        ChatDialect(),
        "/llm/openai/v1/chat/completions",
        {"model": "gpt-6.1-sol", "messages": [{"role": "user", "content": "Hi"}]},
        completion(chat_usage(1234, 77, cached_tokens=100, cache_write_tokens=50)),
    ),
    "responses": (
        ResponsesDialect(),
        "/llm/openai/v1/responses",
        {"model": "gpt-6.1-sol", "input": "Hi"},
        json.dumps(response("completed", responses_usage(1234, 77, cached_tokens=100))).encode(),
    ),
    "gemini": (
        GeminiDialect(),
        "/llm/gemini/v1beta/models/gemini-2.5-pro:generateContent",
        {"contents": [{"parts": [{"text": "Hi"}]}]},
        json.dumps(gemini_answer(GEMINI)).encode(),
    ),
}


@pytest.mark.parametrize("api", PATHS)
async def test_a_row_is_priced_again_from_itself_to_the_last_digit(
    sqlite_desk: LedgerDesk, api: str
) -> None:
    dialect, path, body, answer = PATHS[api]
    desk = sqlite_desk
    async with (
        ModelServer(plain_text()) as unused,
        replaying(Replay(answer, "application/json")) as provider,
        open_bench(desk, unused, upstream=Upstream(provider.url, "key")) as bench,
    ):
        status, _, _ = await bench.send(body, url=bench.base + path, x_goog_api_key=KEY)
        assert status == 200
        await bench.all_settled()

    [row] = await desk.rows(
        "SELECT amount, metadata FROM resource_usage WHERE resource_type = 'money'"
    )
    kept = json_format.ParseDict(json.loads(row.metadata), metering_pb2.UsageMetadata())
    prices = ModelPrices(kept.terms.model, "", kept.terms.currency, pinned_prices(kept.terms), None)
    usage = _whole(from_struct(kept.raw_usage))
    native = dialect.cost(usage, prices, lambda _model, _variant: None, None)
    again = in_cad(native, kept.terms)
    assert again == Decimal((await desk.budgets())[0].used_amount) > 0
    audit = await desk.metering.audit_usage(usage_pb2.AuditUsageRequest())
    assert (audit.repriced, list(audit.differences)) == (1, [])
    await _change_amounts(desk, "amount + {least}")
    audit = await desk.metering.audit_usage(usage_pb2.AuditUsageRequest())
    [one] = [one for one in audit.differences if one.kind == "price"]
    assert (one.expected_amount, one.difference_amount) == (to_text(again), "0.000001")
    assert f"costs {to_text(again)} at the prices in it" in one.message


async def test_a_row_keeps_the_prices_of_the_tier_that_has_served_it(
    sqlite_desk: LedgerDesk,
) -> None:
    desk = sqlite_desk
    usage = chat_usage(1234, 77)
    answer = json.loads(completion(usage)) | {"service_tier": "priority"}
    body = {"model": "gpt-6.1-sol", "messages": [{"role": "user", "content": "Hi"}]}
    async with (
        ModelServer(plain_text()) as unused,
        replaying(Replay(json.dumps(answer).encode(), "application/json")) as provider,
        open_bench(desk, unused, upstream=Upstream(provider.url, "key")) as bench,
    ):
        await bench.send(body, url=f"{bench.base}/llm/openai/v1/chat/completions")
        await bench.all_settled()
    [row] = await desk.rows(
        "SELECT amount, metadata FROM resource_usage WHERE resource_type = 'money'"
    )
    kept = json.loads(row.metadata)
    assert not kept.get("uncertain")
    assert "service_tier=priority" in json.dumps(kept["raw_usage"]["autovibe_other_prices"])
    audit = await desk.metering.audit_usage(usage_pb2.AuditUsageRequest())
    assert (audit.repriced, list(audit.differences)) == (1, [])


async def test_rows_are_priced_again_in_pages(sqlite_desk: LedgerDesk) -> None:
    desk = sqlite_desk
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 0}
    terms = metering_pb2.CallTerms(
        provider="openai", model="m", rate_to_cad="1.5", unit_prices={"input": "0.2"}
    )
    await desk.budget("100")
    calls = [desk.call("1", terms=terms) for _ in range(5)]
    await desk.reserve(*calls)
    for call, amount in zip(calls, ("0.3", "0.31", "0.3", "0.29", "0.3"), strict=True):
        await desk.settle(call.id, amount, raw_usage=struct(usage))
        desk.clock.advance(seconds=1)
    unknown = await desk.hold("1", terms=terms)
    await desk.settle(unknown.id, outcome="uncertain")
    request = usage_pb2.AuditUsageRequest(page_size=1)
    wrong, repriced = [], 0
    while True:
        page = await desk.metering.audit_usage(request)
        wrong += [(one.kind, one.recorded_amount, one.expected_amount) for one in page.differences]
        repriced += page.repriced
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert sorted(wrong) == [("price", "0.29", "0.30"), ("price", "0.31", "0.30")]
    assert repriced == 5


async def _change_amounts(desk: LedgerDesk, to: str) -> None:
    statement = f"UPDATE resource_usage SET amount = {to.format(least=1)}"
    async with desk.db.write() as tx:
        await tx.session.execute(text(f"{statement} WHERE resource_type = 'money'"))


def _whole(value: Any) -> Any:
    """Return usage with whole numbers, as JSON had them."""
    if isinstance(value, dict):
        return {name: _whole(member) for name, member in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value
