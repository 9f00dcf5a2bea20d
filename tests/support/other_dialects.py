"""What is asked of OpenAI and Gemini in tests, and where a key stands there."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from gateway_bench import KEY

from autovibe.testing.scripts import Usage

CHAT = "/llm/openai/v1/chat/completions"
RESPONSES = "/llm/openai/v1/responses"
GENERATE = "/llm/gemini/v1beta/models/gemini-2.5-flash:generateContent"
STREAM = "/llm/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent"
PATHS = (CHAT, RESPONSES, GENERATE, STREAM)
USAGE = Usage(input_tokens=700, cache_read_input_tokens=300, output_tokens=100, reasoning_tokens=40)
# 700 fresh, 300 cached, 100 out: 700 x 2 + 300 x 0.1 + 1,000 and 700 x 0.3 + 300 x 0.03 + 250
COST = {"openai": Decimal("0.00243"), "gemini": Decimal("0.000469")}


def provider_of(path: str) -> str:
    return path.split("/")[2]


def ask(path: str, text: str = "Say something.", **more: Any) -> dict[str, Any]:
    """Return a request body."""
    if provider_of(path) == "gemini":
        return {"contents": [{"role": "user", "parts": [{"text": text}]}]} | more
    if path == RESPONSES:
        return {"model": "gpt-6.1-sol", "input": text} | more
    return {"model": "gpt-6.1-sol", "messages": [{"role": "user", "content": text}]} | more


def limited(path: str, limit: int, *, snake: bool = False) -> dict[str, Any]:
    """Return the field that limits the output."""
    if provider_of(path) == "openai":
        return {"max_tokens" if path == CHAT else "max_output_tokens": limit}
    if snake:
        return {"generation_config": {"temperature": 0.50, "max_output_tokens": limit}}
    return {"generationConfig": {"temperature": 0.50, "maxOutputTokens": limit}}


def limit_of(body: dict[str, Any]) -> object:
    settings = body.get("generationConfig") or body.get("generation_config") or {}
    names = ("max_completion_tokens", "max_tokens", "max_output_tokens", "maxOutputTokens")
    return next((v[n] for v in (body, settings) for n in names if n in v), None)


def key_for(path: str, key: str = KEY) -> dict[str, str]:
    """Return the headers with a key, where a dialect has it."""
    own = (
        {"x_goog_api_key": key}
        if provider_of(path) == "gemini"
        else {"authorization": f"Bearer {key}"}
    )
    return {"x_api_key": ""} | own


def message_of(path: str, answer: bytes, code: str) -> str:
    """Return the message of an error, whose shape is checked."""
    error = json.loads(answer)["error"]
    if provider_of(path) == "gemini":
        assert set(error) == {"code", "message", "status"}
        assert error["status"] == code
    else:
        assert set(error) == {"message", "type", "param", "code"}
    return error["message"]
