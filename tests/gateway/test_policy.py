"""What a machine may ask of the provider."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from gateway_bench import ask, open_bench, refused
from ledger_desk import LedgerDesk

from autovibe.gateway import ProviderPolicy
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import plain_text
from autovibe.v1 import projects_pb2


@pytest.fixture
def desk(sqlite_desk: LedgerDesk) -> LedgerDesk:
    """Give a ledger on SQLite: what is tested here does not depend on the database."""
    return sqlite_desk


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("mcp_servers", {"mcp_servers": [{"type": "url", "url": "https://example.org"}]}),
        ("container", {"container": "container_1"}),
        ("service_tier", {"service_tier": "priority"}),
        ("service_tier", {"service_tier": ["standard"]}),
        ("speed", {"speed": "fast"}),
        ("inference_geo", {"inference_geo": "us"}),
        ("tools[0].type", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        ("tools[1].type", {"tools": [{"name": "a"}, {"type": "web_fetch_20250910"}]}),
        ("tools[0].type", {"tools": [{"type": "code_execution_20250825"}]}),
        ("tools[0].type", {"tools": [{"type": "mcp_toolset"}]}),
        ("tools[0].type", {"tools": [{"type": "a_tool_of_tomorrow"}]}),
        ("tools[0].type", {"tools": [{"type": 7}]}),
        (
            "messages[0].content[0].source",
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image", "source": {"type": "url", "url": "https://e.org"}}
                        ],
                    }
                ]
            },
        ),
        (
            "messages[0].content[0].content[0].source",
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "content": [
                                    {"type": "document", "source": {"type": "file", "file_id": "f"}}
                                ],
                            }
                        ],
                    }
                ]
            },
        ),
        (
            "messages[0].content[0]",
            {
                "messages": [
                    {"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}
                ]
            },
        ),
    ],
)
async def test_what_the_provider_would_do_for_the_machine_is_refused_by_name(
    desk: LedgerDesk, field: str, more: dict[str, Any]
) -> None:
    async with ModelServer(plain_text()) as provider, open_bench(desk, provider) as bench:
        message = await refused(bench, ask(**more))
        counted, _, _ = await bench.send(ask(**more), url=f"{bench.url}/count_tokens")

        assert message.startswith(f"{field}:")
        assert "leave it out" in message.lower() or "must be text" in message
        assert counted == 400
        assert not provider.requests
        assert await bench.ledger() == (0, 0)


@pytest.mark.parametrize(
    "more",
    [
        {"service_tier": "auto"},
        {"service_tier": "standard_only"},
        {"speed": "standard"},
        {"inference_geo": None},
        {"tools": [{"type": "custom", "name": "a"}, {"name": "b"}, {"type": "bash_20250124"}]},
        {"tools": [{"type": "text_editor_20250728"}, {"type": "tool_search_tool_regex_20251119"}]},
        {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_use",
                            "id": "x",
                            "input": {"source": {"type": "url"}, "content": [{"type": "image"}]},
                        },
                        {"type": "text", "text": "hi"},
                    ],
                }
            ]
        },
    ],
)
async def test_what_runs_in_the_machine_passes(desk: LedgerDesk, more: dict[str, Any]) -> None:
    async with (
        ModelServer(plain_text(), strict=False) as provider,
        open_bench(desk, provider) as bench,
    ):
        status, _, answer = await bench.send(ask(**more))

        assert status == 200, answer


async def test_what_a_project_allows_is_held_at_its_own_price(desk: LedgerDesk) -> None:
    policy = ProviderPolicy(frozenset({"web_search", "speed"}))
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider, budget="1000", policy=policy) as bench,
    ):
        rate = await bench.rate()
        _, headers, _ = await bench.send(ask(tools=[search]))
        without_limit = await refused(bench, ask(tools=[search | {"max_uses": None}]))
        fast = await refused(bench, ask(speed="fast"))

        # A million tokens of context read three times, 1,000 tokens out, and two searches.
        usd = Decimal(4 * 3) + Decimal("0.01") + Decimal("0.02")
        assert Decimal(headers["x-autovibe-hold-cad"]) == usd * rate
        assert without_limit.startswith("tools[0].max_uses")
        assert "speed fast" in fast


def test_what_a_project_states_is_what_its_machines_may() -> None:
    stated = projects_pb2.ModelPolicy(
        allowed=["claude-*"],
        aliases=[projects_pb2.ModelAlias(name="fast", model="claude-haiku-4-5")],
        provider_features=["web_search", "speed"],
        keep_bodies=True,
    )

    policy = ProviderPolicy.of_project(stated)

    assert policy.allowed == {"web_search", "speed"}
    assert policy.models.model("claude-opus-5-5") == "claude-opus-5-5"
    assert policy.models.model("fast") == "claude-haiku-4-5"
    assert policy.models.model("gpt-6.1-sol") is None
    assert policy.keep_bodies
    assert ProviderPolicy.of_project(projects_pb2.ModelPolicy()) == ProviderPolicy()
