"""The tools with which an agent speaks and listens, as an agent program calls them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autovibe.domains.machines.asking import Verdict
from autovibe.skins.mcp import machine_door


@dataclass
class People:
    """Those whom an agent speaks to."""

    heard: list[str] = field(default_factory=list[str])

    async def may_use(self, tool: str, given: Mapping[str, Any], tool_use_id: str) -> Verdict:
        del tool, given, tool_use_id
        return Verdict(allowed=False)

    async def question(self, text: str, options: Sequence[str], default: str) -> Verdict:
        del text, options, default
        return Verdict(allowed=False)

    async def say(self, text: str) -> Verdict:
        self.heard.append(text)
        return Verdict(allowed=True, message="Said.")

    async def messages(self) -> Verdict:
        return Verdict(allowed=True, message="Use tabs.")


async def _call(people: People, method: str, **params: Any) -> dict[str, Any]:
    """Post one JSON-RPC message and return what it is answered."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    inbox = [{"type": "http.request", "body": body, "more_body": False}]
    parts: list[bytes] = []

    async def receive() -> Any:
        if inbox:
            return inbox.pop()
        return await _never()

    async def send(message: Any) -> None:
        parts.append(message.get("body", b""))

    door = machine_door(people, lambda token: token == "key")
    scope: Any = {
        "type": "http",
        "method": "POST",
        "headers": [(b"authorization", b"Bearer key")],
    }
    await door(scope, receive, send)
    text = b"".join(parts).decode()
    return json.loads(text[text.index("{") :])


async def _never() -> None:
    await asyncio.Event().wait()


async def test_an_agent_speaks_and_reads_what_people_say() -> None:
    people = People()
    listed = await _call(people, "tools/list")
    names = {tool["name"] for tool in listed["result"]["tools"]}
    assert {"approve", "ask", "say", "read_messages"} <= names
    said = await _call(people, "tools/call", name="say", arguments={"message": "Half done."})
    assert people.heard == ["Half done."]
    assert said["result"] == {"content": [{"type": "text", "text": "Said."}], "isError": False}
    read = await _call(people, "tools/call", name="read_messages")
    assert read["result"]["content"][0]["text"] == "Use tabs."
    for wrong in ({"message": " "}, {"message": 1}, {}):
        refused = await _call(people, "tools/call", name="say", arguments=wrong)
        assert "say takes a message" in refused["error"]["message"]
