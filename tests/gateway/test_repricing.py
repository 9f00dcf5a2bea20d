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

from autovibe.domains.metering import ModelPrices, in_cad, pinned_prices
from autovibe.gateway import Upstream
from autovibe.gateway.chat import ChatDialect
from autovibe.gateway.gemini import GeminiDialect
from autovibe.gateway.messages import MessagesDialect
from autovibe.gateway.responses import ResponsesDialect
from autovibe.kernel.protoconv import from_struct
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import plain_text
from autovibe.v1 import metering_pb2

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


def _whole(value: Any) -> Any:
    """Return usage with whole numbers, as JSON had them."""
    if isinstance(value, dict):
        return {name: _whole(member) for name, member in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value
