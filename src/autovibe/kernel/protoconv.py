"""Between Python values and message fields."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf import json_format, struct_pb2, timestamp_pb2


def timestamp(value: datetime | None) -> timestamp_pb2.Timestamp | None:
    """Return the message for an aware time, `None` for none."""
    if value is None:
        return None
    message = timestamp_pb2.Timestamp()
    message.FromDatetime(value)
    return message


def from_timestamp(message: timestamp_pb2.Timestamp) -> datetime:
    """Return the aware time in UTC."""
    return message.ToDatetime(tzinfo=UTC)


def struct(value: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return a JSON object as a message."""
    message = struct_pb2.Struct()
    message.update(dict(value))
    return message


def from_struct(message: struct_pb2.Struct) -> dict[str, Any]:
    """Return a message as a JSON object."""
    return json_format.MessageToDict(message)


def id_text(value: uuid.UUID | None) -> str:
    """Return an id as text, "" for none."""
    return "" if value is None else str(value)


def id_or_none(text: str) -> uuid.UUID | None:
    """Return the id in a field that validation has passed, `None` when it is empty."""
    return uuid.UUID(text) if text else None
