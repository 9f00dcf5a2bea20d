"""Messages as plain data, as REST gives them: snake_case, whole numbers as numbers."""

from __future__ import annotations

from typing import Any, Final, cast

from google.protobuf import json_format, struct_pb2, timestamp_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_MESSAGE: Final = FieldDescriptor.TYPE_MESSAGE


def to_document(message: Message) -> dict[str, object]:
    """Return every field of a message; one that holds an unset message is `None`."""
    return {field.name: _field(message, field) for field in message.DESCRIPTOR.fields}


def _field(message: Message, field: FieldDescriptor) -> object:
    value = cast("Any", getattr(message, field.name))
    if field.type != _MESSAGE:
        return list(value) if field.is_repeated else value
    if field.message_type.GetOptions().map_entry:
        return {key: value[key] for key in sorted(value)}
    if field.is_repeated:
        return [_message(item) for item in value]
    return _message(value) if message.HasField(field.name) else None


def _message(value: Message) -> object:
    if isinstance(value, timestamp_pb2.Timestamp | struct_pb2.Struct):
        return json_format.MessageToDict(value)
    return to_document(value)
