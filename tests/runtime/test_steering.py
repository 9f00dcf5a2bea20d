from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from autovibe.agents.claude_code import ClaudeCodeAdapter
from autovibe.agents.shell import ShellAdapter
from autovibe.domains.machines.agent import AgentRequest
from autovibe.runtime.steering import Steering
from autovibe.v1 import chat_pb2, documents_pb2, work_pb2

_ORDER = work_pb2.ClaimedOrder(
    execution=work_pb2.Execution(id="e"), task=work_pb2.Task(id="t", project_id="p")
)


@dataclass
class Mailbox:
    """The chat service as a machine's runtime uses it."""

    waiting: list[chat_pb2.MailItem] = field(default_factory=list[chat_pb2.MailItem])
    reported: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, name: str) -> None:
        self.waiting.append(chat_pb2.MailItem(id=name, sender_name="ada", message=f"say {name}"))
        self.changed.set()

    async def wait_for_mail(
        self, _request: chat_pb2.WaitForMailRequest
    ) -> chat_pb2.WaitForMailResponse:
        if not self.waiting:
            self.changed.clear()
            await self.changed.wait()
        return chat_pb2.WaitForMailResponse(waiting=bool(self.waiting))

    async def take_mail(self, _request: chat_pb2.TakeMailRequest) -> chat_pb2.TakeMailResponse:
        taken, self.waiting = self.waiting, []
        return chat_pb2.TakeMailResponse(items=taken)

    async def report_mail(self, request: chat_pb2.ReportMailRequest) -> None:
        self.reported += [(one, request.status) for one in request.ids]


class Log:
    """A log that nobody reads."""

    def write(self, *_arguments: object, **_details: object) -> None:
        """Forget it."""


@asynccontextmanager
async def _steering(
    mailbox: Any, adapter: Any, settings: Path
) -> AsyncGenerator[tuple[Steering, AgentRequest]]:
    async def no_documents(_request: object) -> documents_pb2.MachineDocuments:
        return documents_pb2.MachineDocuments()

    documents: Any = SimpleNamespace(get_machine_documents=no_documents)
    log: Any = Log()
    steering = Steering(mailbox, documents, _ORDER, "m", log)
    request = AgentRequest(
        prompt="/do it",
        model=None,
        session_id="s",
        resume=False,
        gateway_url="",
        virtual_key="",
        settings_dir=settings,
    )
    yield steering, await steering.prepared(adapter, request, isolated=True)
    steering.close()


def _said(line: bytes) -> tuple[str, str]:
    """Return id and text of what went into an agent's input."""
    message = json.loads(line)
    return message["uuid"], message["message"]["content"]


def _line(**fields: object) -> bytes:
    return json.dumps(fields).encode()


async def test_an_agent_that_listens_hears_everything_and_its_input_ends_with_its_last_turn(
    tmp_path: Path,
):
    mailbox, adapter = Mailbox(), ClaudeCodeAdapter()
    mailbox.put("early")
    async with _steering(mailbox, adapter, tmp_path) as (steering, request):
        assert request.input_pipe == tmp_path / "input"
        reader = adapter.reader()
        assert request.input_pipe is not None
        agent = await asyncio.to_thread(request.input_pipe.open, "rb", 0)
        async with steering.going():
            _, prompt = _said(await asyncio.to_thread(agent.readline))
            assert prompt.startswith("\n/do it\n\n[Message from ada about this task]\nsay early")
            mailbox.put("one")
            assert _said(await asyncio.to_thread(agent.readline))[0] == "one"
            assert mailbox.reported == [("early", "processed")]
            # It ends its turn without having read that: it will begin another one with it.
            reader.feed(_line(type="result", subtype="success", is_error=False))
            await steering.look(reader)
            reader.feed(_line(type="command_lifecycle", command_uuid="one", state="started"))
            await steering.look(reader)
            assert mailbox.reported[-1] == ("one", "processed")
            mailbox.put("two")
            assert _said(await asyncio.to_thread(agent.readline))[0] == "two"
            reader.feed(_line(type="command_lifecycle", command_uuid="two", state="queued"))
            reader.feed(_line(type="command_lifecycle", command_uuid="two", state="started"))
            reader.feed(_line(type="result", subtype="success", is_error=False))
            await steering.look(reader)
            assert await asyncio.to_thread(agent.readline) == b""
        agent.close()
        assert [one for one, _ in mailbox.reported] == ["early", "one", "two"]


async def test_what_a_stopped_agent_did_not_hear_is_given_back(tmp_path: Path):
    mailbox, adapter = Mailbox(), ClaudeCodeAdapter()
    async with _steering(mailbox, adapter, tmp_path) as (steering, request):
        assert request.input_pipe is not None
        agent = await asyncio.to_thread(request.input_pipe.open, "rb", 0)
        async with steering.going():
            await asyncio.to_thread(agent.readline)
            mailbox.put("unheard")
            await asyncio.to_thread(agent.readline)
        agent.close()
    assert mailbox.reported == [("unheard", "queued")]


async def test_for_an_agent_that_does_not_listen_messages_stay_in_the_mailbox(tmp_path: Path):
    mailbox = Mailbox()
    mailbox.put("early")
    async with _steering(mailbox, ShellAdapter(), tmp_path) as (steering, request):
        assert request.input_pipe is None
        assert "say early" in request.prompt
        async with steering.going():
            mailbox.put("later")
            await steering.look(ShellAdapter().reader())
    assert mailbox.reported == [("early", "processed")]
    assert [item.id for item in mailbox.waiting] == ["later"]
