"""Which models a project may call, under which names, and where they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gateway_bench import KEY, MODEL, ask, open_bench, refused
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

from autovibe.gateway import ModelRules, ProviderPolicy, Upstream
from autovibe.gateway.model_names import only_allowed
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import plain_text

JSON = "application/json"
CHAT = "/llm/openai/v1/chat/completions"
RESPONSES = "/llm/openai/v1/responses"
GEMINI = "/llm/gemini/v1beta/models/{}:generateContent"
MESSAGES = "/llm/anthropic/v1/messages"
GEMINI_USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
# Of each API: its path, a body without the model, the model that it really has.
CALLS: dict[str, tuple[str, dict[str, Any], str]] = {
    "messages": (MESSAGES, ask(), MODEL),
    "chat": (CHAT, {"messages": [{"role": "user", "content": "Hi"}]}, "gpt-6.1-sol"),
    "responses": (RESPONSES, {"input": "Hi"}, "gpt-6.1-sol"),
    "gemini": (GEMINI, {"contents": [{"parts": [{"text": "Hi"}]}]}, "gemini-2.5-pro"),
}
ANSWERS = {
    "messages": json.dumps(
        {
            "type": "message",
            "model": MODEL,
            "content": [],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 10, "output_tokens": 5},
        }
    ).encode(),
    "chat": completion(chat_usage(10, 5)),
    "responses": json.dumps(response("completed", responses_usage(10, 5))).encode(),
    "gemini": json.dumps(gemini_answer(GEMINI_USAGE)).encode(),
}


@pytest.fixture
def desk(sqlite_desk: LedgerDesk) -> LedgerDesk:
    """Give a ledger on SQLite: what is tested here does not depend on the database."""
    return sqlite_desk


def policy(*allowed: str, **aliases: str) -> ProviderPolicy:
    return ProviderPolicy(models=ModelRules(allowed, aliases))


def named(api: str, model: str) -> tuple[str, dict[str, Any]]:
    """Return path and body of a call that names a model."""
    path, body, _ = CALLS[api]
    return (path.format(model), body) if api == "gemini" else (path, body | {"model": model})


@pytest.mark.parametrize("api", CALLS)
async def test_an_alias_calls_the_model_that_it_stands_for_at_its_price(
    desk: LedgerDesk, api: str
) -> None:
    model = CALLS[api][2]
    async with (
        ModelServer(plain_text()) as unused,
        replaying(Replay(ANSWERS[api], JSON)) as provider,
        open_bench(
            desk, unused, policy=policy(fast=model), upstream=Upstream(provider.url, "key")
        ) as bench,
    ):
        path, body = named(api, "fast")
        status, _, answer = await bench.send(body, url=bench.base + path, x_goog_api_key=KEY)

        assert status == 200, answer
        [got] = provider.requests
        asked = got["path"] if api == "gemini" else got["body"]["model"]
        assert model in asked
        assert bench.observer.settlements[0][0].model == model
        used, held = await bench.ledger()
        assert used > 0
        assert held == 0


@pytest.mark.parametrize("api", CALLS)
async def test_a_model_that_is_not_allowed_is_refused_in_the_callers_own_dialect(
    desk: LedgerDesk, api: str
) -> None:
    rules = policy("claude-opus-*", "gpt-9", "gemini-9", fast="claude-opus-5-5")
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider, policy=rules) as bench,
    ):
        path, body = named(api, CALLS[api][2])
        status, headers, answer = await bench.send(body, url=bench.base + path, x_goog_api_key=KEY)

        error = json.loads(answer)
        assert status == 400
        assert headers["x-should-retry"] == "false"
        message = error["error"]["message"]
        assert f"{CALLS[api][2]!r} is not allowed in this project" in message
        assert "fast, claude-opus-*" in message
        shape = {
            "messages": lambda: error["type"] == "error",
            "chat": lambda: error["error"]["type"] == "invalid_request_error",
            "responses": lambda: error["error"]["type"] == "invalid_request_error",
            "gemini": lambda: error["error"]["status"] == "INVALID_ARGUMENT",
        }[api]
        assert shape()
        assert not provider.requests
        assert await bench.ledger() == (0, 0)


async def test_counting_tokens_follows_the_same_names(desk: LedgerDesk) -> None:
    rules = policy(MODEL, fast=MODEL)
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider, policy=rules) as bench,
    ):
        count = f"{bench.url}/count_tokens"
        good, _, _ = await bench.send(ask(model="fast"), url=count)
        bad, _, _ = await bench.send(ask(model="claude-opus-5-5"), url=count)

        assert (good, bad) == (200, 400)
        [got] = provider.requests
        assert got.body["model"] == MODEL


async def test_the_list_of_models_has_only_what_is_allowed_with_aliases_first(
    desk: LedgerDesk,
) -> None:
    rules = policy("claude-sonnet-*", quick="claude-haiku-4-5", gone="claude-none")
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider, policy=rules) as bench,
    ):
        status, _, answer = await bench.send(
            url=f"{bench.base}/llm/anthropic/v1/models", method="GET"
        )

        listed = [one["id"] for one in json.loads(answer)["data"]]
        assert status == 200
        assert listed[0] == "quick"
        assert set(listed[1:]) == {"claude-sonnet-5-5", "claude-sonnet-4-5"}


def test_lists_of_every_api_are_filtered_and_what_is_none_is_left_alone() -> None:
    rules = ModelRules(("a*",), {"x": "b"})
    gemini = json.dumps({"models": [{"name": "models/a1"}, {"name": "models/b"}]}).encode()
    openai = json.dumps({"object": "list", "data": [{"id": "b"}, {"id": "c"}, "?", {}]}).encode()
    paged = json.dumps(
        {"data": [{"id": "c"}, {"id": "a2"}], "has_more": False, "first_id": "c", "last_id": "a2"}
    ).encode()

    assert json.loads(only_allowed(rules, gemini))["models"] == [
        {"name": "models/x"},
        {"name": "models/a1"},
    ]
    assert json.loads(only_allowed(rules, openai))["data"] == [{"id": "x"}]
    assert json.loads(only_allowed(rules, paged)) == {
        "data": [{"id": "a2"}],
        "has_more": False,
        "first_id": "a2",
        "last_id": "a2",
    }
    for other in (b"<html>", b"[]", b'{"data": 7}', b'{"error": {}}'):
        assert only_allowed(rules, other) == other


async def test_a_server_of_ones_own_is_called_without_a_key_at_own_prices(
    desk: LedgerDesk, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text('[vllm."*"]\ninput = 0\noutput = 1\ncurrency = "CAD"\n')
    async with (
        ModelServer(plain_text()) as unused,
        replaying(Replay(completion(chat_usage(1_000_000, 5_000)), JSON)) as server,
        open_bench(
            desk,
            unused,
            upstream=Upstream(server.url, name="our-vllm", prices="vllm", needs_key=False),
            prices_path=prices,
        ) as bench,
    ):
        body = {"model": "llama-9", "messages": [{"role": "user", "content": "Hi"}]}
        status, _, answer = await bench.send(
            body, url=bench.base + CHAT, authorization=f"Bearer {KEY}", x_api_key=""
        )

        assert status == 200, answer
        [got] = server.requests
        assert not {"authorization", "x-api-key"} & {name.lower() for name in got["headers"]}
        assert str((await bench.ledger())[0]) == "0.005"


@pytest.mark.parametrize(
    ("upstream", "says"),
    [
        (Upstream("http://127.0.0.1:1", name="our-vllm"), "AUTOVIBE_UPSTREAM_OUR_VLLM_KEY"),
        (Upstream("", name="gone", fault="There is no upstream gone; add it."), "no upstream gone"),
        (Upstream("http://127.0.0.1:1"), "AUTOVIBE_UPSTREAM_ANTHROPIC_KEY"),
    ],
)
async def test_where_no_call_can_go_it_is_said_what_is_missing(
    desk: LedgerDesk, upstream: Upstream, says: str
) -> None:
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider, upstream=upstream) as bench,
    ):
        assert says in await refused(bench, ask())
        assert await bench.ledger() == (0, 0)
