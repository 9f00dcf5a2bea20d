"""What a provider told of usage, in a shape that can be sent and stored whatever it was.

A settlement that cannot be stored would leave its hold in place for ever, so nothing that an answer
says may make it so: no NaN, no number beyond all bounds, no text that is no text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, cast

from google.protobuf import struct_pb2

from autovibe.kernel.protoconv import struct

# A double holds whole numbers up to here exactly.
_LARGEST: Final = 2**53
_DEEPEST: Final = 8
_MOST_VALUES: Final = 500
_LONGEST: Final = 500


def kept_usage(usage: Mapping[str, object]) -> struct_pb2.Struct:
    """Return usage as it is kept beside what it cost; what cannot be kept is told in words."""
    left = [_MOST_VALUES]
    return struct(cast("dict[str, object]", _kept(usage, 0, left)))


def kept_text(text: str) -> str:
    """Return a text of a provider without what no message and no database takes."""
    sound = text[:_LONGEST].encode("utf-8", "replace").decode()
    return sound.replace("\0", "\ufffd")


def _kept(value: object, depth: int, left: list[int]) -> object:
    left[0] -= 1
    if left[0] < 0 or depth > _DEEPEST:
        return "left out"
    if isinstance(value, Mapping):
        members = cast("Mapping[object, object]", value).items()
        return {
            kept_text(str(name)): _kept(member, depth + 1, left)
            for name, member in members
            if left[0] > 0
        }
    if isinstance(value, list):
        items = cast("list[object]", value)
        return [_kept(item, depth + 1, left) for item in items if left[0] > 0]
    return kept_text(value) if isinstance(value, str) else _kept_number(value)


def _kept_number(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        return f"a number of {value.bit_length()} bits"
    return value
