"""Where models are, by name, and how long calls wait for them."""

from __future__ import annotations

from typing import Any

import pytest

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.gateway_settings import (
    GatewaySettings,
    UpstreamSettings,
    read_gateway_settings,
    read_upstreams,
)


def test_a_server_of_ones_own_stands_beside_the_providers() -> None:
    env = {"AUTOVIBE_UPSTREAM_OUR_VLLM_KEY": "secret", "OPENAI_API_KEY": "theirs"}
    table = {
        "our-vllm": {"api": "openai", "url": "http://gpu:8000/", "prices": "vllm"},
        "ollama": {"api": "openai", "url": "http://127.0.0.1:11434", "needs_key": False},
    }

    found = read_upstreams(env, table)

    assert env == {}
    assert list(found) == ["anthropic", "openai", "gemini", "our-vllm", "ollama"]
    assert found["our-vllm"] == UpstreamSettings("http://gpu:8000", "secret", "openai", "vllm")
    assert not found["ollama"].needs_key
    assert (found["openai"].key, found["openai"].api) == ("theirs", "openai")


@pytest.mark.parametrize(
    ("name", "table", "says"),
    [
        ("vllm", {"url": "http://gpu"}, "needs api"),
        ("vllm", {"api": "openai"}, "needs api"),
        ("vllm", {"api": "cohere", "url": "http://gpu"}, "needs api"),
        ("vllm", {"api": "openai", "url": "gpu:8000"}, "needs api"),
        ("vllm", {"api": "openai", "url": "http://gpu", "keys": "x"}, "unknown setting"),
        ("vllm", {"api": "openai", "url": "http://gpu", "needs_key": "no"}, "true or false"),
        ("vllm", {"api": 7, "url": "http://gpu"}, "text in quotes"),
        ("Our VLLM", {"api": "openai", "url": "http://gpu"}, "small letters"),
        ("openai", {"api": "openai"}, "unknown setting"),
        ("openai", "http://gpu", "must be a table"),
    ],
)
def test_what_cannot_be_an_upstream_is_refused(name: str, table: Any, says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says):
        read_upstreams({}, {name: table})


def test_the_bounds_of_parked_calls_are_settings() -> None:
    env = {"AUTOVIBE_GATEWAY_PARKED_CALLS": "7"}

    found = read_gateway_settings(env, {"parked_wait": 1.5, "parked_calls": 9})

    assert found == GatewaySettings(parked_wait_s=1.5, parked_calls=7)
    with pytest.raises(InvalidArgumentError):
        read_gateway_settings({}, {"body_kb": -1})
