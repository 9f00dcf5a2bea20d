"""Nothing that an answer says of usage can keep a call from being settled."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from gateway_bench import KEY, ask, open_bench
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

from autovibe.gateway import Upstream
from autovibe.gateway.raw_usage import kept_text, kept_usage
from autovibe.kernel.protoconv import from_struct
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import plain_text

CHAT = "/llm/openai/v1/chat/completions"
RESPONSES = "/llm/openai/v1/responses"
GENERATE = "/llm/gemini/v1beta/models/gemini-2.5-pro:generateContent"
MESSAGES = "/llm/anthropic/v1/messages"
# Of each number: what is put in its place, as JSON.
ABSURD = ["-5", "NaN", "Infinity", "1e400", "1" + "0" * 400, "1.5", '"15"', "null", "[1]", "true"]


@pytest.fixture
def desk(sqlite_desk: LedgerDesk) -> LedgerDesk:
    """Give a ledger on SQLite: what is tested here does not depend on the database."""
    return sqlite_desk


def answer(path: str) -> bytes:
    """Return a whole answer that says 424242 where the number of output tokens is."""
    if path == CHAT:
        return completion(chat_usage(1000, 424242) | {"total_tokens": 0})
    if path == RESPONSES:
        told = responses_usage(1000, 424242) | {"total_tokens": 0}
        return json.dumps(response("completed", told)).encode()
    if path == GENERATE:
        told = {"promptTokenCount": 1000, "candidatesTokenCount": 424242}
        return json.dumps(gemini_answer(told)).encode()
    told = {"input_tokens": 1000, "output_tokens": 424242}
    return json.dumps({"type": "message", "model": "m\ud800\0", "usage": told}).encode()


def question(path: str) -> dict[str, Any]:
    if path == GENERATE:
        return {"contents": [{"parts": [{"text": "Hi"}]}]}
    if path == RESPONSES:
        return {"model": "gpt-6.1-sol", "input": "Hi"}
    if path == CHAT:
        return {"model": "gpt-6.1-sol", "messages": [{"role": "user", "content": "Hi"}]}
    return ask()


@pytest.mark.parametrize("path", [MESSAGES, CHAT, RESPONSES, GENERATE])
async def test_absurd_numbers_settle_at_the_full_hold_and_leave_none_open(
    desk: LedgerDesk, path: str
) -> None:
    replay = Replay(b"", "application/json")
    async with (
        ModelServer(plain_text()) as unused,
        replaying(replay),
        open_bench(desk, unused, budget="500", upstream=Upstream(replay.url, "key")) as bench,
    ):
        held = Decimal(0)
        for number in ABSURD:
            # A number of Gemini that is missing is 0.
            if (path, number) == (GENERATE, "null"):
                continue
            replay.answer = answer(path).replace(b"424242", number.encode())
            status, headers, _ = await bench.send(
                question(path), url=bench.base + path, x_goog_api_key=KEY
            )
            assert status == 200, number
            held += Decimal(headers["x-autovibe-hold-cad"])
            assert await bench.ledger() == (held, 0), number
            assert bench.observer.settlements[-1][1].outcome == "uncertain"


def test_what_cannot_be_stored_is_told_in_words() -> None:
    deep: dict[str, Any] = {"a": 1}
    for _ in range(50):
        deep = {"a": deep}
    usage = {
        "nan": float("nan"),
        "inf": -float("inf"),
        "huge": 10**400,
        "fits": 2**53,
        "nul\0": "a\0b\ud800" + "c" * 1000,
        "deep": deep,
        "wide": list(range(5000)),
        "plain": [1, None, True, 1.5, "x"],
    }

    kept = from_struct(kept_usage(usage))

    assert (kept["nan"], kept["inf"], kept["fits"]) == ("nan", "-inf", 2**53)
    assert kept["huge"] == "a number of 1329 bits"
    assert kept["nul\ufffd"].startswith("a\ufffdb?ccc")
    assert len(kept["nul\ufffd"]) == 500
    assert "left out" in json.dumps(kept["deep"])
    assert len(kept["wide"]) < 500
    assert from_struct(kept_usage({"plain": usage["plain"]})) == {"plain": usage["plain"]}
    assert kept_text("m\ud800\0") == "m?\ufffd"
