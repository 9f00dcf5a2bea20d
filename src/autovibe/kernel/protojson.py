"""Between messages and JSON-ready data, as REST has it.

It is ProtoJSON with three settings: field names are those of the proto file, 64-bit integers are
numbers, and fields without presence are always written; an unset message is left out.

Source: https://protobuf.dev/programming-guides/json/
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, cast

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from autovibe.kernel.errors import InvalidArgumentError

_Writer = Callable[[Any], Any]
_WELL_KNOWN: Final = "google.protobuf."
_AS_IS: Final[_Writer] = lambda value: value  # noqa: E731 - one of a table of one-argument functions


def to_json(message: Message) -> dict[str, Any]:
    """Return a message as data that `json` can write."""
    return _write(message, _writers(message.DESCRIPTOR))


def to_json_bytes(message: Message) -> bytes:
    """Return a message as a JSON document."""
    document = json.dumps(
        to_json(message), allow_nan=False, ensure_ascii=False, separators=(",", ":")
    )
    return document.encode()


def well_known_json(message: Message) -> Any:
    """Return a message of Protobuf's own; an object has its names in order, whatever held it."""
    return _in_order(json_format.MessageToDict(message))


def from_json(
    data: Mapping[str, Any], message: Message, *, ignore_unknown_fields: bool = False
) -> None:
    """Fill an empty message from JSON data.

    Raises:
        InvalidArgumentError: a value does not fit its field, or a field is unknown.
    """
    try:
        json_format.ParseDict(dict(data), message, ignore_unknown_fields=ignore_unknown_fields)
    # Beside its own error the parser lets through those of numbers and texts that do not fit.
    except (json_format.ParseError, ValueError, TypeError, OverflowError) as error:
        sentence = str(error).rstrip(".")
        raise InvalidArgumentError(f"The data does not fit: {sentence}; correct it.") from error


def _write(
    message: Message, writers: tuple[tuple[FieldDescriptor, str, bool, _Writer], ...]
) -> dict[str, Any]:
    return {
        name: writer(getattr(message, name))
        for field, name, has_presence, writer in writers
        if not has_presence or message.HasField(field.name)
    }


@cache
def _writers(descriptor: Descriptor) -> tuple[tuple[FieldDescriptor, str, bool, _Writer], ...]:
    return tuple(
        (field, field.name, field.has_presence, _field_writer(field)) for field in descriptor.fields
    )


def _field_writer(field: FieldDescriptor) -> _Writer:
    part = field.message_type
    if part is not None and part.GetOptions().map_entry:
        one = _value_writer(part.fields_by_name["value"])
        return lambda entries: {_key(key): one(entries[key]) for key in sorted(entries)}
    one = _value_writer(field)
    if field.is_repeated:
        return lambda items: [one(item) for item in items]
    return one


def _value_writer(field: FieldDescriptor) -> _Writer:
    if field.message_type is not None:
        well_known = field.message_type.full_name.startswith(_WELL_KNOWN)
        return well_known_json if well_known else to_json
    if field.enum_type is not None:
        return _enum_writer(field.enum_type)
    if field.type in {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}:
        return _number
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode()
    return _AS_IS


def _in_order(value: Any) -> Any:
    if isinstance(value, dict):
        named = cast("dict[str, Any]", value)
        return {name: _in_order(named[name]) for name in sorted(named)}
    if isinstance(value, list):
        return [_in_order(item) for item in cast("list[Any]", value)]
    return value


def _enum_writer(enum: EnumDescriptor) -> _Writer:
    names = {value.number: value.name for value in enum.values}
    return lambda number: names.get(number, number)


def _number(value: float) -> float | str:
    """Return a number; JSON has no infinity and no NaN, so these are words."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _key(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
