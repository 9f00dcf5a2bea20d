"""Conversations as people name them, and messages as people read them."""

from __future__ import annotations

from collections.abc import Sequence

from autovibe.cli.client.connection import Connection
from autovibe.cli.client.paging import collect
from autovibe.cli.render import moment, short, size
from autovibe.kernel.errors import AutovibeError, Code, InvalidArgumentError
from autovibe.v1 import chat_pb2, projects_pb2, work_pb2


async def find_place(connection: Connection, named: str) -> chat_pb2.SendMessageRequest:
    """Return a request that names the place where somebody speaks.

    Args:
        connection: to the services.
        named: id, or its beginning, of a conversation or a task; or name or id of a project.

    Raises:
        InvalidArgumentError: it is none of these.
    """
    services = connection.services
    try:
        found = await services.chat.get_conversation(
            chat_pb2.GetConversationRequest(conversation_id=named)
        )
        return chat_pb2.SendMessageRequest(conversation_id=found.id)
    except AutovibeError as error:
        _only_absent(error)
    try:
        task = await services.work.get_task(work_pb2.GetTaskRequest(task_id=named))
        return chat_pb2.SendMessageRequest(task_id=task.id)
    except AutovibeError as error:
        _only_absent(error)
    try:
        project = await services.projects.get_project(projects_pb2.GetProjectRequest(project=named))
        return chat_pb2.SendMessageRequest(project=project.id)
    except AutovibeError as error:
        _only_absent(error)
    raise InvalidArgumentError(
        f"{named!r} is no conversation, no task and no project; see `autovibe chat list`, "
        "`autovibe task list` and `autovibe project list`."
    )


async def find_conversation(connection: Connection, named: str) -> str:
    """Return the id of the conversation of a place, "" while nobody has spoken there."""
    place = await find_place(connection, named)
    if place.conversation_id:
        return place.conversation_id

    async def fetch(count: int, token: str) -> tuple[Sequence[chat_pb2.Conversation], str]:
        answer = await connection.services.chat.list_conversations(
            chat_pb2.ListConversationsRequest(
                task_id=place.task_id, project=place.project, page_size=count, page_token=token
            )
        )
        return answer.conversations, answer.next_page_token

    found, _ = await collect(fetch, 10_000)
    about = [one for one in found if one.task_id == place.task_id]
    return about[-1].id if about else ""


def message_lines(message: chat_pb2.ChatMessage) -> list[str]:
    """Return a message as it is read: a line that says whose it is, its text, its files."""
    kind = "" if message.message_type in {"text", "response"} else f" {message.message_type}"
    edited = " (edited)" if message.edited_at.seconds else ""
    delivery = f" [{message.delivery.status}]" if message.HasField("delivery") else ""
    answers = f" to {short(message.parent_message_id)}" if message.parent_message_id else ""
    name = message.sender_name or message.sender_type
    head = (
        f"{moment(message.created_at)} {short(message.id)} {name}{kind}{answers}{edited}{delivery}"
    )
    files = [
        f"  file {short(one.id)}: {one.file_name} ({size(one.file_size_bytes)})"
        for one in message.attachments
    ]
    return [head, *(f"  {line}" for line in message.message.split("\n")), *files]


def _only_absent(error: AutovibeError) -> None:
    if error.code not in {Code.NOT_FOUND, Code.INVALID_ARGUMENT} or "several" in (
        error.message.lower()
    ):
        raise error
