"""A provider that answers with recorded bytes, and the shapes that are recorded."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

SSE = "text/event-stream; charset=utf-8"


@dataclass
class Replay:
    """Answers every request with the same bytes; remembers what came.

    With `cut` the connection breaks off after the bytes. `chunk` is how many go out at once.
    """

    answer: bytes
    content_type: str = SSE
    status: int = 200
    cut: bool = False
    chunk: int = 50
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append(
            {
                "path": request.path,
                "query": request.query_string,
                "headers": request.headers.copy(),
                "body": json.loads(body) if body else None,
            }
        )
        headers = {"content-type": self.content_type, "x-request-id": "req_theirs"}
        response = web.StreamResponse(status=self.status, headers=headers)
        await response.prepare(request)
        for start in range(0, len(self.answer), self.chunk):
            await response.write(self.answer[start : start + self.chunk])
        if self.cut:
            assert request.transport is not None
            request.transport.abort()
        else:
            await response.write_eof()
        return response


@asynccontextmanager
async def replaying(replay: Replay) -> AsyncGenerator[Replay, None]:
    """Serve a replay on the loopback."""
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{rest:.*}", replay.serve)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    replay.url = f"http://127.0.0.1:{site.port}"
    try:
        yield replay
    finally:
        await runner.cleanup()


def sse(*data: Any, named: bool = False) -> bytes:
    """Return a stream of events; text goes out as it is."""
    events: list[str] = []
    for one in data:
        head = f"event: {one['type']}\n" if named else ""
        text = one if isinstance(one, str) else json.dumps(one, separators=(",", ":"))
        events.append(f"{head}data: {text}\n\n")
    return "".join(events).encode()


def chat_chunk(delta: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return a chunk of a streamed completion; without a delta it has no choices."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    return {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion.chunk",
        "created": 1790000000,
        "model": "gpt-6.1-sol",
        "service_tier": "default",
        "system_fingerprint": "fp_44709d6fcb",
        "choices": [] if delta is None else [choice],
        "usage": None,
    } | more


def completion(usage: dict[str, Any] | None, **more: Any) -> bytes:
    """Return a completion that is not streamed."""
    message = {"role": "assistant", "content": "Hello!", "refusal": None, "annotations": []}
    answer = {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion",
        "created": 1790000000,
        "model": "gpt-6.1-sol",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "service_tier": "default",
    }
    return json.dumps(answer | ({"usage": usage} if usage else {}) | more).encode()


def chat_usage(prompt: int, output: int, **details: int) -> dict[str, Any]:
    """Return usage of a completion."""
    lifetimes = {
        name: details.pop(name) for name in ("ttl_30m_tokens", "ttl_12h_tokens") if name in details
    }
    more = {"cache_write_tokens_details": lifetimes} if lifetimes else {}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0, **details, **more},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def response(status: str, usage: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    """Return a response object."""
    return {
        "id": "resp_67ccd3a9da748190baa7f1570fe91ac604becb25c45c1d41",
        "object": "response",
        "created_at": 1790000000,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": "gpt-6.1-sol",
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "service_tier": "default",
        "store": True,
        "usage": usage,
    } | more


def responses_stream(*ending: dict[str, Any], deltas: int = 3) -> bytes:
    """Return the events of a streamed response, up to and with its last ones."""
    begun = response("in_progress", None, service_tier="auto")
    item = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant"}
    delta = {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "Hel"}
    started = [{"type": "response.output_item.added", "output_index": 0, "item": item}]
    return sse(
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        *(started if deltas else []),
        *[delta] * deltas,
        *ending,
        named=True,
    )


def responses_usage(given: int, output: int, **details: int) -> dict[str, Any]:
    """Return usage of a response."""
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0, **details},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": output // 2},
        "total_tokens": given + output,
    }


def gemini_answer(usage: dict[str, Any] | None, finish: str | None = "STOP") -> dict[str, Any]:
    """Return a whole or partial answer of Gemini."""
    candidate: dict[str, Any] = {
        "content": {"parts": [{"text": "Hello!"}], "role": "model"},
        "index": 0,
    }
    answer: dict[str, Any] = {
        "candidates": [candidate | ({"finishReason": finish} if finish else {})],
        "modelVersion": "gemini-2.5-pro",
        "responseId": "mAitaLmkHPPlz7IPvtfUqQ4",
    }
    return answer | ({"usageMetadata": usage} if usage else {})
