"""Recorded shapes of every dialect settle to amounts that were computed by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from gateway_bench import KEY, Bench, cad, open_bench
from ledger_desk import LedgerDesk
from replaying import (
    SSE,
    Replay,
    chat_chunk,
    chat_usage,
    completion,
    gemini_answer,
    replaying,
    response,
    responses_stream,
    responses_usage,
    sse,
)

from autovibe.gateway import Upstream
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import plain_text

JSON = "application/json"
CHAT = "/llm/openai/v1/chat/completions"
RESPONSES = "/llm/openai/v1/responses"
GENERATE = "/llm/gemini/v1beta/models/gemini-2.5-pro:generateContent"
STREAM = "/llm/gemini/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"

# Per million tokens: gpt-6.1-sol 2 in, 0.1 cached, 2.5 written, 10 out; above 272,000 tokens of
# input 4, 0.2, 5 and 15. gemini-2.5-pro 1.25, 0.125 cached, 10 out; above 200,000 2.5, 0.25, 15.


@pytest.fixture
def desk(sqlite_desk: LedgerDesk) -> LedgerDesk:
    """Give a ledger on SQLite: what is tested here does not depend on the database."""
    return sqlite_desk


@dataclass(frozen=True)
class Case:
    """A recorded answer and what it costs in US dollars, as a sum that can be checked by hand.

    `usd` of `None` is the full hold. `uncertain` says that the ledger flags it.
    """

    path: str
    answer: bytes
    usd: str | None
    content_type: str = SSE
    status: int = 200
    outcome: str = "settled"
    estimated: bool = False
    cut: bool = False


DONE = "[DONE]"
TEXT = chat_chunk({"content": "Hel"})
STOP = chat_chunk({}, choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])


def chat_stream(usage: dict[str, Any] | None, *more: Any, **fields: Any) -> bytes:
    last = [chat_chunk(usage=usage, **fields)] if usage else []
    return sse(chat_chunk({"role": "assistant", "content": ""}), TEXT, TEXT, STOP, *last, *more)


def ended(kind: str, usage: dict[str, Any] | None, **more: Any) -> bytes:
    return responses_stream({"type": f"response.{kind}", "response": response(kind, usage, **more)})


FAILED = {"code": "server_error", "message": "The model failed."}
TOOL_CALL = {
    "index": 0,
    "id": "call_DdmO9pD3xa9XTPNJ32zg2hcA",
    "type": "function",
    "function": {"name": "run", "arguments": ""},
}
FUNCTION_CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "run",
    "arguments": '{"a":1}',
    "status": "completed",
}
CASES = {
    # 1,000 in, 100 cached, 500 written: 400 x 2 + 100 x 0.1 + 500 x 2.5 + 2,000 x 10 = 22,060
    "chat": Case(
        CHAT,
        completion(chat_usage(1000, 2000, cached_tokens=100, cache_write_tokens=500)),
        "0.02206",
        JSON,
    ),
    "chat stream": Case(
        CHAT,
        chat_stream(chat_usage(1000, 2000, cached_tokens=100, cache_write_tokens=500), DONE),
        "0.02206",
    ),
    "chat stream without its end": Case(CHAT, chat_stream(chat_usage(1000, 2000)), "0.022"),
    # 300,000 in: 250,000 x 4 + 50,000 x 0.2 + 1,000 x 15 = 1,025,000
    "chat long context": Case(
        CHAT, completion(chat_usage(300_000, 1000, cached_tokens=50_000)), "1.025", JSON
    ),
    # On the edge nothing is dearer: 272,000 x 2 + 10 x 10 = 544,100
    "chat edge": Case(CHAT, completion(chat_usage(272_000, 10)), "0.5441", JSON),
    # 100 of 300 written for twelve hours: 700 x 2 + 200 x 2.5 + 100 x 5 + 10 x 10 = 2,500
    "chat long cache": Case(
        CHAT,
        completion(
            chat_usage(1000, 10, cache_write_tokens=300, ttl_30m_tokens=200, ttl_12h_tokens=100)
        ),
        "0.0025",
        JSON,
    ),
    # Served at half price: 1,000 x 1 + 100 x 5 = 1,500
    "chat flex": Case(CHAT, completion(chat_usage(1000, 100), service_tier="flex"), "0.0015", JSON),
    # At twice the price: 1,000 x 4 + 100 x 20 = 6,000
    "chat stream priority": Case(
        CHAT, chat_stream(chat_usage(1000, 100), DONE, service_tier="priority"), "0.006"
    ),
    # Reasoning left out of the output, but not of the total: 1,000 x 2 + 90 x 10 = 2,900
    "chat total": Case(
        CHAT, completion(chat_usage(1000, 20) | {"total_tokens": 1090}), "0.0029", JSON
    ),
    "chat unknown tier": Case(
        CHAT,
        completion(chat_usage(1000, 100), service_tier="ultrafast"),
        None,
        JSON,
        outcome="uncertain",
    ),
    "chat audio": Case(
        CHAT, completion(chat_usage(1000, 100, audio_tokens=5)), None, JSON, outcome="uncertain"
    ),
    "chat absurd": Case(
        CHAT, completion(chat_usage(1000, 10, cached_tokens=2000)), None, JSON, outcome="uncertain"
    ),
    "chat no usage": Case(CHAT, completion(None), None, JSON, outcome="uncertain"),
    "chat stream no usage": Case(CHAT, chat_stream(None, DONE), None, outcome="uncertain"),
    "chat stream cut": Case(CHAT, chat_stream(None), None, outcome="uncertain", cut=True),
    "chat stream cut after usage": Case(
        CHAT, chat_stream(chat_usage(1000, 10)), "0.0021", cut=True
    ),
    "chat stream error at once": Case(CHAT, sse({"error": FAILED}), "0", outcome="released"),
    "chat stream error after text": Case(
        CHAT, sse(TEXT, TEXT, {"error": FAILED}), None, outcome="uncertain"
    ),
    "chat 429": Case(
        CHAT, json.dumps({"error": FAILED}).encode(), "0", JSON, 429, outcome="released"
    ),
    "chat 500": Case(
        CHAT, json.dumps({"error": FAILED}).encode(), "0", JSON, 500, outcome="released"
    ),
    "chat 502": Case(CHAT, b"<html>", None, "text/html", 502, outcome="uncertain"),
    # What a tool is called with is output: 1,000 x 2 + 60 x 10 = 2,600
    "chat stream tool use": Case(
        CHAT,
        sse(
            chat_chunk({"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}),
            chat_chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]}),
            chat_chunk({}, choices=[{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]),
            chat_chunk(usage=chat_usage(1000, 60)),
            DONE,
        ),
        "0.0026",
    ),
    # Reasoning is in the output already: 1,000 x 2 + 900 x 10 = 11,000
    "chat reasoning": Case(
        CHAT,
        completion(
            chat_usage(1000, 900) | {"completion_tokens_details": {"reasoning_tokens": 832}}
        ),
        "0.011",
        JSON,
    ),
    # 1,000 x 2 + 60 x 10, half of them reasoning
    "responses tool use": Case(
        RESPONSES,
        responses_stream(
            {"type": "response.output_item.done", "output_index": 0, "item": FUNCTION_CALL},
            {
                "type": "response.completed",
                "response": response(
                    "completed", responses_usage(1000, 60), output=[FUNCTION_CALL]
                ),
            },
            deltas=0,
        ),
        "0.0026",
    ),
    "responses 500": Case(
        RESPONSES, json.dumps({"error": FAILED}).encode(), "0", JSON, 500, outcome="released"
    ),
    "responses": Case(
        RESPONSES,
        json.dumps(
            response(
                "completed",
                responses_usage(1000, 2000, cached_tokens=100, cache_write_tokens=500),
            )
        ).encode(),
        "0.02206",
        JSON,
    ),
    "responses stream": Case(
        RESPONSES,
        ended("completed", responses_usage(1000, 2000, cached_tokens=100, cache_write_tokens=500)),
        "0.02206",
    ),
    # 1,000 x 2 + 64 x 10 = 2,640
    "responses incomplete": Case(
        RESPONSES, ended("incomplete", responses_usage(1000, 64)), "0.00264"
    ),
    "responses failed with usage": Case(
        RESPONSES, ended("failed", responses_usage(1000, 64), error=FAILED), "0.00264"
    ),
    "responses failed without usage": Case(
        RESPONSES, ended("failed", None, error=FAILED), None, outcome="uncertain"
    ),
    "responses failed at once": Case(
        RESPONSES,
        responses_stream(
            {"type": "response.failed", "response": response("failed", None, error=FAILED)},
            deltas=0,
        ),
        "0",
        outcome="released",
    ),
    "responses error event": Case(
        RESPONSES,
        responses_stream({"type": "error", "code": "server_error", "message": "x"}),
        None,
        outcome="uncertain",
    ),
    "responses cut": Case(RESPONSES, responses_stream(), None, outcome="uncertain", cut=True),
    "responses long context": Case(
        RESPONSES,
        ended("completed", responses_usage(300_000, 1000, cached_tokens=50_000)),
        "1.025",
    ),
    "responses priority": Case(
        RESPONSES,
        ended("completed", responses_usage(1000, 100), service_tier="priority"),
        "0.006",
    ),
    "responses tools of the provider": Case(
        RESPONSES,
        ended(
            "completed",
            responses_usage(1000, 100),
            tool_usage={"web_search": {"num_requests": 2}},
        ),
        None,
        outcome="uncertain",
    ),
    "responses no tools of the provider": Case(
        RESPONSES,
        ended(
            "completed",
            responses_usage(1000, 64),
            tool_usage={"web_search": {"num_requests": 0}},
        ),
        "0.00264",
    ),
    # 250,000 and 300 of tools, 100,000 cached, 500 and 1,500 thoughts:
    # 150,300 x 2.5 + 100,000 x 0.25 + 2,000 x 15 = 430,750
    "gemini": Case(
        GENERATE,
        json.dumps(
            gemini_answer(
                {
                    "promptTokenCount": 250_000,
                    "cachedContentTokenCount": 100_000,
                    "candidatesTokenCount": 500,
                    "thoughtsTokenCount": 1500,
                    "toolUsePromptTokenCount": 300,
                    "totalTokenCount": 252_300,
                }
            )
        ).encode(),
        "0.43075",
        JSON,
    ),
    # The last one counts: 1,000 x 1.25 + (48 + 300) x 10 = 4,730
    "gemini stream": Case(
        STREAM,
        sse(
            gemini_answer({"promptTokenCount": 1000, "totalTokenCount": 1000}, None),
            gemini_answer({"promptTokenCount": 1000, "candidatesTokenCount": 5}, None),
            gemini_answer(
                {
                    "promptTokenCount": 1000,
                    "candidatesTokenCount": 48,
                    "thoughtsTokenCount": 300,
                    "totalTokenCount": 1348,
                    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1000}],
                }
            ),
        ),
        "0.00473",
    ),
    # Only thoughts, and no count of candidates: 1,000 x 1.25 + 64 x 10 = 1,890
    "gemini all thoughts": Case(
        STREAM,
        sse(
            gemini_answer(
                {"promptTokenCount": 1000, "thoughtsTokenCount": 64, "totalTokenCount": 1064},
                "MAX_TOKENS",
            )
        ),
        "0.00189",
    ),
    "gemini prompt blocked": Case(
        GENERATE,
        json.dumps(
            {
                "promptFeedback": {"blockReason": "SAFETY"},
                "usageMetadata": {"promptTokenCount": 1000, "totalTokenCount": 1000},
            }
        ).encode(),
        "0.00125",
        JSON,
    ),
    # As one list, which is what the method gives without alt=sse.
    "gemini list": Case(
        STREAM.partition("?")[0],
        json.dumps(
            [
                gemini_answer({"promptTokenCount": 1000, "candidatesTokenCount": 1}, None),
                gemini_answer({"promptTokenCount": 1000, "candidatesTokenCount": 64}),
            ]
        ).encode(),
        "0.00189",
        JSON,
    ),
    # The input is known, the output bounded by the limit of 500: 1,250 + 5,000
    "gemini cut": Case(
        STREAM,
        sse(gemini_answer({"promptTokenCount": 1000, "candidatesTokenCount": 5}, None)),
        "0.00625",
        estimated=True,
        cut=True,
    ),
    # Calls of tools are output, what they answered is input: 1,200 x 1.25 + 80 x 10 = 2,300
    "gemini tool use": Case(
        STREAM,
        sse(
            gemini_answer({"promptTokenCount": 1000, "toolUsePromptTokenCount": 200}, None),
            gemini_answer(
                {
                    "promptTokenCount": 1000,
                    "toolUsePromptTokenCount": 200,
                    "candidatesTokenCount": 20,
                    "thoughtsTokenCount": 60,
                }
            ),
        ),
        "0.0023",
    ),
    "gemini no usage": Case(STREAM, sse(gemini_answer(None)), None, outcome="uncertain"),
    "gemini sound": Case(
        GENERATE,
        json.dumps(
            gemini_answer(
                {
                    "promptTokenCount": 1000,
                    "candidatesTokenCount": 5,
                    "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 900}],
                }
            )
        ).encode(),
        None,
        JSON,
        outcome="uncertain",
    ),
    "gemini provisioned": Case(
        GENERATE,
        json.dumps(
            gemini_answer({"promptTokenCount": 10, "trafficType": "PROVISIONED_THROUGHPUT"})
        ).encode(),
        None,
        JSON,
        outcome="uncertain",
    ),
    "gemini 503": Case(
        STREAM,
        json.dumps({"error": {"code": 503, "status": "UNAVAILABLE", "message": "x"}}).encode(),
        "0",
        JSON,
        503,
        outcome="released",
    ),
    "gemini error in the stream": Case(
        STREAM,
        sse({"error": {"code": 503, "status": "UNAVAILABLE", "message": "x"}}),
        "0",
        outcome="released",
    ),
}


def question(path: str, stream: bool, **more: Any) -> dict[str, Any]:  # noqa: FBT001 - as it is sent
    """Return a small request with a limit of 500 tokens."""
    if path.startswith("/llm/gemini"):
        contents = [{"role": "user", "parts": [{"text": "Say something."}]}]
        return {"contents": contents, "generationConfig": {"maxOutputTokens": 500}} | more
    if path == RESPONSES:
        return {
            "model": "gpt-6.1-sol",
            "input": "Say something.",
            "max_output_tokens": 500,
            "stream": stream,
        } | more
    return {
        "model": "gpt-6.1-sol",
        "messages": [{"role": "user", "content": "Say something."}],
        "max_completion_tokens": 500,
        "stream": stream,
    } | more


async def ask_as(bench: Bench, path: str, body: Any) -> tuple[int, Any, bytes]:
    """Send a request with the key where its dialect has it."""
    own = {"x_goog_api_key": KEY} if "gemini" in path else {"authorization": f"Bearer {KEY}"}
    return await bench.send(body, url=bench.base + path, **({"x_api_key": ""} | own))


@pytest.mark.parametrize("name", CASES)
async def test_a_recorded_answer_settles_to_the_amount_computed_by_hand(
    desk: LedgerDesk, name: str
) -> None:
    case = CASES[name]
    replay = Replay(case.answer, case.content_type, case.status, case.cut)
    async with (
        ModelServer(plain_text()) as unused,
        replaying(replay),
        open_bench(desk, unused, budget="500", upstream=Upstream(replay.url, "key")) as bench,
    ):
        body = question(case.path, case.content_type == SSE)
        try:
            status, headers, answer = await ask_as(bench, case.path, body)
        except aiohttp.ClientError:
            assert case.cut
            status, headers, answer = case.status, {}, b""
        await bench.all_settled()

        [(call, settlement)] = bench.observer.settlements
        hold = Decimal(call.hold_cad)
        expected = hold if case.usd is None else cad(Decimal(case.usd), await bench.rate())
        assert status == case.status
        assert await bench.ledger() == (expected, 0)
        assert settlement.outcome == case.outcome
        assert settlement.estimated == (case.estimated or case.outcome == "uncertain")
        if not case.cut:
            assert headers["request-id"] == settlement.id
            assert headers["x-autovibe-upstream-request-id"] == "req_theirs"
        if not case.cut and case.path != CHAT:
            assert answer == case.answer


@pytest.mark.parametrize("chunk", [1, 7, 10_000])
@pytest.mark.parametrize("asked", [False, True])
async def test_a_chat_stream_is_passed_on_with_usage_only_when_it_was_asked_for(
    desk: LedgerDesk,
    chunk: int,
    asked: bool,  # noqa: FBT001 - parametrised
) -> None:
    usage = chat_usage(1000, 2000)
    replay = Replay(chat_stream(usage, DONE), chunk=chunk)
    async with (
        ModelServer(plain_text()) as unused,
        replaying(replay),
        open_bench(desk, unused, upstream=Upstream(replay.url, "key")) as bench,
    ):
        more: dict[str, Any] = {"stream_options": {"include_usage": True}} if asked else {}
        body = question(CHAT, stream=True, **more)
        _, _, answer = await ask_as(bench, CHAT, body)

        without = chat_stream(None, DONE).replace(b',"usage":null', b"")
        assert answer == (replay.answer if asked else without)
        sent = replay.requests[0]["body"]
        assert sent == body | {"stream_options": {"include_usage": True}}
        assert (await bench.ledger())[0] == cad(Decimal("0.022"), await bench.rate())
