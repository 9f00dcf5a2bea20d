"""What an agent asks over MCP, and how it is kept waiting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from autovibe.domains.machines.asking import Verdict
from autovibe.kernel.errors import UnavailableError
from autovibe.skins.mcp import PATH, machine_door
from autovibe.skins.mcp import machine as module


class Person:
    """Answers when told to."""

    def __init__(self, verdict: Verdict | None = None) -> None:
        self.verdict = verdict
        self.answered = asyncio.Event()
        self.heard: list[Any] = []

    async def may_use(self, tool: str, given: Mapping[str, Any], tool_use_id: str) -> Verdict:
        self.heard.append((tool, dict(given), tool_use_id))
        return await self._answer()

    async def question(self, text: str, options: Sequence[str], default: str) -> Verdict:
        self.heard.append((text, list(options), default))
        return await self._answer()

    async def _answer(self) -> Verdict:
        if self.verdict is None:
            await self.answered.wait()
        if self.verdict is None:
            raise UnavailableError("Nobody can be asked.")
        return self.verdict


async def post(
    person: Person, message: object, *, key: str = "key", method: str = "POST"
) -> tuple[int, Any]:
    """Return status and body of one request, the JSON in it parsed."""
    parts: list[bytes] = []
    status = 0
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    given = [{"type": "http.request", "body": body}]

    async def receive() -> dict[str, Any]:
        if given:
            return given.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(part: Any) -> None:
        nonlocal status
        status = part.get("status", status)
        parts.append(part.get("body", b""))

    headers = [(b"authorization", f"Bearer {key}".encode())]
    scope = {"type": "http", "method": method, "path": PATH, "headers": headers}
    await machine_door(person, lambda token: token == "key")(scope, receive, send)
    text = b"".join(parts).decode()
    if text.startswith(("event", ":")):
        return status, [json.loads(x[6:]) for x in text.splitlines() if x.startswith("data: ")]
    return status, json.loads(text) if text else None


def call(name: str, arguments: Mapping[str, Any], **meta: Any) -> dict[str, Any]:
    params = {"name": name, "arguments": dict(arguments), "_meta": meta}
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}


APPROVE = call("approve", {"tool_name": "Bash", "input": {"command": "ls"}, "tool_use_id": "t1"})


async def test_leave_is_asked_for_and_told_as_the_agent_program_wants_it() -> None:
    person = Person(Verdict(allowed=True))
    status, (answer,) = await post(person, APPROVE)
    assert (status, answer["id"]) == (200, 7)
    (block,) = answer["result"]["content"]
    assert json.loads(block["text"]) == {"behavior": "allow", "updatedInput": {"command": "ls"}}
    assert person.heard == [("Bash", {"command": "ls"}, "t1")]
    _, (answer,) = await post(Person(Verdict(allowed=False, message="no")), APPROVE)
    told = json.loads(answer["result"]["content"][0]["text"])
    assert told == {"behavior": "deny", "message": "no"}


async def test_what_fails_is_a_no() -> None:
    person = Person()
    person.answered.set()
    _, (answer,) = await post(person, APPROVE)
    assert json.loads(answer["result"]["content"][0]["text"])["behavior"] == "deny"


async def test_a_call_that_waits_says_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ALIVE_S", 0.001)
    person = Person()
    asked = call("ask", {"question": "Which?", "options": ["a"], "default": "b"}, progressToken=5)
    waiting = asyncio.create_task(post(person, asked))
    while not person.heard:  # noqa: ASYNC110 - a stand-in for a person has no event for it
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.02)
    person.verdict = Verdict(allowed=True, message="blue")
    person.answered.set()
    _, events = await waiting
    assert [one.get("method") for one in events[:-1]]
    assert {one["method"] for one in events[:-1]} == {"notifications/progress"}
    assert events[0]["params"]["progressToken"] == 5
    assert events[-1]["result"]["content"] == [{"type": "text", "text": "blue"}]
    assert person.heard == [("Which?", ["a"], "b")]


async def test_agents_find_the_tools_and_others_find_nothing() -> None:
    person = Person()
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "x"}}
    assert (await post(person, hello))[1]["result"]["protocolVersion"] == "x"
    listed = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    tools = (await post(person, listed))[1]["result"]["tools"]
    assert {"approve", "ask"} <= {one["name"] for one in tools}
    assert (await post(person, {"method": "notifications/initialized"}))[0] == 202
    assert (await post(person, listed, key="other"))[0] == 401
    assert (await post(person, listed, method="GET"))[0] == 405


@pytest.mark.parametrize(
    "message",
    [b"{", b"[]", b"\xff", {"id": 1, "method": "resources/list"}, call("rm", {}),
     call("approve", {"tool_name": 5}), call("ask", {"question": " "})],
)  # fmt: skip
async def test_what_has_no_meaning_gets_an_error(message: Any) -> None:
    _, answer = await post(Person(), message)
    assert answer["error"]["code"] < 0
