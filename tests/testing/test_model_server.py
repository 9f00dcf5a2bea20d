"""The scripted model server answers as the provider does, and misbehaves as told."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import (
    Fault,
    Script,
    Text,
    Thinking,
    ToolUse,
    Turn,
    Usage,
    bash,
    plain_text,
    steps,
)

VERSION = {"anthropic-version": "2023-06-01"}


def body(*messages, **changes):
    said = messages or ({"role": "user", "content": "Hello"},)
    return {"model": "m-1", "max_tokens": 100, "messages": list(said)} | changes


def with_call(answer, result="ok"):
    calls = [block["id"] for block in answer["content"] if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call, "content": result} for call in calls]
    return [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": answer["content"]},
        {"role": "user", "content": results},
    ]


@pytest.fixture
async def session():
    """An HTTP client."""
    async with aiohttp.ClientSession() as session:
        yield session


async def post(session, server, payload, *, key=None, path="/v1/messages", headers=None):
    sent = {"x-api-key": key or server.api_key} | VERSION | (headers or {})
    async with session.post(server.url + path, json=payload, headers=sent) as response:
        return response.status, response.headers.copy(), await response.json()


async def stream(session, server, payload):
    sent = {"x-api-key": server.api_key} | VERSION
    url = server.url + "/v1/messages"
    async with session.post(url, json=payload | {"stream": True}, headers=sent) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        return parse((await response.read()).decode())


def parse(text):
    events = []
    for part in text.split("\n\n"):
        if part:
            name, data = part.split("\n")
            value = json.loads(data.removeprefix("data: "))
            assert name == f"event: {value['type']}"
            events.append(value)
    return events


async def test_unstreamed_answer_has_the_providers_form(session):
    usage = Usage(
        input_tokens=7,
        output_tokens=9,
        cache_creation_input_tokens=3,
        cache_creation_1h_input_tokens=2,
        cache_read_input_tokens=11,
    )
    async with ModelServer(plain_text("Hi", usage)) as server:
        status, headers, answer = await post(session, server, body())
    assert status == 200
    assert answer["type"] == "message"
    assert answer["role"] == "assistant"
    assert answer["model"] == "m-1"
    assert answer["content"] == [{"type": "text", "text": "Hi"}]
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("end_turn", None)
    assert answer["usage"] == {
        "input_tokens": 7,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 11,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 2},
        "output_tokens": 9,
        "service_tier": "standard",
    }
    [bill] = server.billed
    assert bill.request_id == headers["request-id"] == server.requests[0].request_id
    assert (bill.input_tokens, bill.output_tokens, bill.cache_read_input_tokens) == (7, 9, 11)
    assert (bill.cache_creation_input_tokens, bill.cache_creation_1h_input_tokens) == (3, 2)


async def test_streamed_answer_has_the_providers_order_and_joins_to_the_whole(session):
    text = "A text that is longer than one delta, with ü and 漢字."
    turn = Turn((Thinking("Hm"), Text(text), ToolUse("Bash", {"command": text})))
    async with ModelServer(Script((turn,))) as server:
        events = await stream(session, server, body())
    names = [event["type"] for event in events]
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]
    assert "ping" in names
    start = events[0]["message"]
    assert start["content"] == []
    assert start["stop_reason"] is None
    assert start["usage"]["input_tokens"] == server.billed[0].input_tokens
    assert start["usage"]["service_tier"] == "standard"
    assert start["usage"]["cache_read_input_tokens"] == 0
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    assert events[-2]["usage"]["output_tokens"] == server.billed[0].output_tokens == 80
    blocks = [event for event in events if "index" in event]
    assert [event["index"] for event in blocks] == sorted(event["index"] for event in blocks)
    for index in range(3):
        own = [event["type"] for event in blocks if event["index"] == index]
        assert own[0] == "content_block_start"
        assert own[-1] == "content_block_stop"
        assert len(own) > 2
        assert set(own[1:-1]) == {"content_block_delta"}
    deltas = [event["delta"] for event in blocks if event["type"] == "content_block_delta"]
    assert "".join(delta.get("thinking", "") for delta in deltas) == "Hm"
    assert "".join(delta.get("text", "") for delta in deltas) == text
    assert json.loads("".join(delta.get("partial_json", "") for delta in deltas)) == {
        "command": text
    }


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_chunks_that_cut_events_and_characters_carry_the_same_stream(session, size):
    async with ModelServer(plain_text("ü漢" * 20), chunk_bytes=size) as server:
        events = await stream(session, server, body())
    texts = [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(texts) == "ü漢" * 20


async def test_turn_follows_from_the_conversation_alone(session):
    async with ModelServer(steps(2)) as server, ModelServer(steps(2)) as other:
        _, _, first = await post(session, server, body())
        _, _, again = await post(session, server, body())
        assert first["content"][0]["input"] == again["content"][0]["input"]
        assert first["content"][0]["id"] != again["content"][0]["id"]
        assert first["content"][0]["input"]["command"] == "echo step 1 >> steps.txt"
        # Another server, which has not seen the first request, goes on from there.
        _, _, second = await post(session, other, body(*with_call(first)))
        assert second["content"][0]["input"]["command"] == "echo step 2 >> steps.txt"
    assert [request.turn for request in server.requests] == [0, 0]


async def test_messages_that_agents_add_do_not_move_the_script_on(session):
    async with ModelServer(steps(2)) as server:
        _, _, first = await post(session, server, body())
        told = [
            *with_call(first),
            {"role": "system", "content": "A reminder."},
            {"role": "assistant", "content": [{"type": "text", "text": "API Error: 400"}]},
            {"role": "user", "content": "Go on."},
        ]
        _, _, second = await post(session, server, body(*told))
    assert second["content"][0]["input"]["command"] == "echo step 2 >> steps.txt"


async def test_texts_move_a_script_of_texts_on_and_its_end_is_told(session):
    script = Script((Turn((Text("one"),)), Turn((Text("two"),))))
    told = [{"role": "user", "content": "Hello"}]
    answers = []
    async with ModelServer(script) as server:
        for _ in range(3):
            _, _, answer = await post(session, server, body(*told))
            answers.append(answer["content"][0]["text"])
            told += [
                {"role": "assistant", "content": answer["content"]},
                {"role": "user", "content": "More"},
            ]
    assert answers[:2] == ["one", "two"]
    assert "ended" in answers[2]


async def test_tool_that_is_not_offered_is_not_called(session):
    async with ModelServer(steps(1)) as server:
        _, _, answer = await post(session, server, body(tools=[{"name": "Read"}]))
        _, _, offered = await post(session, server, body(tools=[{"name": "Bash"}]))
    assert "Bash" in answer["content"][0]["text"]
    assert offered["content"][0]["type"] == "tool_use"


@pytest.mark.parametrize(
    "payload",
    [
        body(system="# Environment\n - Primary working directory: /w/d\n - More: x"),
        body(system=[{"type": "text", "text": "Working directory: /w/d"}]),
        body({"role": "user", "content": "<env>\nWorking directory: /w/d\n</env>"}),
        body(
            {"role": "user", "content": "Hi"},
            {"role": "system", "content": " - Primary working directory: /w/d\n"},
        ),
    ],
)
async def test_working_directory_is_taken_from_the_request(session, payload):
    read = Turn((ToolUse("Read", {"file_path": "{{cwd}}/a.py", "n": 1, "l": ["{{cwd}}", None]}),))
    async with ModelServer(Script((read,))) as server:
        _, _, answer = await post(session, server, payload)
    assert answer["content"][0]["input"] == {"file_path": "/w/d/a.py", "n": 1, "l": ["/w/d", None]}


async def test_working_directory_falls_back_to_the_configured_one(session):
    read = Turn((ToolUse("Read", {"file_path": "{{cwd}}/a.py"}),))
    async with ModelServer(Script((read,)), default_cwd="/fallback") as server:
        _, _, answer = await post(session, server, body())
    assert answer["content"][0]["input"]["file_path"] == "/fallback/a.py"


async def test_tool_input_may_be_a_function_of_the_request(session):
    turn = Turn((ToolUse("Bash", lambda request: {"command": f"echo {request.prompt}"}),))
    async with ModelServer(Script((turn,))) as server:
        _, _, answer = await post(session, server, body())
    assert answer["content"][0]["input"] == {"command": "echo Hello"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-api-key": "right"}, 200),
        ({"authorization": "Bearer right"}, 200),
        ({"x-api-key": "wrong"}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"x-api-key": "wrong", "authorization": "Bearer right"}, 401),
        ({}, 401),
    ],
)
async def test_key_is_needed(session, headers, status):
    async with ModelServer(plain_text(), api_key="right") as server:
        url = server.url + "/v1/messages"
        async with session.post(url, json=body(), headers=headers | VERSION) as response:
            assert response.status == status
            answer = await response.json()
    assert answer["type"] == ("message" if status == 200 else "error")
    assert len(server.billed) == (status == 200)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "payload",
    [
        {"max_tokens": 1, "messages": [{"role": "user", "content": "x"}]},
        body(max_tokens=0),
        body(max_tokens=None),
        body() | {"messages": []},
        body(
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "B"}]},
            {"role": "user", "content": "no result"},
        ),
        body(
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "B"}]},
        ),
        body({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}),
        [],
    ],
)
async def test_request_that_the_provider_refuses_is_refused_and_not_billed(session, payload):
    async with ModelServer(plain_text()) as server:
        status, headers, answer = await post(session, server, payload)
    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error"
    assert answer["request_id"] == headers["request-id"]
    assert server.billed == []


async def test_version_header_is_needed(session):
    async with ModelServer(plain_text()) as server:
        status, _, answer = await post(session, server, body(), headers={"anthropic-version": ""})
    assert status == 400
    assert "anthropic-version" in answer["error"]["message"]


async def test_counted_tokens_are_those_that_are_billed(session):
    async with ModelServer(plain_text()) as server:
        path = "/v1/messages/count_tokens"
        payload = body()
        status, _, answer = await post(session, server, payload, path=path)
        await post(session, server, payload)
    assert status == 200
    assert answer["input_tokens"] == server.billed[0].input_tokens > 0
    assert answer["input_tokens"] < server.requests[0].size_bytes


async def test_other_endpoints_answer(session):
    async with ModelServer(plain_text()) as server:
        for path in ("/", "/api/hello"):
            async with session.head(server.url + path) as response:
                assert response.status == 200
        headers = {"x-api-key": server.api_key} | VERSION
        async with session.get(server.url + "/v1/models", headers=headers) as response:
            models = await response.json()
        async with session.get(server.url + "/v1/models") as response:
            assert response.status == 401
        async with session.get(server.url + "/v1/files", headers=headers) as response:
            assert response.status == 404
    assert models["has_more"] is False
    assert models["first_id"] == models["data"][0]["id"]
    recorded = [(request.method, request.path) for request in server.requests]
    assert recorded[:2] == [("HEAD", "/"), ("HEAD", "/api/hello")]


async def test_request_is_recorded_as_it_came(session):
    async with ModelServer(plain_text()) as server:
        payload = body(thinking={"type": "adaptive"}, new_field=[1])
        await post(
            session, server, payload, headers={"X-Extra": "1"}, path="/v1/messages?beta=true"
        )
    [recorded] = server.calls()
    assert recorded.body == payload
    assert recorded.headers["x-extra"] == "1"
    assert (recorded.path, recorded.query) == ("/v1/messages", "beta=true")
    assert recorded.time.tzinfo is not None


# Faults


def faulty(**fault):
    return Script(
        (Turn((Text("A text of some length, in several events."),), fault=Fault(**fault)),)
    )


async def test_http_error_is_answered_as_told_and_not_billed(session):
    script = faulty(status=529, error_type="overloaded_error", headers={"retry-after": "3"})
    async with ModelServer(script) as server:
        status, headers, answer = await post(session, server, body())
    assert status == 529
    assert headers["retry-after"] == "3"
    assert answer["error"]["type"] == "overloaded_error"
    assert server.billed == []


async def test_error_body_may_be_anything(session):
    async with ModelServer(faulty(status=500, body={"weird": 1})) as server:
        assert (await post(session, server, body()))[2] == {"weird": 1}


@pytest.mark.parametrize("events", [0, 1, 3])
async def test_stream_is_cut_after_so_many_events_and_billed(session, events):
    async with ModelServer(faulty(cut_after_events=events)) as server:
        received = b""
        with pytest.raises(aiohttp.ClientError):  # noqa: PT012  # what arrived before counts too
            url, headers = server.url + "/v1/messages", {"x-api-key": server.api_key} | VERSION
            payload = body(stream=True)
            async with session.post(url, json=payload, headers=headers) as response:
                async for chunk in response.content.iter_any():
                    received += chunk
    assert received.count(b"event: ") == events
    assert len(server.billed) == 1


async def test_unstreamed_answer_is_cut_before_its_first_byte(session):
    async with ModelServer(faulty(cut_after_events=2)) as server:
        with pytest.raises(aiohttp.ClientError):
            await post(session, server, body())
    assert len(server.billed) == 1


@pytest.mark.parametrize("events", [0, 2])
async def test_hanging_answer_ends_with_the_client_or_the_server(session, events):
    async with ModelServer(faulty(hang_after_events=events)) as server:
        url, headers = server.url + "/v1/messages", {"x-api-key": server.api_key} | VERSION
        waiting = asyncio.create_task(stream_bytes(session, url, headers))
        left = asyncio.create_task(stream_bytes(session, url, headers))
        while len(server.billed) < 2:  # noqa: ASYNC110  # the server has no event to wait for
            await asyncio.sleep(0.01)
        left.cancel()
    with pytest.raises(aiohttp.ClientError):
        await waiting


async def stream_bytes(session, url, headers):
    async with session.post(url, json=body(stream=True), headers=headers) as response:
        return await response.read()


async def test_delays_come_before_the_first_byte_and_between_events(session):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    script = faulty(first_byte_delay_s=3, event_delay_s=2)
    async with ModelServer(script, sleep=sleep) as server:
        events = await stream(session, server, body())
    assert slept == [3] + [2] * (len(events) - 1)


async def test_fault_passes_after_so_many_times_in_each_conversation(session):
    async with ModelServer(faulty(status=500, times=2)) as server:
        statuses = [(await post(session, server, body()))[0] for _ in range(4)]
        other = body(metadata={"user_id": "another session"})
        again = [(await post(session, server, other))[0] for _ in range(3)]
    assert statuses == [500, 500, 200, 200]
    assert again == [500, 500, 200]


@pytest.mark.parametrize("streamed", [False, True])
async def test_bill_stays_within_max_tokens_unless_the_script_says_otherwise(session, streamed):
    long = plain_text("x", Usage(output_tokens=5000))
    async with ModelServer(long) as server, ModelServer(faulty(billed_output_tokens=7000)) as over:
        answers = []
        for one in (server, over):
            if streamed:
                events = await stream(session, one, body())
                answers.append((events[-2]["usage"], events[-2]["delta"]["stop_reason"]))
            else:
                _, _, answer = await post(session, one, body())
                answers.append((answer["usage"], answer["stop_reason"]))
    assert server.billed[0].output_tokens == 100
    assert over.billed[0].output_tokens == 7000
    assert [usage["output_tokens"] for usage, _ in answers] == [100, 7000]
    assert answers[0][1] == "max_tokens"


async def test_reported_usage_may_be_wrong_while_the_bill_is_right(session):
    script = faulty(reported_usage={"output_tokens": 1, "input_tokens": "many"})
    async with ModelServer(script) as server:
        _, _, answer = await post(session, server, body())
        events = await stream(session, server, body())
    assert answer["usage"]["output_tokens"] == 1
    assert answer["usage"]["input_tokens"] == "many"
    assert events[-2]["usage"]["output_tokens"] == 1
    assert [bill.output_tokens for bill in server.billed] == [80, 80]


async def test_usage_may_be_left_out(session):
    async with ModelServer(faulty(no_usage=True)) as server:
        _, _, answer = await post(session, server, body())
        events = await stream(session, server, body())
    assert "usage" not in answer
    assert "usage" not in json.dumps(events)
    assert len(server.billed) == 2


async def test_script_may_be_chosen_by_the_request(session):
    scripts = {"m-1": plain_text("one"), "m-2": plain_text("two")}
    async with ModelServer(lambda request: scripts[request.model]) as server:
        _, _, one = await post(session, server, body())
        _, _, two = await post(session, server, body(model="m-2"))
    assert (one["content"][0]["text"], two["content"][0]["text"]) == ("one", "two")


async def test_many_conversations_at_once_get_their_own_turns(session):
    async def converse(server, number):
        prompt = {"role": "user", "content": f"Agent {number}"}
        told, commands = [prompt], []
        while True:
            _, _, answer = await post(session, server, body(*told))
            if answer["stop_reason"] == "end_turn":
                return commands
            commands.append(answer["content"][-1]["input"]["command"])
            told += with_call(answer)[1:]

    script = Script((bash("one"), bash("two"), bash("three"), Turn((Text("end"),))))
    async with ModelServer(script) as server:
        done = await asyncio.gather(*(converse(server, number) for number in range(20)))
    assert done == [["one", "two", "three"]] * 20
    ids = [bill.request_id for bill in server.billed]
    assert len(ids) == len(set(ids)) == 80
    assert sum(bill.output_tokens for bill in server.billed) == 80 * 80


async def test_taken_port_is_an_error_and_leaves_nothing(session):
    async with ModelServer(plain_text()) as server:
        with pytest.raises(OSError, match="address already in use"):
            async with ModelServer(plain_text(), port=server.port):
                pass
        assert (await post(session, server, body()))[0] == 200
