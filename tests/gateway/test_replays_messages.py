"""Recorded shapes of the Messages API settle to amounts that were computed by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from gateway_bench import MODEL, ask, cad, open_bench
from ledger_desk import LedgerDesk
from replaying import SSE, Replay, replaying, sse

from autovibe.gateway import ProviderPolicy, Upstream
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import plain_text

JSON = "application/json"
# Per million tokens of this model: 2 in, 0.1 read from the cache, 2.5 written for five minutes,
# 4 for an hour, 10 out. Ten dollars for a thousand web searches.


@pytest.fixture
def desk(sqlite_desk: LedgerDesk) -> LedgerDesk:
    """Give a ledger on SQLite: what is tested here does not depend on the database."""
    return sqlite_desk


@dataclass(frozen=True)
class Case:
    """A recorded answer and what it costs in US dollars; `None` is the full hold."""

    answer: bytes
    usd: str | None
    outcome: str = "settled"
    content_type: str = SSE
    status: int = 200
    estimated: bool = False
    cut: bool = False


def usage(given: int = 1000, output: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "input_tokens": given,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "service_tier": "standard",
    } | more


def written(five_minutes: int, one_hour: int) -> dict[str, Any]:
    return {
        "cache_creation_input_tokens": five_minutes + one_hour,
        "cache_creation": {
            "ephemeral_5m_input_tokens": five_minutes,
            "ephemeral_1h_input_tokens": one_hour,
        },
    }


def start(told: dict[str, Any] | None = None) -> dict[str, Any]:
    message = {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }
    return {"type": "message_start", "message": message | ({"usage": told} if told else {})}


def block(index: int, kind: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": kind},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


TEXT = block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hello"})
THINKING = block(
    0,
    {"type": "thinking", "thinking": "", "signature": ""},
    {"type": "thinking_delta", "thinking": "Hm."},
    {"type": "signature_delta", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3h"},
)
TOOL = block(
    1,
    {"type": "tool_use", "id": "toolu_01T1x1fJ34qAmk2tNTrN7Up6", "name": "Bash", "input": {}},
    {"type": "input_json_delta", "partial_json": '{"command": '},
    {"type": "input_json_delta", "partial_json": '"ls"}'},
)
PING = {"type": "ping"}
STOP = {"type": "message_stop"}


def delta(output: Any, reason: str | None = "end_turn", **more: Any) -> dict[str, Any]:
    return {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": None},
        "usage": {"output_tokens": output} | more,
    }


def stream(*events: Any) -> bytes:
    return sse(*events, named=True)


def whole(told: dict[str, Any] | None, **more: Any) -> bytes:
    message = start(told)["message"] | {"stop_reason": "end_turn"}
    content = [{"type": "text", "text": "Hello"}]
    return json.dumps(message | {"content": content} | more).encode()


def error(kind: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": "x"}, "request_id": "req_1"}


ITERATIONS = [
    {"type": "compaction", **usage(50_000, 900)},
    {"type": "message", **usage(1000, 100)},
]
CASES = {
    # 1,000 x 2 + 2,000 x 10 = 22,000
    "plain": Case(whole(usage(1000, 2000)), "0.022", content_type=JSON),
    # The first number of the output is a placeholder, the last one counts: 1,000 x 2 + 15 x 10
    "stream": Case(stream(start(usage()), PING, *TEXT, delta(15), STOP), "0.00215"),
    # 1,000 x 2 + 5,000 x 0.1 + 300 x 2.5 + 200 x 4 + 15 x 10 = 4,200
    "cache tiers": Case(
        stream(
            start(usage(cache_read_input_tokens=5000, **written(300, 200))), *TEXT, delta(15), STOP
        ),
        "0.0042",
    ),
    # The delta repeats the sum of the writes, but not their lifetimes: these stay as told.
    "cache tiers repeated": Case(
        stream(
            start(usage(cache_read_input_tokens=5000, **written(300, 200))),
            *TEXT,
            delta(
                15,
                input_tokens=1000,
                cache_read_input_tokens=5000,
                cache_creation_input_tokens=500,
            ),
            STOP,
        ),
        "0.0042",
    ),
    # A sum of writes above their parts: the rest is priced as kept for an hour.
    # 1,000 x 2 + 100 x 2.5 + 400 x 4 + 15 x 10 = 4,000
    "cache lifetime untold": Case(
        stream(
            start(usage(**(written(100, 0) | {"cache_creation_input_tokens": 500}))),
            *TEXT,
            delta(15),
            STOP,
        ),
        "0.004",
    ),
    # Thinking is in the output already: 1,000 x 2 + 700 x 10 = 9,000
    "thinking": Case(
        stream(
            start(usage()),
            *THINKING,
            *TOOL,
            delta(700, "tool_use", output_tokens_details={"thinking_tokens": 640}),
            STOP,
        ),
        "0.009",
    ),
    # 1,000 x 2 + 60 x 10 = 2,600
    "tool use": Case(stream(start(usage()), *TEXT, *TOOL, delta(60, "tool_use"), STOP), "0.0026"),
    "pause": Case(stream(start(usage()), *TEXT, delta(15, "pause_turn"), STOP), "0.00215"),
    "refusal": Case(stream(start(usage()), *TEXT, delta(15, "refusal"), STOP), "0.00215"),
    "limit": Case(stream(start(usage()), *TEXT, delta(500, "max_tokens"), STOP), "0.007"),
    # The compaction is not in the numbers at the top: (50,000 x 2 + 900 x 10) + (2,000 + 1,000)
    "compaction": Case(
        stream(start(usage()), *TEXT, delta(100, iterations=ITERATIONS), STOP), "0.112"
    ),
    # Two searches: 1,000 x 2 + 15 x 10 = 2,150, and 2 x 10,000
    "web search": Case(
        stream(start(usage()), *TEXT, delta(15, server_tool_use={"web_search_requests": 2}), STOP),
        "0.02215",
    ),
    # Cut before the end: the input is known, the output is at most its limit of 1,000.
    "cut": Case(stream(start(usage()), *TEXT), "0.012", estimated=True, cut=True),
    "cut at once": Case(b"", None, "uncertain", cut=True),
    "cut after the bill": Case(stream(start(usage()), *TEXT, delta(15)), "0.00215", cut=True),
    # A delta without a reason may be followed by another.
    "cut between deltas": Case(
        stream(start(usage()), *TEXT, delta(15, None)), "0.012", estimated=True, cut=True
    ),
    "error at once": Case(stream(error("overloaded_error")), "0", "released"),
    "error after text": Case(
        stream(start(usage()), *TEXT, error("overloaded_error")), "0.012", estimated=True
    ),
    "no usage": Case(stream(start(), *TEXT, STOP), None, "uncertain"),
    "no usage at all": Case(whole(None), None, "uncertain", JSON),
    "400": Case(
        json.dumps(error("invalid_request_error")).encode(), "0", "released", JSON, status=400
    ),
    "413": Case(json.dumps(error("request_too_large")).encode(), "0", "released", JSON, status=413),
    "529": Case(json.dumps(error("overloaded_error")).encode(), "0", "released", JSON, status=529),
    "500 of the provider": Case(
        json.dumps(error("api_error")).encode(), "0", "released", JSON, status=500
    ),
    "502 of something in between": Case(
        b"<html>Bad gateway</html>", None, "uncertain", "text/html", status=502
    ),
    "another tier": Case(
        stream(start(usage(service_tier="priority")), *TEXT, delta(15), STOP), None, "uncertain"
    ),
    "negative": Case(stream(start(usage(-5)), *TEXT, delta(15), STOP), None, "uncertain"),
    "not a number": Case(
        stream(start(usage()), *TEXT, delta(float("nan")), STOP), None, "uncertain"
    ),
    "infinite": Case(stream(start(usage()), *TEXT, delta(float("inf")), STOP), None, "uncertain"),
    "more digits than fit": Case(
        stream(start(usage()), *TEXT, delta(10**400), STOP), None, "uncertain"
    ),
    "halves": Case(stream(start(usage()), *TEXT, delta(1.5), STOP), None, "uncertain"),
    "text for a number": Case(stream(start(usage()), *TEXT, delta("15"), STOP), None, "uncertain"),
    "usage is a list": Case(
        stream(start(usage()), *TEXT, delta(15, server_tool_use=[1]), STOP), None, "uncertain"
    ),
}


async def test_recorded_answers_settle_to_the_amounts_computed_by_hand(desk: LedgerDesk) -> None:
    replay = Replay(b"")
    searching = ProviderPolicy(frozenset({"web_search"}))
    tools = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]
    async with (
        ModelServer(plain_text()) as unused,
        replaying(replay),
        open_bench(
            desk, unused, budget="9000", policy=searching, upstream=Upstream(replay.url, "key")
        ) as bench,
    ):
        before = Decimal(0)
        for name, case in CASES.items():
            replay.answer, replay.content_type = case.answer, case.content_type
            replay.status, replay.cut = case.status, case.cut
            more = {"tools": tools} if name == "web search" else {}
            body = ask(name, stream=case.content_type == SSE, **more)
            try:
                status, headers, answer = await bench.send(body)
            except aiohttp.ClientError:
                assert case.cut, name
                status, headers, answer = case.status, {}, case.answer
            await bench.all_settled()

            used, held = await bench.ledger()
            call, settlement = bench.observer.settlements[-1]
            hold = Decimal(call.hold_cad)
            expected = hold if case.usd is None else cad(Decimal(case.usd), await bench.rate())
            assert (used - before, held) == (expected, 0), name
            assert (status, answer) == (case.status, case.answer), name
            assert settlement.outcome == case.outcome, name
            estimated = case.estimated or case.outcome == "uncertain"
            assert settlement.estimated == estimated, name
            if headers:
                assert headers["request-id"] == settlement.id, name
            before = used
        assert len(bench.observer.settlements) == len(CASES)
