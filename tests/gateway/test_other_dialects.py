"""OpenAI and Gemini: credentials, limits, and what a machine may ask of them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from gateway_bench import KEY, cad, open_bench
from ledger_desk import LedgerDesk
from other_dialects import (
    CHAT,
    COST,
    GENERATE,
    PATHS,
    RESPONSES,
    STREAM,
    USAGE,
    ask,
    key_for,
    limit_of,
    limited,
    message_of,
    provider_of,
)

from autovibe.gateway import ProviderPolicy
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import (
    Script,
    Text,
    ToolUse,
    Turn,
    plain_text,
)


@pytest.fixture
def desk(sqlite_desk: LedgerDesk) -> LedgerDesk:
    """Give a ledger on SQLite: what is tested here does not depend on the database."""
    return sqlite_desk


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [CHAT, RESPONSES, GENERATE])
async def test_a_call_is_forwarded_with_the_real_key_and_settled_at_its_price(
    desk: LedgerDesk, path: str, *, stream: bool
) -> None:
    script = plain_text("An answer in several pieces, so that it can be streamed.", USAGE)
    async with ModelServer(script) as provider, open_bench(desk, provider) as bench:
        body, url = ask(path), path
        if stream and path == GENERATE:
            url = f"{STREAM}?alt=sse&key=of-the-machine&$fields=candidates"
        elif stream:
            body = ask(path, stream=True)
        status, headers, answer = await bench.send(
            body, url=bench.base + url, **key_for(path), cookie="a=b", openai_organization="org"
        )

        assert status == 200, answer
        assert b"An answer in several" in answer
        [got] = provider.calls()
        sent = str(dict(got.headers)) + got.query + json.dumps(got.body)
        assert KEY not in sent
        assert "of-the-machine" not in sent
        assert provider.api_key in sent
        assert not {"cookie", "openai-organization"} & {name.lower() for name in got.headers}
        assert got.query == ("alt=sse" if stream and path == GENERATE else "")
        assert provider.api_key.encode() not in answer
        cost = cad(COST[provider_of(path)], await bench.rate())
        assert await bench.ledger() == (cost, 0)
        assert int(headers["x-autovibe-max-tokens-added"]) == limit_of(got.body) == 32_768
        raw = bench.observer.settlements[0][1].raw_usage
        assert raw["totalTokenCount" if path == GENERATE else "total_tokens"] == 1100


@pytest.mark.parametrize("path", [GENERATE, STREAM])
async def test_a_key_in_the_query_opens_gemini_and_goes_no_further(
    desk: LedgerDesk, path: str
) -> None:
    async with ModelServer(plain_text()) as provider, open_bench(desk, provider) as bench:
        good = await bench.send(ask(path), url=f"{bench.base}{path}?key={KEY}", x_api_key="")
        bad = await bench.send(ask(path), url=f"{bench.base}{path}?key=other", x_api_key="")

        assert (good[0], bad[0]) == (200, 401)
        assert message_of(path, bad[2], "UNAUTHENTICATED")
        assert [call.query for call in provider.calls()] == [""]


@pytest.mark.parametrize("path", PATHS)
async def test_an_exhausted_budget_is_refused_in_the_dialect_of_the_caller(
    desk: LedgerDesk, path: str
) -> None:
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider, budget="0.000001") as bench,
    ):
        status, headers, answer = await bench.send(
            ask(path), url=bench.base + path, **key_for(path)
        )

        assert status == 400
        assert headers["x-should-retry"] == "false"
        message = message_of(path, answer, "FAILED_PRECONDITION")
        assert "autovibe budget raise website money AMOUNT" in message
        if provider_of(path) == "openai":
            assert json.loads(answer)["error"]["code"] == "insufficient_quota"
        assert not provider.requests


@pytest.mark.parametrize("snake", [False, True])
@pytest.mark.parametrize("path", PATHS)
async def test_the_limit_is_lowered_to_what_fits_under_the_name_that_it_has(
    desk: LedgerDesk, path: str, *, snake: bool
) -> None:
    budget = "0.2" if provider_of(path) == "openai" else "0.05"
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider, budget=budget) as bench,
    ):
        body = ask(path, **limited(path, 64_000, snake=snake))
        status, headers, answer = await bench.send(body, url=bench.base + path, **key_for(path))

        assert status == 200, answer
        clamped = int(headers["x-autovibe-max-tokens-clamped"])
        sent = provider.calls()[0].body
        assert 4096 <= clamped < 64_000
        assert sent == ask(path, **limited(path, clamped, snake=snake))
        await desk.budget("0.01")
        refused, _, _ = await bench.send(body, url=bench.base + path, **key_for(path))
        assert refused == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/llm/openai/v1/models", 200),
        ("GET", "/llm/gemini/v1beta/models", 200),
        ("POST", "/llm/gemini/v1beta/models/gemini-2.5-flash:countTokens", 200),
        ("POST", "/llm/openai/v1/completions", 404),
        ("POST", "/llm/openai/v1/files", 404),
        ("POST", "/llm/openai/v1/responses/x/cancel", 404),
        ("GET", "/llm/openai/v1/responses", 404),
        ("GET", "/llm/openai/v1/models/gpt-5", 404),
        ("POST", "/llm/gemini/v1beta/models/gemini-2.5-flash:batchGenerateContent", 404),
        ("POST", "/llm/gemini/v1beta/cachedContents", 404),
        ("POST", "/llm/gemini/v1beta/models/a%2Fb:generateContent", 404),
        ("POST", "/llm/gemini/v1beta/models/../x:generateContent", 404),
        ("GET", "/llm/gemini/v1beta/models/gemini-2.5-flash:generateContent", 404),
    ],
)
async def test_only_the_listed_paths_exist_and_free_ones_need_no_budget(
    desk: LedgerDesk, method: str, path: str, status: int
) -> None:
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider, budget="0") as bench,
    ):
        body = ask(GENERATE) if method == "POST" else None
        got, _, answer = await bench.send(
            body, method=method, url=bench.base + path, **key_for(path)
        )

        assert got == status, answer
        assert len(provider.requests) == (status == 200)
        if status == 404:
            message_of(path, answer, "NOT_FOUND")


def chat_part(**part: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [part]}]}


def gemini_part(**part: Any) -> dict[str, Any]:
    return {"contents": [{"parts": [part]}]}


REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    (CHAT, "web_search_options", {"web_search_options": {"search_context_size": "low"}}),
    (CHAT, "service_tier", {"service_tier": "priority"}),
    (CHAT, "tools[0].type", {"tools": [{"type": "web_search"}]}),
    (CHAT, "modalities", {"modalities": ["text", "audio"]}),
    (CHAT, "audio", {"audio": {"voice": "alloy"}}),
    (CHAT, "prediction", {"prediction": {"type": "content", "content": "x"}}),
    (CHAT, "n", {"n": 1000}),
    (CHAT, "model", {"model": "gpt-4o-search-preview"}),
    (CHAT, "prompt_cache_retention", {"prompt_cache_retention": "12h"}),
    (
        CHAT,
        "messages[0].content[0].image_url",
        chat_part(type="image_url", image_url={"url": "https://example.org/a.png"}),
    ),
    (CHAT, "messages[0].content[0].file", chat_part(type="file", file={"file_id": "f"})),
    (CHAT, "messages[0].content[0].input_audio", chat_part(type="input_audio", input_audio={})),
    (RESPONSES, "background", {"background": True}),
    (RESPONSES, "previous_response_id", {"previous_response_id": "resp_1"}),
    (RESPONSES, "conversation", {"conversation": "conv_1"}),
    (RESPONSES, "prompt", {"prompt": {"id": "pmpt_1"}}),
    (RESPONSES, "service_tier", {"service_tier": "flex"}),
    *(
        (RESPONSES, "tools[0].type", {"tools": [{"type": kind}]})
        for kind in (
            "web_search",
            "web_search_preview",
            "file_search",
            "code_interpreter",
            "computer_use_preview",
            "image_generation",
            "mcp",
            "shell",
            "a_tool_of_tomorrow",
        )
    ),
    (
        RESPONSES,
        "tools[0].tools[0].type",
        {"tools": [{"type": "namespace", "name": "a", "tools": [{"type": "web_search"}]}]},
    ),
    (
        RESPONSES,
        "input[0].tools[0].type",
        {"input": [{"type": "additional_tools", "tools": [{"type": "web_search"}]}]},
    ),
    (RESPONSES, "input[0]", {"input": [{"type": "item_reference", "id": "msg_1"}]}),
    (RESPONSES, "input[0]", {"input": [{"id": "msg_1"}]}),
    (
        RESPONSES,
        "input[0].content[0].file_url",
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://e"}]}]},
    ),
    (
        RESPONSES,
        "input[0].output[0].file_id",
        {
            "input": [
                {
                    "type": "function_call_output",
                    "call_id": "c",
                    "output": [{"type": "input_image", "file_id": "f"}],
                }
            ]
        },
    ),
    *(
        (GENERATE, f"tools[0].{name}", {"tools": [{name: {}}]})
        for name in (
            "googleSearch",
            "google_search",
            "googleSearchRetrieval",
            "codeExecution",
            "urlContext",
            "url_context",
            "fileSearch",
            "computerUse",
            "mcpServers",
        )
    ),
    (GENERATE, "tools[0].googleSearch", {"tools": {"googleSearch": {}}}),
    (GENERATE, "cachedContent", {"cachedContent": "cachedContents/x"}),
    (GENERATE, "cachedContent", {"cached_content": "cachedContents/x"}),
    (GENERATE, "serviceTier", {"service_tier": "priority"}),
    (GENERATE, "candidateCount", {"generationConfig": {"candidateCount": 100}}),
    (
        GENERATE,
        "generationConfig.responseModalities",
        {"generationConfig": {"responseModalities": ["IMAGE"]}},
    ),
    (GENERATE, "contents[0].parts[0].fileData", gemini_part(fileData={"fileUri": "https://e"})),
    (GENERATE, "contents[0].parts[0].fileData", gemini_part(file_data={"fileUri": "gs://e"})),
    (
        GENERATE,
        "contents[0].parts[0].inlineData",
        gemini_part(inline_data={"mime_type": "audio/wav", "data": ""}),
    ),
    (GENERATE, "The name 'generationConfig'", {"generationConfig": {}, "generation_config": {}}),
    (GENERATE, "generationConfig.maxOutputTokens", {"generationConfig": {"maxOutputTokens": "9"}}),
]


async def test_what_the_provider_would_do_for_the_machine_is_refused_by_name(
    desk: LedgerDesk,
) -> None:
    async with ModelServer(plain_text()) as provider, open_bench(desk, provider) as bench:
        for path, field, more in REFUSED:
            status, headers, answer = await bench.send(
                ask(path, **more), url=bench.base + path, **key_for(path)
            )
            assert status == 400, (field, answer)
            message = message_of(path, answer, "INVALID_ARGUMENT")
            assert message.startswith((f"{field}:", f"{field} ")), message
            assert headers["x-should-retry"] == "false"
        assert not provider.requests
        assert await bench.ledger() == (0, 0)


PASSES: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"service_tier": "default", "store": True, "a_field_of_tomorrow": {"x": 1}}),
    (CHAT, {"tools": [{"type": "function", "function": {"name": "a"}}, {"type": "custom"}]}),
    (CHAT, chat_part(type="image_url", image_url={"url": "data:image/png;base64,AAAA"})),
    (RESPONSES, {"store": False, "include": ["reasoning.encrypted_content"]}),
    (
        RESPONSES,
        {
            "tools": [
                {"type": "function", "name": "a"},
                {"type": "custom", "name": "apply_patch"},
                {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "b"}]},
                {"type": "shell", "environment": {"type": "local"}},
                {"type": "tool_search"},
            ]
        },
    ),
    (
        GENERATE,
        {"tools": [{"functionDeclarations": [{"name": "a"}]}], "safetySettings": [], "new": 1},
    ),
    (GENERATE, gemini_part(inlineData={"mimeType": "image/png", "data": "AAAA"})),
]


async def test_what_runs_in_the_machine_and_unknown_plain_fields_pass(desk: LedgerDesk) -> None:
    async with (
        ModelServer(plain_text(), strict=False) as provider,
        open_bench(desk, provider, budget="50") as bench,
    ):
        for path, more in PASSES:
            body = ask(path, **more)
            status, _, answer = await bench.send(body, url=bench.base + path, **key_for(path))
            assert status == 200, (more, answer)
            sent = provider.calls()[-1].body
            assert {name: sent[name] for name in body} == body


async def test_what_a_project_allows_is_held_at_what_it_can_cost(desk: LedgerDesk) -> None:
    policy = ProviderPolicy(frozenset({"url_sources", "service_tier", "previous_response_id"}))
    async with (
        ModelServer(plain_text(), strict=False) as provider,
        open_bench(desk, provider, budget="1000", policy=policy) as bench,
    ):
        rate = await bench.rate()

        async def hold(path: str, **more: Any) -> Decimal:
            status, headers, answer = await bench.send(
                ask(path, **limited(path, 1000), **more), url=bench.base + path, **key_for(path)
            )
            assert status == 200, answer
            return Decimal(headers["x-autovibe-hold-cad"])

        # The whole window of 1,050,000 tokens, at the dearest tier and kind of input (8 dollars
        # for a million), and 1,000 tokens out at 15.
        usd = Decimal("1.05") * 8 + Decimal("0.015")
        image = chat_part(type="image_url", image_url={"url": "https://example.org/a.png"})
        assert await hold(CHAT, **image) == usd * rate
        assert await hold(RESPONSES, previous_response_id="resp_1") == usd * rate
        standard = await hold(CHAT)
        assert await hold(CHAT, n=4) > standard * 3
        assert await hold(CHAT, service_tier="priority") > standard * Decimal("1.9")


@pytest.mark.parametrize("path", [CHAT, RESPONSES, GENERATE])
async def test_the_observer_hears_of_the_tools_that_a_request_answers(
    desk: LedgerDesk, path: str
) -> None:
    script = Script((Turn((ToolUse("run", {"a": 1}),)), Turn((Text("Done."),))))
    async with ModelServer(script) as provider, open_bench(desk, provider) as bench:
        first = ask(path)
        _, _, answer = await bench.send(first, url=bench.base + path, **key_for(path))
        said = json.loads(answer)
        if path == CHAT:
            called = said["choices"][0]["message"]
            call_id = called["tool_calls"][0]["id"]
            result = {"role": "tool", "tool_call_id": call_id, "content": "ok"}
            first["messages"] += [called, result]
        elif path == RESPONSES:
            call_id = said["output"][0]["call_id"]
            result = {"type": "function_call_output", "call_id": call_id, "output": "ok"}
            asked = {"role": "user", "content": first["input"]}
            first["input"] = [asked, *said["output"], result]
        else:
            called = said["candidates"][0]["content"]
            call = called["parts"][0]["functionCall"]
            call_id = call["id"]
            response = {"id": call_id, "name": call["name"], "response": {"output": "ok"}}
            result = {"role": "user", "parts": [{"functionResponse": response}]}
            first["contents"] += [called, result]
        _, _, last = await bench.send(first, url=bench.base + path, **key_for(path))

        assert b"Done." in last
        assert [call.tool_use_ids for call in bench.observer.arrivals] == [(), (call_id,)]
        assert bench.observer.arrivals[1].follows_tool_result
