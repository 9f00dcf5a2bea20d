"""Files that belong to messages: kept by their checksum, never executed, never shown as a page."""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
import os
import tempfile
import uuid
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.collaboration.chat_errors import (
    AttachmentDamagedError,
    AttachmentNotFoundError,
    AttachmentTooLargeError,
    AttachmentTypeRefusedError,
)
from autovibe.domains.collaboration.chat_messages import SHA256, attachment_message
from autovibe.domains.collaboration.models import ChatAttachment
from autovibe.domains.collaboration.repository import chat as repository
from autovibe.domains.collaboration.talking import check_own, get_message
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.ids import id_range
from autovibe.kernel.talk_settings import ChatSettings
from autovibe.v1 import chat_pb2

_UNKNOWN_TYPE: Final = "application/octet-stream"
_MB: Final = 1024 * 1024
_LONGEST_NAME: Final = 255
_LONGEST_TYPE: Final = 50


@dataclass(frozen=True)
class AttachPlan:
    """A file that may be attached."""

    message_id: uuid.UUID
    file_name: str
    file_type: str
    content: bytes


class AttachFile:
    """The long operation AttachFile: the bytes are on disk before a row names them."""

    def __init__(self, settings: ChatSettings, files: Path) -> None:
        """Keep files below a directory, of the kinds and sizes that the settings allow."""
        self._settings = settings
        self._files = files

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: chat_pb2.AttachFileRequest
    ) -> AttachPlan:
        """Look whether the file may be attached.

        Raises:
            MessageNotFoundError: there is no such message.
            NotYourMessageError: somebody else sent it.
            AttachmentTooLargeError: the file is too large.
            AttachmentTypeRefusedError: its type is not allowed.
        """
        row = await get_message(tx, request.message_id)
        check_own(ctx, row)
        most = self._settings.attachment_mb * _MB
        if len(request.content) > most:
            raise AttachmentTooLargeError(
                f"The file has {len(request.content)} bytes and may have {most}; attach a part of "
                "it, or raise chat.attachment_mb in config.toml.",
                size_bytes=len(request.content),
                limit_bytes=most,
            )
        name = _checked_name(request.file_name)
        kind = (request.file_type or _guessed(name)).lower()
        if not any(fnmatchcase(kind, pattern) for pattern in self._settings.attachment_types):
            allowed = ", ".join(self._settings.attachment_types) or "none"
            raise AttachmentTypeRefusedError(
                f"Files of type {kind} are not taken; allowed are {allowed} (chat.attachment_types "
                "in config.toml).",
                file_type=kind,
            )
        return AttachPlan(row.id, name, kind, request.content)

    async def act(self, ctx: CallContext, plan: AttachPlan) -> str:
        """Write the file under its checksum, and return that."""
        del ctx
        return await asyncio.to_thread(_keep, self._files, plan.content)

    async def record(
        self, tx: WriteTx, ctx: CallContext, plan: AttachPlan, outcome: str
    ) -> chat_pb2.ChatAttachment:
        """Add the row.

        Raises:
            MessageNotFoundError: the message has gone meanwhile.
        """
        del ctx
        row = await get_message(tx, str(plan.message_id))
        attachment = ChatAttachment(
            id=uuid.uuid4(),
            message_id=row.id,
            file_name=plan.file_name,
            file_path=_place(outcome),
            file_type=plan.file_type,
            file_size_bytes=len(plan.content),
            metadata={SHA256: outcome},
        )
        tx.session.add(attachment)
        await tx.session.flush()  # its time is part of the answer
        return attachment_message(attachment)


@dataclass(frozen=True)
class ReadPlan:
    """An attachment and where its file is."""

    path: Path
    attachment: chat_pb2.ChatAttachment


class ReadAttachment:
    """The long operation ReadAttachment, which records nothing."""

    def __init__(self, files: Path) -> None:
        """Read files below a directory."""
        self._files = files

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: chat_pb2.ReadAttachmentRequest
    ) -> ReadPlan:
        """Find the attachment.

        Raises:
            AttachmentNotFoundError: there is none.
        """
        del ctx
        row = await get_attachment(tx, request.attachment_id)
        message = attachment_message(row)
        # Made of the checksum, never of the row's text: a path that somebody wrote there is not
        # followed.
        return ReadPlan(self._files / _place(message.sha256), message)

    async def act(self, ctx: CallContext, plan: ReadPlan) -> chat_pb2.AttachmentContent:
        """Read the file, and compare it with its checksum.

        Raises:
            AttachmentDamagedError: it is not there, or not what was sent.
        """
        del ctx
        content = await asyncio.to_thread(_read, plan.path)
        if content is None or hashlib.sha256(content).hexdigest() != plan.attachment.sha256:
            raise AttachmentDamagedError(
                "What is kept of the file is not what was sent; bring it back from a backup.",
                attachment_id=plan.attachment.id,
            )
        return chat_pb2.AttachmentContent(attachment=plan.attachment, content=content)


async def get_attachment(tx: ReadTx | WriteTx, id_or_prefix: str) -> ChatAttachment:
    """Return one attachment by its id or the beginning of it.

    Raises:
        AttachmentNotFoundError: there is none.
        InvalidArgumentError: the beginning fits several.
    """
    low, high = id_range(id_or_prefix, "attachment")
    found = await repository.find_between(tx, ChatAttachment, low, high)
    if not found:
        raise AttachmentNotFoundError(
            f"There is no attachment {id_or_prefix}; see `autovibe chat show`.",
            attachment_id=id_or_prefix,
        )
    if len(found) > 1:
        raise InvalidArgumentError(
            f"Several attachments begin with {id_or_prefix}; give more of the id.",
            field="attachment_id",
        )
    return found[0]


def _checked_name(name: str) -> str:
    """Return the name of a file; one that would be a step in a path is none."""
    if name in {".", ".."} or len(name.encode()) > _LONGEST_NAME:
        raise InvalidArgumentError(
            "file_name must be the name of a file, of at most 255 bytes.", field="file_name"
        )
    return name


def _guessed(name: str) -> str:
    kind = mimetypes.guess_type(name)[0] or _UNKNOWN_TYPE
    return kind if len(kind) <= _LONGEST_TYPE else _UNKNOWN_TYPE


def _place(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"


def _keep(files: Path, content: bytes) -> str:
    """Write a file that is whole and durable as soon as it has its name; return its checksum."""
    sha256 = hashlib.sha256(content).hexdigest()
    path = files / _place(sha256)
    if _read(path) == content:
        return sha256
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    for directory in (path.parent, files):
        _sync(directory)
    return sha256


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> bytes | None:
    """Return what is in a file; a link or a device is none."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        return file.read()
