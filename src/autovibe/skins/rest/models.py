"""Pydantic models built from descriptors: the shapes of bodies, for checking and for the docs.

The rules of fields are shown here and enforced by `invoke()`, so that every skin gives the same
sentences; a model refuses only what cannot become a message: wrong types and unknown names.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Any, Final, Literal, cast

from google.protobuf import timestamp_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    create_model,
)
from pydantic.fields import FieldInfo

from autovibe.operations.validation import FORMATS
from autovibe.sdk.contract import is_map, rule_of
from autovibe.skins.rest.comments import comment
from autovibe.v1 import options_pb2

_INTEGERS: Final = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SINT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
}
_FLOATS: Final = frozenset({FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT})
_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,20}")
_NO_NUL: Final = r"^[^\x00]*$"


def _checked_time(value: str) -> str:
    try:
        timestamp_pb2.Timestamp().FromJsonString(value)
    except ValueError:
        msg = "must be a time such as 2026-01-31T12:00:00Z"
        raise ValueError(msg) from None
    return value


def _number_of(value: object) -> object:
    if isinstance(value, str) and not _WHOLE_NUMBER.fullmatch(value):
        msg = "must be a whole number"
        raise ValueError(msg)
    return int(value) if isinstance(value, str) else value


def _whole_of(value: object) -> object:
    """Return 60 for 60.0: JSON, and so JSON Schema, knows one kind of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _bool_of(value: object) -> object:
    if value in {"true", "false"}:
        return value == "true"
    msg = "must be true or false"
    raise ValueError(msg)


Time = Annotated[
    str,
    Strict(),
    AfterValidator(_checked_time),
    Field(json_schema_extra={"format": "date-time"}),
]
Text = Annotated[str, Strict()]


class Models:
    """The models of messages, each built once.

    Messages that requests contain refuse unknown fields; those of responses may grow.
    """

    def __init__(self, requests: Collection[Descriptor]) -> None:
        """Take the messages that are sent to the server, to know what they contain."""
        self._built: dict[str, type[BaseModel]] = {}
        self._sent: set[str] = set()
        for descriptor in requests:
            self._note_sent(descriptor)

    def _note_sent(self, descriptor: Descriptor) -> None:
        if descriptor.full_name not in self._sent:
            self._sent.add(descriptor.full_name)
            for field in descriptor.fields:
                if field.message_type is not None:
                    self._note_sent(field.message_type)

    def model(self, descriptor: Descriptor, without: Collection[str] = ()) -> type[BaseModel]:
        """Return the model of a message, leaving out fields that come from elsewhere."""
        key = ",".join((descriptor.full_name, *sorted(without)))
        if key not in self._built:
            fields = [field for field in descriptor.fields if field.name not in without]
            self._built[key] = self._build(descriptor, fields)
        return self._built[key]

    def _build(self, descriptor: Descriptor, fields: list[FieldDescriptor]) -> type[BaseModel]:
        is_sent = descriptor.full_name in self._sent
        required = [field.name for field in fields if _is_required(field, is_sent=is_sent)]

        def with_required(schema: dict[str, Any]) -> None:
            # Shown, not enforced here: invoke() says it in the same words on every skin.
            if required:
                schema["required"] = required
            for name in required:
                shown = schema["properties"][name]
                shown.pop("default", None)
                # A message that must be given is not given by null.
                given = [one for one in shown.pop("anyOf", []) if one != {"type": "null"}]
                shown |= given[0] if given else {}

        config = ConfigDict(
            extra="forbid" if is_sent else "ignore", json_schema_extra=with_required, strict=True
        )
        definitions: dict[str, Any] = {
            field.name: (self.annotation(field), self._field_info(field, is_sent=is_sent))
            for field in fields
        }
        return create_model(
            descriptor.name,
            __config__=config,
            __doc__=comment(descriptor.full_name) or None,
            **definitions,
        )

    def _field_info(self, field: FieldDescriptor, *, is_sent: bool) -> FieldInfo:
        if field.is_repeated:
            default: Any = {} if is_map(field) else []
        elif field.message_type is not None or field.has_presence:
            default = None
        else:
            default = field.default_value
        return cast(
            "FieldInfo",
            Field(
                default=default,
                description=comment(field.full_name) or None,
                json_schema_extra=rule_schema(field, is_sent=is_sent),
            ),
        )

    def annotation(self, field: FieldDescriptor) -> Any:
        """Return the type of a field in a body."""
        part = field.message_type
        if part is not None and is_map(field):
            values = self._value(part.fields_by_name["value"])
            return dict[Text, values]
        value = self._value(field)
        if field.is_repeated:
            return list[value]
        return value | None if field.has_presence else value

    def _value(self, field: FieldDescriptor) -> Any:
        part = field.message_type
        if part is None:
            return scalar(field)
        if part.full_name == "google.protobuf.Timestamp":
            return Time
        if part.full_name == "google.protobuf.Struct":
            return dict[str, Any]
        return self.model(part)


def scalar(field: FieldDescriptor) -> Any:
    """Return the type of one value of a field that holds no message."""
    if field.type in _INTEGERS:
        least, most = _INTEGERS[field.type]
        return Annotated[int, Strict(), Field(ge=least, le=most), BeforeValidator(_whole_of)]
    if field.type in _FLOATS:
        return Annotated[float, Strict()]
    if field.type == FieldDescriptor.TYPE_BOOL:
        return Annotated[bool, Strict()]
    if field.enum_type is not None:
        return Literal[tuple(value.name for value in field.enum_type.values)]
    return Text


def query_annotation(field: FieldDescriptor) -> Any:
    """Return the type of a query parameter: text that is read as what the field holds."""
    if field.message_type is not None:
        value: Any = Time
    elif field.type in _INTEGERS:
        least, most = _INTEGERS[field.type]
        value = Annotated[int, Field(ge=least, le=most), BeforeValidator(_number_of)]
    elif field.type == FieldDescriptor.TYPE_BOOL:
        value = Annotated[bool, BeforeValidator(_bool_of)]
    else:
        value = str if field.type == FieldDescriptor.TYPE_STRING else scalar(field)
    return list[value] if field.is_repeated else value


def query_schema(field: FieldDescriptor) -> dict[str, Any] | None:
    """Return what JSON Schema says of a query parameter beyond its type."""
    return {"format": "date-time"} if field.message_type is not None else rule_schema(field)


def rule_schema(field: FieldDescriptor, *, is_sent: bool = True) -> dict[str, Any] | None:
    """Return the rules of a field in the words of JSON Schema."""
    rule = rule_of(field)
    of_value = _value_schema(rule, is_item=field.is_repeated)
    is_free = not {"pattern", "enum"} & set(of_value)
    if is_sent and is_free and field.type == FieldDescriptor.TYPE_STRING:
        of_value["pattern"] = _NO_NUL  # what is answered may hold what machines wrote
    if field.type == FieldDescriptor.TYPE_BYTES:
        of_value["contentEncoding"] = "base64"
    least = max(rule.min_len, 1 if rule.required else 0)
    if field.is_repeated:
        counts = {"minItems": least, "maxItems": rule.max_len}
        whole: dict[str, Any] = {name: count for name, count in counts.items() if count}
        if of_value:
            whole["items"] = {"type": "string", **of_value}
        return whole or None
    if field.type == FieldDescriptor.TYPE_STRING and least and not rule.one_of:
        of_value["minLength"] = least
    if rule.max_len:
        of_value["maxLength"] = rule.max_len
    return of_value or None


def _value_schema(rule: options_pb2.FieldRule, *, is_item: bool) -> dict[str, Any]:
    """Return the rules of one value; an empty text is an absent one where none is required."""
    schema: dict[str, Any] = {}
    may_be_empty = not rule.required and not is_item
    if rule.one_of:
        schema["enum"] = [*rule.one_of, *([""] if may_be_empty else [])]
    pattern = FORMATS.get(rule.format, rule.pattern)
    if pattern:
        schema["pattern"] = f"^(?:{pattern})?$" if may_be_empty else f"^(?:{pattern})$"
    if rule.HasField("ge"):
        schema["minimum"] = _plain(rule.ge)
    if rule.HasField("le"):
        schema["maximum"] = _plain(rule.le)
    return schema


def _plain(bound: float) -> int | float:
    return int(bound) if bound.is_integer() else bound


def _is_required(field: FieldDescriptor, *, is_sent: bool) -> bool:
    """Return whether a body has a field always: by rule if sent, by ProtoJSON if answered."""
    if not is_sent:
        return not field.has_presence
    rule = rule_of(field)
    too_small = rule.HasField("ge") and rule.ge > 0
    return rule.required or (too_small and not field.has_presence and not field.is_repeated)
