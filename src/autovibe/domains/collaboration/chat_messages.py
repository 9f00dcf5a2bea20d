"""From rows of chat to messages."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.collaboration.models import ChatAttachment, ChatConversation, ChatMessage
from autovibe.domains.collaboration.repository.chat import ARCHIVED, MAIL
from autovibe.domains.etags import etag_of
from autovibe.domains.machines.letters import Letter, find_letters
from autovibe.kernel.protoconv import id_text, struct, timestamp
from autovibe.v1 import chat_pb2

LETTER_ID: Final = "letter_id"
"""Member of a message's metadata: which message of a mailbox it is."""
SENDER_NAME: Final = "sender_name"
EDITS: Final = "edits"
"""Member of a message's metadata: what it said before, each with the time of the change."""
SHA256: Final = "sha256"
_OWN: Final = frozenset({LETTER_ID, MAIL, SENDER_NAME, EDITS})
_STATUS: Final = {"dead": "queued"}
"""What a mailbox never gave is on its way to the next one."""


def conversation_message(row: ChatConversation) -> chat_pb2.Conversation:
    """Return the message of a conversation."""
    message = chat_pb2.Conversation(
        id=str(row.id),
        title=row.title or "",
        project_id=id_text(row.project_id),
        task_id=id_text(row.task_id),
        created_by=id_text(row.created_by),
        metadata=struct(_without(row.metadata_, {ARCHIVED})),
        created_at=timestamp(row.created_at),
        updated_at=timestamp(row.updated_at),
        archived=ARCHIVED in row.metadata_,
    )
    message.etag = etag_of(message)
    return message


async def chat_messages(
    tx: ReadTx | WriteTx, rows: Sequence[ChatMessage]
) -> list[chat_pb2.ChatMessage]:
    """Return the messages of rows, each with how far it has come on its way to an agent."""
    ids = [uuid.UUID(row.metadata_[LETTER_ID]) for row in rows if LETTER_ID in row.metadata_]
    letters = await find_letters(tx, ids)
    return [_chat_message(row, letters) for row in rows]


async def chat_message(tx: ReadTx | WriteTx, row: ChatMessage) -> chat_pb2.ChatMessage:
    """Return the message of one row."""
    return (await chat_messages(tx, [row]))[0]


def message_etag(row: ChatMessage) -> str:
    """Return the etag of a message: another one after each edit, and only then."""
    return etag_of(
        chat_pb2.ChatMessage(
            id=str(row.id), message=row.message, edited_at=timestamp(row.edited_at)
        )
    )


def attachment_message(row: ChatAttachment) -> chat_pb2.ChatAttachment:
    """Return the message of an attachment; where its file lies is nobody's business."""
    return chat_pb2.ChatAttachment(
        id=str(row.id),
        message_id=str(row.message_id),
        file_name=row.file_name,
        file_type=row.file_type or "",
        file_size_bytes=row.file_size_bytes or 0,
        sha256=row.metadata_.get(SHA256, ""),
        metadata=struct(_without(row.metadata_, {SHA256})),
        created_at=timestamp(row.created_at),
    )


def _chat_message(row: ChatMessage, letters: Mapping[uuid.UUID, Letter]) -> chat_pb2.ChatMessage:
    kept = row.metadata_
    message = chat_pb2.ChatMessage(
        id=str(row.id),
        conversation_id=str(row.conversation_id),
        sender_type=row.sender_type,
        sender_id=id_text(row.sender_id),
        sender_name=kept.get(SENDER_NAME, ""),
        message=row.message,
        message_type=row.message_type,
        metadata=struct(_without(kept, _OWN)),
        parent_message_id=id_text(row.parent_message_id),
        created_at=timestamp(row.created_at),
        edited_at=timestamp(row.edited_at),
        attachments=[
            attachment_message(one)
            for one in sorted(row.attachments, key=lambda one: (one.created_at, one.id))
        ],
        etag=message_etag(row),
    )
    for edit in kept.get(EDITS, ()):
        added = message.edits.add(message=edit["message"])
        added.edited_at.FromJsonString(edit["edited_at"])
    if MAIL in kept:
        letter = letters.get(uuid.UUID(kept[LETTER_ID])) if LETTER_ID in kept else None
        message.delivery.CopyFrom(_delivery(letter))
    return message


def _delivery(letter: Letter | None) -> chat_pb2.MessageDelivery:
    if letter is None:
        return chat_pb2.MessageDelivery(status="queued")
    return chat_pb2.MessageDelivery(
        status=_STATUS.get(letter.status, letter.status),
        machine_id=str(letter.machine_id),
        delivered_at=timestamp(letter.delivered_at),
        processed_at=timestamp(letter.processed_at),
        error_message=letter.error_message,
    )


def _without(metadata: Mapping[str, Any], names: frozenset[str] | set[str]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if name not in names}
