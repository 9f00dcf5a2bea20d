"""`autovibe chat`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from autovibe.cli.client.chat_places import find_conversation, find_place, message_lines
from autovibe.cli.client.chat_watch import watch
from autovibe.cli.client.command import json_option, limit_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.paging import collect, more
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes, write_bytes
from autovibe.cli.render import clipped, moment, short, table
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import chat_pb2


@click.group(epilog='Example: autovibe chat send 1a2b3c4d "Use PostgreSQL, please"')
def chat() -> None:
    """Talk about tasks and projects, and with the agents that work on them.

    PLACE is a conversation, a task or a project. What is said about a task, its agent gets: at once
    if it works, else when it goes on.
    """


chat.add_command(watch)


@chat.command("list", epilog="Example: autovibe chat list --project website")
@click.option("--project", default="", help="Only of this project (name or id).")
@click.option("--task", "task_id", default="", help="Only of this task.")
@click.option("--archived", is_flag=True, help="Archived ones too.")
@limit_option
@json_option
def list_(project: str, task_id: str, limit: int, *, archived: bool, as_json: bool) -> None:
    """List conversations, the newest first."""

    async def body(connection: Connection) -> tuple[list[chat_pb2.Conversation], str]:
        async def fetch(size: int, token: str) -> tuple[Sequence[chat_pb2.Conversation], str]:
            answer = await connection.services.chat.list_conversations(
                chat_pb2.ListConversationsRequest(
                    project=project,
                    task_id=task_id,
                    archived=archived,
                    page_size=size,
                    page_token=token,
                )
            )
            return answer.conversations, answer.next_page_token

        return await collect(fetch, limit)

    found, token = with_connection(body)
    if as_json:
        items = [to_document(item) for item in found]
        print_json({"conversations": items, "next_page_token": token})
        return
    if not found:
        print_notes(['No conversations; begin one with `autovibe chat send TASK "…"`.'])
        return
    rows = [
        (
            short(item.id),
            short(item.task_id) or "-",
            "archived" if item.archived else "open",
            moment(item.created_at),
            clipped(item.title, 60),
        )
        for item in found
    ]
    print_lines(table(("CHAT", "TASK", "STATUS", "CREATED (UTC)", "TITLE"), rows))
    print_notes(more(token))


@chat.command(epilog="Example: autovibe chat create --project website --title Release")
@click.option("--project", default="", help="The project it is about (name or id).")
@click.option("--task", "task_id", default="", help="The task it is about.")
@click.option("--title", default="", help="What it is called.")
@json_option
def create(project: str, task_id: str, title: str, *, as_json: bool) -> None:
    """Begin a conversation; `send` does so by itself."""

    async def body(connection: Connection) -> chat_pb2.Conversation:
        return await connection.services.chat.create_conversation(
            chat_pb2.CreateConversationRequest(project=project, task_id=task_id, title=title)
        )

    made = with_connection(body)
    if as_json:
        print_json(to_document(made))
    else:
        print_notes([f"Began conversation {short(made.id)}."])


@chat.command(epilog="Example: autovibe chat rename 1a2b3c4d 'Release 2'")
@click.argument("conversation")
@click.argument("title")
@json_option
def rename(conversation: str, title: str, *, as_json: bool) -> None:
    """Give a conversation another title."""
    if not title.strip():
        raise InvalidArgumentError("The title is empty; give the conversation a title.")
    _update(
        chat_pb2.UpdateConversationRequest(conversation_id=conversation, title=title),
        as_json=as_json,
    )


@chat.command(epilog="Example: autovibe chat archive 1a2b3c4d")
@click.argument("conversation")
@click.option("--undo", is_flag=True, help="Bring it back.")
@json_option
def archive(conversation: str, *, undo: bool, as_json: bool) -> None:
    """Close a conversation: it takes no more messages, and lists leave it out."""
    _update(
        chat_pb2.UpdateConversationRequest(conversation_id=conversation, archived=not undo),
        as_json=as_json,
    )


def _update(request: chat_pb2.UpdateConversationRequest, *, as_json: bool) -> None:
    async def body(connection: Connection) -> chat_pb2.Conversation:
        return await connection.services.chat.update_conversation(request)

    done = with_connection(body)
    if as_json:
        print_json(to_document(done))
    else:
        state = "archived" if done.archived else "open"
        print_notes([f"Conversation {short(done.id)} ({done.title}) is {state}."])


@chat.command(epilog="Example: autovibe chat show 1a2b3c4d")
@click.argument("place")
@limit_option
@json_option
def show(place: str, limit: int, *, as_json: bool) -> None:
    """Show the newest messages of a conversation, in order."""

    async def body(connection: Connection) -> tuple[list[chat_pb2.ChatMessage], str]:
        conversation_id = await find_conversation(connection, place)
        if not conversation_id:
            return [], ""

        async def fetch(size: int, token: str) -> tuple[Sequence[chat_pb2.ChatMessage], str]:
            answer = await connection.services.chat.list_messages(
                chat_pb2.ListMessagesRequest(
                    conversation_id=conversation_id,
                    newest_first=True,
                    page_size=size,
                    page_token=token,
                )
            )
            return answer.messages, answer.next_page_token

        return await collect(fetch, limit)

    newest, token = with_connection(body)
    if as_json:
        items = [to_document(item) for item in reversed(newest)]
        print_json({"messages": items, "next_page_token": token})
        return
    if token:
        print_notes(["… there are earlier ones; see --limit."])
    print_lines([line for item in reversed(newest) for line in message_lines(item)])


@chat.command(epilog='Example: autovibe chat send 1a2b3c4d "Use PostgreSQL, please"')
@click.argument("place")
@click.argument("text")
@click.option("--reply-to", "parent", default="", metavar="MESSAGE", help="What it answers.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(["text", "question", "response", "status", "error"]),
    help="What it is; text when not given, response to a question.",
)
@click.option("--people-only", is_flag=True, help="The task's agent does not get it.")
@json_option
def send(
    place: str, text: str, parent: str, kind: str | None, *, people_only: bool, as_json: bool
) -> None:
    """Say something; "-" as TEXT reads it from standard input."""
    _send(place, text, parent=parent, kind=kind or "", people_only=people_only, as_json=as_json)


@click.command(epilog='Example: autovibe task say 1a2b3c4d "Use PostgreSQL, please"')
@click.argument("task_id", metavar="TASK")
@click.argument("text")
@json_option
def say(task_id: str, text: str, *, as_json: bool) -> None:
    """Say something to the agent of a task; `autovibe chat show TASK` shows the answers."""
    _send(task_id, text, as_json=as_json, is_task=True)


def _send(  # what a message is made of
    place: str,
    text: str,
    *,
    parent: str = "",
    kind: str = "",
    people_only: bool = False,
    is_task: bool = False,
    as_json: bool,
) -> None:
    words = sys.stdin.read() if text == "-" else text
    if not words.strip():
        raise InvalidArgumentError("The message is empty; say something.")

    async def body(connection: Connection) -> chat_pb2.ChatMessage:
        request = (
            chat_pb2.SendMessageRequest(task_id=place)
            if is_task
            else await find_place(connection, place)
        )
        request.message = words
        request.parent_message_id = parent
        request.message_type = kind
        request.people_only = people_only
        return await connection.services.chat.send_message(request)

    sent = with_connection(body)
    if as_json:
        print_json(to_document(sent))
        return
    how = {"queued": " The agent gets it as soon as it can."} if sent.HasField("delivery") else {}
    print_notes([f"Sent message ({short(sent.id)}).{how.get(sent.delivery.status, '')}"])


@chat.command(epilog="Example: autovibe chat edit 1a2b3c4d 'Use PostgreSQL 17, please'")
@click.argument("message")
@click.argument("text")
@json_option
def edit(message: str, text: str, *, as_json: bool) -> None:
    """Say a message of your own in other words, as long as no agent has it."""

    async def body(connection: Connection) -> chat_pb2.ChatMessage:
        service = connection.services.chat
        found = await service.get_message(chat_pb2.GetMessageRequest(message_id=message))
        return await service.edit_message(
            chat_pb2.EditMessageRequest(message_id=found.id, message=text, etag=found.etag)
        )

    done = with_connection(body)
    if as_json:
        print_json(to_document(done))
    else:
        print_notes([f"Message {short(done.id)} says so now."])


@chat.command(epilog="Example: autovibe chat attach 1a2b3c4d trace.log")
@click.argument("message")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--type", "file_type", default="", help="Media type; what the name says by default.")
@json_option
def attach(message: str, file: Path, file_type: str, *, as_json: bool) -> None:
    """Attach a file to a message of your own."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InvalidArgumentError(f"{file} cannot be read: {error.strerror}.") from error

    async def body(connection: Connection) -> chat_pb2.ChatAttachment:
        return await connection.services.chat.attach_file(
            chat_pb2.AttachFileRequest(
                message_id=message, file_name=file.name, file_type=file_type, content=content
            )
        )

    made = with_connection(body, doing="attaching")
    if as_json:
        print_json(to_document(made))
    else:
        print_notes([f"Attached {made.file_name} ({short(made.id)})."])


@chat.command(epilog="Example: autovibe chat download 1a2b3c4d -o trace.log")
@click.argument("attachment")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to; standard output when not given. A file that is there is not written over.",
)
@json_option
def download(attachment: str, output: Path | None, *, as_json: bool) -> None:
    """Give what is in an attachment."""

    async def body(connection: Connection) -> chat_pb2.AttachmentContent:
        return await connection.services.chat.read_attachment(
            chat_pb2.ReadAttachmentRequest(attachment_id=attachment)
        )

    found = with_connection(body, doing="reading")
    if output is not None:
        try:
            with output.open("xb") as file:
                file.write(found.content)
        except OSError as error:
            raise InvalidArgumentError(f"{output} cannot be written: {error.strerror}.") from error
    if as_json:
        print_json(to_document(found.attachment))
    elif output is None:
        write_bytes(found.content, sys.stdout)
    else:
        print_notes([f"Wrote {output}."])


@chat.command(epilog="Example: autovibe chat search 'migration index' --project website")
@click.argument("words")
@click.option("--project", default="", help="Only of this project (name or id).")
@click.option("--task", "task_id", default="", help="Only of this task.")
@limit_option
@json_option
def search(words: str, project: str, task_id: str, limit: int, *, as_json: bool) -> None:
    """Find messages that hold every one of some words, the newest first."""

    async def body(connection: Connection) -> tuple[list[chat_pb2.ChatMessage], str]:
        async def fetch(size: int, token: str) -> tuple[Sequence[chat_pb2.ChatMessage], str]:
            answer = await connection.services.chat.search_messages(
                chat_pb2.SearchMessagesRequest(
                    query=words,
                    project=project,
                    task_id=task_id,
                    page_size=size,
                    page_token=token,
                )
            )
            return answer.messages, answer.next_page_token

        return await collect(fetch, limit)

    found, token = with_connection(body)
    if as_json:
        print_json({"messages": [to_document(item) for item in found], "next_page_token": token})
        return
    if not found:
        print_notes(["No message holds these words."])
    print_lines([line for item in found for line in message_lines(item)])
    print_notes(more(token))
