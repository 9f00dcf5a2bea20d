"""A provider whose quota is used up when a test says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

USAGE = {"input_tokens": 10, "output_tokens": 5}


@dataclass
class LimitedProvider:
    """Answers with what `refusals` has first, then as a model would.

    Each refusal is headers and body of a 429. `order` are the names in the system prompts of the
    calls that were answered.
    """

    refusals: list[tuple[dict[str, str], Any]] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    calls: int = 0
    url: str = ""
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.calls += 1
        if self.refusals:
            headers, error = self.refusals.pop(0)
            return web.json_response(error, status=429, headers=headers)
        await self.gate.wait()
        self.order.append(str(body.get("system", "")))
        answer = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [{"type": "text", "text": "Hello!"}],
            "stop_reason": "end_turn",
            "usage": USAGE,
        }
        return web.Response(body=json.dumps(answer), content_type="application/json")


def limit_error(kind: str = "rate_limit_error") -> dict[str, Any]:
    """Return the body of a 429."""
    return {"type": "error", "error": {"type": kind, "message": "Too fast."}}


@asynccontextmanager
async def limited(*refusals: tuple[dict[str, str], Any]) -> AsyncGenerator[LimitedProvider, None]:
    """Serve a provider that refuses first and then answers."""
    provider = LimitedProvider(list(refusals))
    provider.gate.set()
    app = web.Application()
    app.router.add_route("POST", "/{rest:.*}", provider.serve)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider.url = f"http://127.0.0.1:{site.port}"
    try:
        yield provider
    finally:
        await runner.cleanup()
