"""Read JSON of unknown shape: what has another type than expected counts as absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

JsonObject: TypeAlias = Mapping[str, object]


def as_object(value: object) -> JsonObject:
    """Return the value when it is a JSON object, else an empty one."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def as_objects(value: object) -> list[JsonObject]:
    """Return the objects in a JSON array in order, without empty ones and other elements."""
    objects = (as_object(item) for item in as_array(value))
    return [fields for fields in objects if fields]


def as_array(value: object) -> Sequence[Any]:
    """Return the value when it is a JSON array, else an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else ()


def as_text(value: object) -> str:
    """Return the value when it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def as_whole(value: object) -> int | None:
    """Return the value when it is a whole number and no boolean, else `None`."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
