"""What people say to a running agent, and how it gets there.

What was said before a machine starts is part of its prompt. What is said while it works goes into
the input of an agent that listens; for one that does not, it stays in the mailbox, where the agent
may take it itself (`/agent/v1/messages:take`), or for the next machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from autovibe.domains.machines.agent import (
    AgentAdapter,
    AgentRequest,
    ListeningAgent,
    ListeningReader,
    OutputReader,
)
from autovibe.kernel.errors import AutovibeError
from autovibe.runtime.briefing import Briefing, brief
from autovibe.runtime.execution_log import ExecutionLog
from autovibe.runtime.input_pipe import InputPipe
from autovibe.v1 import chat_pb2, services, work_pb2

_WAIT_S: Final = 2
"""A process without a server hears no bell of another one, on SQLite: it looks often."""
_AFTER_ERROR_S: Final = 1.0
_PATIENCE_S: Final = 30.0
"""For an agent that was told something, has ended its turn, and does not say that it has heard."""


@dataclass
class Steering:
    """What is said to the agent of one machine, from its prompt on."""

    chat: services.ChatService
    documents: services.DocumentService
    order: work_pb2.ClaimedOrder
    machine_id: str
    log: ExecutionLog
    briefing: Briefing = field(default_factory=Briefing)
    _listener: ListeningAgent | None = None
    _pipe: InputPipe | None = None
    _prompt: str = ""
    _in_prompt: list[str] = field(default_factory=list[str])
    _unheard: dict[str, str] = field(default_factory=dict[str, str])
    _turns: int = 0
    _closing: asyncio.TimerHandle | None = None

    async def prepared(
        self, adapter: AgentAdapter, request: AgentRequest, *, isolated: bool
    ) -> AgentRequest:
        """Return the request with the project's documents and what was said until now.

        Args:
            adapter: of the agent.
            request: with the prompt alone.
            isolated: whether the machine has a root of its own.

        Raises:
            AutovibeError: documents or messages cannot be read, or the lease is lost.
        """
        settings = request.settings_dir
        self.briefing = await brief(
            self.documents, self.order.task.project_id, settings, isolated=isolated
        )
        items = await self._take()
        self._in_prompt = [item.id for item in items]
        parts = [request.prompt, self.briefing.text, *(_spoken(item) for item in items)]
        self._prompt = "\n\n".join(part for part in parts if part)
        if isinstance(adapter, ListeningAgent):
            self._listener, self._pipe = adapter, InputPipe.make(settings)
        path = self._pipe.path if self._pipe else None
        return replace(request, prompt=self._prompt, input_pipe=path)

    @contextlib.asynccontextmanager
    async def going(self) -> AsyncGenerator[None]:
        """Speak to the agent while the block runs; what it did not hear is then given back."""
        if self._listener is None or self._pipe is None:
            await self._report(self._in_prompt, "processed")
            yield
            return
        task = asyncio.create_task(self._speak(self._listener, self._pipe), name="steering")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.close()
            await self._report(sorted(self._unheard), "queued")

    def close(self) -> None:
        """End the agent's input; does nothing the second time."""
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        if self._pipe is not None:
            self._pipe.close()

    async def post(self, text: str) -> None:
        """Say something to people, in the conversation of the task.

        Raises:
            AutovibeError: it cannot be said, or the lease is lost.
        """
        await self.chat.post_agent_message(
            chat_pb2.PostAgentMessageRequest(
                execution_id=self.order.execution.id,
                lease_generation=self.order.lease_generation,
                message=text,
            )
        )

    async def read(self) -> str:
        """Return what people have said and this agent has not heard.

        Raises:
            AutovibeError: the mailbox cannot be read, or the lease is lost.
        """
        if self._listener is not None:
            return "Nothing: what is said to you comes by itself."
        items = await self._take()
        await self._report([item.id for item in items], "processed")
        return "\n\n".join(_spoken(item) for item in items) or "Nothing new."

    async def look(self, reader: OutputReader) -> None:
        """Take note of what the agent has heard, and of the end of its turn, after each line."""
        if not isinstance(reader, ListeningReader):
            return
        if self._closing is not None:  # it goes on after all
            self._closing.cancel()
            self._closing = None
        known = [one for one in reader.heard if one in self._unheard]
        reader.heard.clear()
        for one in known:
            name = self._unheard.pop(one)
            self.log.write("notice", f"The agent reads the message of {name}.")
        await self._report(known, "processed")
        if reader.turns_ended > self._turns:
            self._turns = reader.turns_ended
            if self._unheard:  # it should begin another turn with that
                loop = asyncio.get_running_loop()
                self._closing = loop.call_later(_PATIENCE_S, self.close)
            else:
                # What is said from now on waits for the next run: this one is to end.
                self.close()

    async def _speak(self, listener: ListeningAgent, pipe: InputPipe) -> None:
        await pipe.write(listener.said(self._prompt, str(uuid.uuid4())))
        await self._report(self._in_prompt, "processed")
        request = chat_pb2.WaitForMailRequest(
            task_id=self.order.task.id, machine_id=self.machine_id, wait_s=_WAIT_S
        )
        while pipe.is_open:
            try:
                answer = await self.chat.wait_for_mail(request)
                for item in await self._take() if answer.waiting and pipe.is_open else ():
                    await self._hand_over(listener, pipe, item)
            except AutovibeError:
                # The heartbeat judges the lease; a server that is away comes back.
                await asyncio.sleep(_AFTER_ERROR_S)

    async def _hand_over(
        self, listener: ListeningAgent, pipe: InputPipe, item: chat_pb2.MailItem
    ) -> None:
        self._unheard[item.id] = item.sender_name or "somebody"
        # Closed between the taking and now, it is given back in the end.
        await pipe.write(listener.said(_spoken(item), item.id))

    async def _take(self) -> Sequence[chat_pb2.MailItem]:
        answer = await self.chat.take_mail(
            chat_pb2.TakeMailRequest(
                execution_id=self.order.execution.id,
                lease_generation=self.order.lease_generation,
                machine_id=self.machine_id,
            )
        )
        return answer.items

    async def _report(self, ids: Sequence[str], status: str) -> None:
        if not ids:
            return
        # What is not reported is handed over again by the next machine: twice rather than never.
        with contextlib.suppress(AutovibeError):
            await self.chat.report_mail(
                chat_pb2.ReportMailRequest(
                    execution_id=self.order.execution.id,
                    lease_generation=self.order.lease_generation,
                    ids=ids,
                    status=status,
                )
            )


def _spoken(item: chat_pb2.MailItem) -> str:
    """Return a message as an agent hears it: whose it is, then what it says."""
    return f"[Message from {item.sender_name or 'a person'} about this task]\n{item.message}"
