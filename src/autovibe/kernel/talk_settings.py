"""Settings of chat and of context documents: what may be attached, and how large things may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from autovibe.kernel.database_settings import Source
from autovibe.kernel.errors import InvalidArgumentError

_DEFAULT_TYPES: Final = (
    "text/*",
    "image/*",
    "application/gzip",
    "application/json",
    "application/octet-stream",
    "application/pdf",
    "application/toml",
    "application/x-tar",
    "application/xml",
    "application/yaml",
    "application/zip",
)
_LARGEST_ATTACHMENT_MB: Final = 11
"""More does not fit into a request of 16 MB, in which it stands as base64."""


@dataclass(frozen=True)
class ChatSettings:
    """What may be attached to messages."""

    attachment_mb: int = 10
    attachment_types: tuple[str, ...] = _DEFAULT_TYPES
    """Media types, or families of them as in image/*."""


@dataclass(frozen=True)
class DocumentSettings:
    """How large context documents may be."""

    max_kb: int = 1024
    """Of one document."""
    machine_kb: int = 8192
    """Of all that one machine is given."""


CHAT_KEYS: Final = frozenset({"attachment_mb", "attachment_types"})
DOCUMENT_KEYS: Final = frozenset({"max_kb", "machine_kb"})


def read_chat_settings(env: Mapping[str, str], table: Mapping[str, object]) -> ChatSettings:
    """Return the settings of `AUTOVIBE_CHAT_*` over those of the table `[chat]`.

    Raises:
        InvalidArgumentError: a value is malformed.
    """
    source = Source(env, "AUTOVIBE_CHAT_", table)
    own = ChatSettings()
    size = source.number("attachment_mb", int, own.attachment_mb)
    if not 0 <= size <= _LARGEST_ATTACHMENT_MB:
        raise InvalidArgumentError(
            f"attachment_mb is {size}; give 0 (no attachments) to {_LARGEST_ATTACHMENT_MB}.",
            name="attachment_mb",
        )
    types = source.texts("attachment_types", own.attachment_types)
    return ChatSettings(attachment_mb=size, attachment_types=types)


def read_document_settings(env: Mapping[str, str], table: Mapping[str, object]) -> DocumentSettings:
    """Return the settings of `AUTOVIBE_DOCUMENTS_*` over those of the table `[documents]`.

    Raises:
        InvalidArgumentError: a value is malformed.
    """
    source = Source(env, "AUTOVIBE_DOCUMENTS_", table)
    own = DocumentSettings()
    return DocumentSettings(
        max_kb=source.number("max_kb", int, own.max_kb),
        machine_kb=source.number("machine_kb", int, own.machine_kb),
    )
