"""What is asked and answered is kept only where the project wants it, bounded and redacted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_bench import KEY, ask, open_bench
from ledger_desk import LedgerDesk

from autovibe.gateway import BodyKeeper, ProviderPolicy
from autovibe.kernel.errors import UnavailableError
from autovibe.testing.model_server import ModelServer
from autovibe.testing.scripts import plain_text
from autovibe.v1 import model_calls_pb2

KEEPING = ProviderPolicy(keep_bodies=True)


class Kept:
    """Takes what is to be kept."""

    def __init__(self, *, fails: bool = False) -> None:
        self.calls: list[model_calls_pb2.KeepModelCallRequest] = []
        self.fails = fails

    async def keep_model_call(self, request: Any) -> model_calls_pb2.KeepModelCallResponse:
        if self.fails:
            raise UnavailableError("The server cannot be reached.")
        self.calls.append(request)
        return model_calls_pb2.KeepModelCallResponse(kept=True)


@pytest.fixture
def desk(sqlite_desk: LedgerDesk) -> LedgerDesk:
    """Give a ledger on SQLite: what is tested here does not depend on the database."""
    return sqlite_desk


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_is_kept_under_the_id_that_the_agent_saw(
    desk: LedgerDesk, *, stream: bool
) -> None:
    kept = Kept()
    keeper = BodyKeeper(kept, ("the-providers-key",), 100_000)
    async with (
        ModelServer(plain_text("All is well.")) as provider,
        open_bench(desk, provider, policy=KEEPING, keeper=keeper) as bench,
    ):
        body = ask(f"My key is {KEY}, yours the-providers-key.", stream=stream)
        _, headers, answer = await bench.send(body)
        await bench.server.close()

        [call] = kept.calls
        assert call.request_id == headers["request-id"]
        assert (call.status, call.upstream_status) == ("completed", 200)
        assert call.response == answer.decode()
        told = json.loads(call.request)["messages"][0]["content"]
        assert told == "My key is [secret], yours [secret]."
        assert call.tokens_used > 0
        assert float(call.cost_cad) > 0
        assert not call.shortened


async def test_nothing_is_kept_unless_the_project_says_so(desk: LedgerDesk) -> None:
    kept = Kept()
    keeper = BodyKeeper(kept, (), 100_000)
    async with (
        ModelServer(plain_text()) as provider,
        open_bench(desk, provider, keeper=keeper) as bench,
    ):
        await bench.send(ask())
        await bench.server.close()

    assert kept.calls == []


async def test_long_bodies_are_kept_in_part_and_failures_harm_nothing(desk: LedgerDesk) -> None:
    kept = Kept()
    keeper = BodyKeeper(kept, (), 64)
    async with (
        ModelServer(plain_text("x" * 500)) as provider,
        open_bench(desk, provider, policy=KEEPING, keeper=keeper) as bench,
    ):
        await bench.send(ask("y" * 500))
        broken = BodyKeeper(Kept(fails=True), (), 64)
        bench.server._app._desk.keeper = broken
        status, _, _ = await bench.send(ask())
        await bench.server.close()

    [call] = kept.calls
    assert call.shortened
    assert len(call.request) == len(call.response) == 64
    assert status == 200


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("sk-ant-api03-" + "a" * 30, "[secret]"),
        ("ghp_" + "b" * 36, "[secret]"),
        ("AKIA" + "C" * 16, "[secret]"),
        ('{\\"password\\": \\"hunter2hunter2\\"}', '{\\"password\\": \\"[secret]\\"}'),
        ("API_KEY=0123456789abcdef", "API_KEY=[secret]"),
        ("postgresql://app:s3cr3t@db/x", "postgresql://app:[secret]@db/x"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----", "[secret]"),
        ("a\0b", "a\ufffdb"),
        ("the password is asked for", "the password is asked for"),
        ("https://example.org/a:b@c", "https://example.org/a:b@c"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, left: str) -> None:
    assert BodyKeeper(Kept(), (), 1000).redacted(text.encode()) == left
