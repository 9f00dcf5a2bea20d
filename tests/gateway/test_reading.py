"""Reading bodies and answers without changing them, and bounding what they can cost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autovibe.gateway.body import with_max_tokens, with_member
from autovibe.gateway.bounds import (
    Conversations,
    UnboundedRequestError,
    request_bounds,
    smallest_output,
)
from autovibe.gateway.chat import ChatUsage
from autovibe.gateway.policy import ProviderUse
from autovibe.gateway.usage_stream import AnthropicUsage

NO_USE = ProviderUse()
START = {
    "type": "message_start",
    "message": {
        "model": "m",
        "usage": {"input_tokens": 7, "output_tokens": 1, "speed": "standard"},
    },
}
DELTA = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn"},
    "usage": {"output_tokens": 50, "input_tokens": None},
    "context_management": {"applied_edits": [{"cleared_input_tokens": 30}, {"type": "x"}]},
}
TEXT = {"type": "content_block_delta", "delta": {"text": 'event: message_stop {"usage":1}'}}


def events(*data: Any, end: str = "\n", named: bool = True) -> bytes:
    """Return server-sent events."""
    lines = [
        ([f"event: {one['type']}"] if named else []) + [f"data: {json.dumps(one)}", ""]
        for one in data
    ]
    return "".join(line + end for event in lines for line in event).encode()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3, 11, 10_000])
def test_usage_is_read_however_a_stream_is_cut(end: str, named: bool, size: int) -> None:  # noqa: FBT001 - parametrised
    stream = events(START, TEXT, DELTA, {"type": "message_stop"}, end=end, named=named)
    usage = AnthropicUsage()

    for start in range(0, len(stream), size):
        assert not usage.stopped
        usage.feed(stream[start : start + size])

    assert usage.usage == {"input_tokens": 7, "output_tokens": 50, "speed": "standard"}
    assert (usage.model, usage.final, usage.stopped) == ("m", True, True)
    assert usage.cleared_input_tokens == 30


def test_a_delta_without_a_reason_of_the_stop_is_not_final() -> None:
    usage = AnthropicUsage()
    usage.feed(events(START, DELTA | {"delta": {}}))
    assert (usage.input_known, usage.final) == (True, False)
    usage.feed(events(DELTA))
    assert usage.final


def test_a_delta_without_a_start_is_not_final() -> None:
    usage = AnthropicUsage()
    usage.feed(events(DELTA))
    assert not usage.final


@pytest.mark.parametrize(
    "garbage",
    [b"data: {\n\n", b"data: 7\n\n", b": hello\n\n", b"\n\n\n\n", b"data: [1]\n\n", b"\xff\n\n"],
)
def test_events_that_make_no_sense_are_passed_over(garbage: bytes) -> None:
    usage = AnthropicUsage()
    usage.feed(garbage + events(START) + garbage + events({"type": "error", "error": {}}))
    assert (usage.started, usage.failed) == (True, True)


def test_an_event_without_an_end_does_not_fill_the_memory() -> None:
    usage = AnthropicUsage()
    for _ in range(17):
        usage.feed(b"x" * 1024 * 1024)
    usage.feed(events(START))
    assert not usage.started
    assert not usage._events.rest


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"usage": 3}', b'{"usage": {}}'])
def test_a_whole_answer_without_usage_is_not_final(body: bytes) -> None:
    usage = AnthropicUsage()
    usage.whole(body)
    assert not usage.final


@pytest.mark.parametrize(
    "body",
    [
        b'{"max_tokens":9}',
        b'{ "a": {"max_tokens": 1}, "max_tokens" : 9 }',
        b'{"a":"max_tokens","b":["}{",{"max_tokens":7}],"max_tokens":9}',
        b'{"a":"\\"max_tokens\\":3","max_\\u0074okens":9,"z":1}',
    ],
)
def test_only_the_number_of_the_top_level_limit_is_changed(body: bytes) -> None:
    assert with_max_tokens(body, 64_000) == body.replace(b"9", b"64000")


def request(**more: Any) -> dict[str, Any]:
    """Return a request."""
    return {"model": "m", "max_tokens": 1000, "messages": []} | more


def tokens(parsed: dict[str, Any], known: int | None = None, window: int | None = 200_000) -> int:
    """Return the bound of the input of a request."""
    body = json.dumps(parsed).encode()
    return request_bounds(body, parsed, NO_USE, known, window).input_tokens


def test_text_is_bounded_by_its_bytes_and_by_what_was_counted_before() -> None:
    plain = request(messages=[{"role": "user", "content": "é" * 5000}])
    size = len(json.dumps(plain).encode())

    assert tokens(plain) == size
    assert tokens(plain, known=3_000) == 3_000
    assert tokens(plain, known=10**6) == size


def test_what_is_not_text_is_bounded_otherwise() -> None:
    image = {"type": "image", "source": {"type": "base64", "data": "AAAA"}}
    pdf = {"type": "document", "source": {"type": "base64", "data": "AAAA"}}
    nested = {"type": "tool_result", "content": [image, image]}

    def with_blocks(*blocks: Any) -> dict[str, Any]:
        return request(messages=[{"role": "user", "content": list(blocks)}])

    assert tokens(with_blocks(image), known=5) > 5_000
    assert tokens(with_blocks(nested), known=5) > 10_000
    assert tokens(with_blocks(pdf)) == 200_000
    with pytest.raises(UnboundedRequestError):
        tokens(with_blocks(pdf), window=None)


def test_thinking_and_tools_that_come_back_are_counted() -> None:
    thinking = {"type": "thinking", "thinking": "t" * 4000, "signature": "s"}
    deferred = {"name": "x", "description": "d" * 3000, "defer_loading": True}

    assert tokens(request(messages=[{"role": "assistant", "content": [thinking]}]), 100) > 4_100
    assert tokens(request(tools=[deferred]), 100) > 4_000
    assert tokens(request(tools=[{"type": "bash_20250124", "name": "bash"}]), 100) == 3_100


def test_a_compaction_reads_and_writes_once_more() -> None:
    parsed = request(context_management={"edits": [{"type": "compact_20260112"}]})
    bounds = request_bounds(b"x" * 100, parsed, NO_USE, None, None)

    assert (bounds.samplings, bounds.output_samplings) == (2, 2)


def test_searches_read_the_whole_context_again() -> None:
    bounds = request_bounds(b"x", request(), ProviderUse(web_searches=3, web_fetches=1), None, 1000)

    assert (bounds.input_tokens, bounds.samplings, bounds.web_searches) == (1000, 5, 3)


@pytest.mark.parametrize(
    ("more", "floor"),
    [
        ({"max_tokens": 100}, 100),
        ({"max_tokens": 64_000}, 4_096),
        ({"max_tokens": 64_000, "thinking": {"type": "enabled", "budget_tokens": 9_000}}, 9_001),
        ({"max_tokens": 64_000, "thinking": {"type": "adaptive"}}, 4_096),
        ({"max_tokens": 5_000, "thinking": {"budget_tokens": 9_000}}, 5_000),
    ],
)
def test_the_floor_of_the_limit(more: dict[str, Any], floor: int) -> None:
    assert smallest_output(request(**more)) == floor


def test_a_longer_conversation_is_bounded_by_what_it_adds() -> None:
    conversations = Conversations()
    before = b'{"messages":["' + b"a" * 10_000 + b'"],"tools":"' + b"t" * 10_000 + b'"}'
    after = before.replace(b'"],', b'","' + b"b" * 100 + b'"],')
    conversations.settled("s", before, request(), 6_000)

    assert conversations.bound("s", before, request()) == 6_064
    assert conversations.bound("s", after, request()) == 6_064 + 103
    assert conversations.bound("other", after, request()) is None
    assert conversations.bound("s", after, request(model="another")) is None
    assert conversations.bound("s", after, request(thinking={"type": "enabled"})) is None
    assert conversations.bound("s", b"z" * 500, request()) == 6_064 + 500


def test_only_a_few_conversations_of_bounded_size_are_remembered() -> None:
    conversations = Conversations()
    for number in range(20):
        conversations.settled(str(number), b"x", request(), 1)
    conversations.settled("huge", b"x" * (5 * 1024 * 1024), request(), 1)

    assert conversations.bound("0", b"x", request()) is None
    assert conversations.bound("19", b"x", request()) is not None
    assert conversations.bound("huge", b"x", request()) is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"a": 1},
        {"a": {"b": 2, "c": [1, {"b": 3}]}, "b": 4},
        {"a": {}, "x": '{"a": {"b": 7}}', '"a"': 1},
        {"z": [{"a": {"b": 0}}], "a": {"d": None, "b": {"deep": [1]}}},
        {"a": {"\\": ",", "b": "}"}},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("path", [("a",), ("a", "b"), ("n",), ("n", "m", "o")])
def test_one_member_is_replaced_or_added_and_nothing_else(
    body: dict[str, Any], indent: int | None, path: tuple[str, ...]
) -> None:
    raw = json.dumps(body, indent=indent).encode()
    expected = json.loads(raw)
    inner = expected
    for name in path[:-1]:
        inner[name] = inner[name] if isinstance(inner.get(name), dict) else {}
        inner = inner[name]
    inner[path[-1]] = [9]

    changed = with_member(raw, path, b"[9]")

    assert json.loads(changed) == expected
    kept = [line for line in raw.splitlines() if b'"x"' in line and indent]
    assert all(line in changed for line in kept)


@pytest.mark.parametrize("size", [1, 3, 4096])
def test_an_endless_event_of_a_completion_is_passed_on_and_fills_no_memory(size: int) -> None:
    usage = ChatUsage(hide_usage=True)
    begun = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    passed = b"".join(usage.feed(begun[i : i + size]) for i in range(0, len(begun), size))
    endless = b"data: " + b"x" * 1024 * 1024
    for _ in range(17):
        passed += usage.feed(endless)
    passed += usage.feed(b"\n\n") + usage.ended()

    assert passed == begun + endless * 17 + b"\n\n"
    assert usage.started
    assert not usage.final
