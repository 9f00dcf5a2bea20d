"""What no column takes, on either backend: SQLite would store much that PostgreSQL refuses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, cast

from google.protobuf import json_format
from google.protobuf.message import Message

JSON_DEPTH: Final = 64
"""How deep objects and lists may be nested; protobuf reads 100 levels at most."""
JSON_SIZE: Final = 16 * 1024 * 1024
"""How large one value may be, in characters of text and 8 for everything else."""
_SCALAR_SIZE: Final = 8
_LONG_LIST: Final = 100


def text_fault(value: object, length: int | None = None) -> str:
    """Return what is wrong with a text for a column, "" when nothing is.

    Args:
        value: what is to be stored.
        length: at most so many characters.
    """
    if not isinstance(value, str):
        return f"{type(value).__name__} is no text; give a str."
    if "\x00" in value:
        return "a text cannot hold the NUL character; leave it out."
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return "the text is no valid UTF-8; decode it with errors='replace' first."
    if length is not None and len(value) > length:
        return f"{len(value)} characters are too many; {length} fit."
    return ""


def json_fault(value: object) -> str:
    """Return why a value cannot be stored as JSON, "" when it can."""
    size = 0
    left: list[tuple[object, int]] = [(value, 0)]
    while left:
        item, depth = left.pop()
        size += len(item) if isinstance(item, str) else _SCALAR_SIZE
        if depth > JSON_DEPTH:
            return f"JSON may be nested {JSON_DEPTH} levels deep; flatten it."
        if size > JSON_SIZE:
            return f"JSON of more than {JSON_SIZE} characters is too large; store it elsewhere."
        if isinstance(item, Mapping):
            members = cast("Mapping[object, object]", item)
            left += ((inner, depth + 1) for pair in members.items() for inner in pair)
            if not all(isinstance(key, str) for key in members):
                return "a JSON object has texts as names; turn them into str."
        elif isinstance(item, list | tuple):
            left += ((inner, depth + 1) for inner in cast("list[object]", item))
        elif fault := _scalar_fault(item):
            return fault
    return ""


def _scalar_fault(value: object) -> str:
    if isinstance(value, str):
        return text_fault(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f"JSON has no number {value}; leave it out."
    if value is not None and not isinstance(value, bool | int | float):
        return f"{type(value).__name__} cannot be stored as JSON; give text or a number."
    return ""


def message_fault(value: Any, kind: type[Message]) -> str:
    """Return why a value is not the ProtoJSON of a message, "" when it is.

    Long lists are looked at by shape only: protobuf takes 1.4 s for a manifest of 10,000 files, and
    a write transaction has 50 ms.
    """
    small = {name: item for name, item in value.items() if not _is_long(item)}
    try:
        json_format.ParseDict(small, kind())
    except json_format.ParseError as error:
        return f"this is no {kind.DESCRIPTOR.full_name}: {error}"
    fields = kind.DESCRIPTOR.fields_by_name
    for name in value.keys() - small.keys():
        if name not in fields or not fields[name].is_repeated:
            return f"this is no {kind.DESCRIPTOR.full_name}: it has no list {name!r}"
        known = None if (inner := fields[name].message_type) is None else set(inner.fields_by_name)
        for item in value[name]:
            fits = isinstance(item, str) if known is None else _has_only(item, known)
            if not fits:
                return f"{name} holds what is no {'text' if inner is None else inner.full_name}."
    return ""


def _is_long(value: object) -> bool:
    return isinstance(value, list) and len(cast("list[object]", value)) > _LONG_LIST


def _has_only(item: object, names: set[str]) -> bool:
    return isinstance(item, dict) and cast("dict[str, object]", item).keys() <= names
