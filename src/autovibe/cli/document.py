"""Messages as plain data, as REST gives them: snake_case, whole numbers as numbers."""

from __future__ import annotations

from typing import Any

from google.protobuf import struct_pb2, timestamp_pb2
from google.protobuf.message import Message

from autovibe.kernel.protojson import well_known_json


def to_document(message: Message) -> dict[str, object]:
    """Return every field of a message; one that holds an unset message is `None`."""
    # The descriptor classes of Protobuf's two implementations have no common type.
    fields: Any = message.DESCRIPTOR.fields
    return {field.name: _field(message, field) for field in fields}


def _field(message: Message, field: Any) -> object:
    value = getattr(message, field.name)
    if field.message_type is None:
        return list(value) if field.is_repeated else value
    if field.message_type.GetOptions().map_entry:
        return {key: value[key] for key in sorted(value)}
    if field.is_repeated:
        return [_message(item) for item in value]
    return _message(value) if message.HasField(field.name) else None


def _message(value: Message) -> object:
    if isinstance(value, timestamp_pb2.Timestamp | struct_pb2.Struct):
        return well_known_json(value)
    return to_document(value)
