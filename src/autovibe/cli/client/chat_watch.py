"""`autovibe chat watch`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import click

from autovibe.cli.client.chat_places import find_conversation, message_lines
from autovibe.cli.client.command import json_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json_line, print_lines
from autovibe.kernel.errors import AutovibeError, Code
from autovibe.v1 import chat_pb2

_PAGE = 100
_RETRIES = 12
_LONGEST_PAUSE_S = 5.0


@click.command(epilog="Example: autovibe chat watch 1a2b3c4d")
@click.argument("place")
@click.option("--count", type=click.IntRange(1), help="End after so many lines; without it, never.")
@json_option
def watch(place: str, count: int | None, *, as_json: bool) -> None:
    """Show messages as they come, and what becomes of them, until interrupted."""

    async def body(connection: Connection) -> None:
        await _Watching(connection, place, count, as_json=as_json).run()

    with_connection(body)


@dataclass
class _Watching:
    connection: Connection
    place: str
    count: int | None
    as_json: bool
    seen: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    shown: int = 0

    async def run(self) -> None:
        conversation_id, failures = "", 0
        pause_s = 0.3 if self.connection.embedded else 1.0
        while True:
            try:
                if not conversation_id:
                    conversation_id = await find_conversation(self.connection, self.place)
                news = await self._news(conversation_id) if conversation_id else []
            except AutovibeError as error:
                failures += 1
                if error.code is not Code.UNAVAILABLE or failures > _RETRIES:
                    raise
                await asyncio.sleep(min(pause_s * 2**failures, _LONGEST_PAUSE_S))
                continue
            failures = 0
            for message in news:
                self._show(message)
                if self.shown == self.count:
                    return
            await asyncio.sleep(pause_s)

    async def _news(self, conversation_id: str) -> list[chat_pb2.ChatMessage]:
        """Return what is new or has changed, in order; back to the first page of known ones."""
        news: list[chat_pb2.ChatMessage] = []
        request = chat_pb2.ListMessagesRequest(
            conversation_id=conversation_id, newest_first=True, page_size=_PAGE
        )
        while True:
            page = await self.connection.services.chat.list_messages(request)
            known = [one for one in page.messages if one.id in self.seen]
            news += [one for one in page.messages if self.seen.get(one.id) != _state(one)]
            request.page_token = page.next_page_token
            if known or not page.next_page_token:
                return news[::-1]

    def _show(self, message: chat_pb2.ChatMessage) -> None:
        self.seen[message.id] = _state(message)
        self.shown += 1
        if self.as_json:
            print_json_line(to_document(message))
        else:
            print_lines(message_lines(message))


def _state(message: chat_pb2.ChatMessage) -> tuple[str, str]:
    """Return what is shown again when it changes."""
    files = len(message.attachments)
    return message.etag, f"{message.delivery.status} {files}"
