"""Checks of requests by the rules of their fields, compiled once per message."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from typing import Any, Final

from google.protobuf import struct_pb2, timestamp_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from autovibe.kernel.errors import InvalidArgumentError
from autovibe.sdk.contract import is_map, rule_of
from autovibe.v1 import options_pb2

_HEX: Final = "[0-9a-fA-F]"
_DECIMAL: Final = r"[0-9]{1,9}(\.[0-9]{1,6})?"

FORMATS: Final = {
    options_pb2.FORMAT_UUID: f"{_HEX}{{8}}-({_HEX}{{4}}-){{3}}{_HEX}{{12}}",
    options_pb2.FORMAT_DECIMAL: _DECIMAL,
    # As `kernel.ids.id_range` takes it: with the dashes where they belong, or without any.
    options_pb2.FORMAT_ID_PREFIX: (
        f"{_HEX}{{8,32}}|{_HEX}{{8}}-({_HEX}{{4}}-){{0,3}}{_HEX}{{0,4}}"
        f"|{_HEX}{{8}}-({_HEX}{{4}}-){{3}}{_HEX}{{5,12}}"
    ),
    # As `kernel.money.parse_amount` takes it, but for other spaces: which characters `\s` stands
    # for differs between Python and the expressions of JSON Schema.
    options_pb2.FORMAT_AMOUNT: rf" *\$? *{_DECIMAL} *([Cc][Aa][Dd]|[Uu][Ss][Dd])? *",
    options_pb2.FORMAT_PAGE_TOKEN: "[A-Za-z0-9_-]+",
}
"""Regular expressions that the whole of a text must match, by its format."""

_SHOWN: Final = 20
_WORDS: Final = {
    options_pb2.FORMAT_UUID: "must be an id (a UUID)",
    options_pb2.FORMAT_DECIMAL: (
        "must be a plain number with at most 9 digits before the point and 6 after it"
    ),
    options_pb2.FORMAT_ID_PREFIX: "must be an id, or its first 8 or more characters",
    options_pb2.FORMAT_AMOUNT: "must be an amount such as 2.00CAD or 1.50USD",
    options_pb2.FORMAT_PAGE_TOKEN: (
        "must be what next_page_token was in an answer; start again without one"
    ),
}
_FIRST_SECOND: Final = -62_135_596_800  # 0001-01-01
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31
_NANOS: Final = 1_000_000_000

Violation = tuple[str, str]
"""Path of the field, and what it must be: a predicate such as "must be given"."""
_Check = Callable[[Any], str | None]
_FieldCheck = Callable[[Message, str, list[Violation]], None]


class Validator:
    """The rules of one message and of the messages in it."""

    def __init__(self, descriptor: Descriptor) -> None:
        """Compile the rules of a message; those of its parts are found when they are needed."""
        self._checks: tuple[_FieldCheck, ...] = tuple(
            check for field in descriptor.fields for check in _field_checks(field)
        )

    def check(self, message: Message) -> None:
        """Return when the message keeps every rule.

        Raises:
            InvalidArgumentError: it does not; the sentence names every field that breaks a rule,
                `field` is the first of them.
        """
        violations: list[Violation] = []
        self.collect(message, "", violations)
        if violations:
            raise InvalidArgumentError(_sentence(violations), field=violations[0][0])

    def collect(self, message: Message, prefix: str, violations: list[Violation]) -> None:
        """Add what breaks a rule, with paths that begin with `prefix`."""
        for check in self._checks:
            check(message, prefix, violations)


@cache
def validator(descriptor: Descriptor) -> Validator:
    """Return the compiled rules of a message."""
    return Validator(descriptor)


def _sentence(violations: list[Violation]) -> str:
    parts = [f"{path} {predicate}" for path, predicate in violations[:_SHOWN]]
    left = len(violations) - _SHOWN
    return "; ".join([*parts, *([f"and {left} more"] if left > 0 else [])]) + "."


def _field_checks(field: FieldDescriptor) -> Iterator[_FieldCheck]:
    rule = rule_of(field)
    if field.is_repeated:
        yield from _repeated_checks(field, rule)
    elif field.message_type is not None:
        yield _message_check(field, field.message_type, rule)
    else:
        checks = _remembered(list(_value_checks(field, rule)), field, rule)
        if rule.required:
            yield _required_value(field, checks)
        elif checks:
            yield _optional_value(field, checks)


def _required_value(field: FieldDescriptor, checks: list[_Check]) -> _FieldCheck:
    name, reads_presence = field.name, field.has_presence

    def check(message: Message, prefix: str, violations: list[Violation]) -> None:
        value = getattr(message, name)
        if not (message.HasField(name) if reads_presence else value):
            violations.append((prefix + name, "must be given"))
            return
        _first(checks, value, prefix + name, violations)

    return check


def _optional_value(field: FieldDescriptor, checks: list[_Check]) -> _FieldCheck:
    name, reads_presence = field.name, field.has_presence
    # Without presence an empty text is an absent one; a number is always there, so 0 is checked.
    skips_empty = field.type in {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES}

    def check(message: Message, prefix: str, violations: list[Violation]) -> None:
        value = getattr(message, name)
        absent = not message.HasField(name) if reads_presence else (skips_empty and not value)
        if not absent:
            _first(checks, value, prefix + name, violations)

    return check


def _message_check(
    field: FieldDescriptor, part: Descriptor, rule: options_pb2.FieldRule
) -> _FieldCheck:
    name, required = field.name, rule.required
    collect = _part_collector(part)

    def check(message: Message, prefix: str, violations: list[Violation]) -> None:
        if message.HasField(name):
            collect(getattr(message, name), prefix + name, violations)
        elif required:
            violations.append((prefix + name, "must be given"))

    return check


def _repeated_checks(field: FieldDescriptor, rule: options_pb2.FieldRule) -> Iterator[_FieldCheck]:
    name = field.name
    if rule.required or rule.min_len or rule.max_len:
        least = max(rule.min_len, 1 if rule.required else 0)
        yield _count_check(name, least, rule.max_len, may_be_empty=not rule.required)
    part = field.message_type
    if part is not None and is_map(field):
        yield _map_check(name, part)
    elif part is not None:
        yield _items_check(name, _part_collector(part))
    else:
        checks = list(_value_checks(field, rule))
        if checks:

            def collect(value: Any, path: str, violations: list[Violation]) -> None:
                _first(checks, value, path, violations)

            yield _items_check(name, collect)


def _count_check(name: str, least: int, most: int, *, may_be_empty: bool) -> _FieldCheck:
    def check(message: Message, prefix: str, violations: list[Violation]) -> None:
        count = len(getattr(message, name))
        if count == 0 and may_be_empty:
            return
        if count == 0:
            violations.append((prefix + name, "must be given"))
        elif count < least:
            violations.append((prefix + name, f"must have at least {least} items"))
        elif most and count > most:
            violations.append((prefix + name, f"must have at most {most} items"))

    return check


def _items_check(name: str, collect: Callable[[Any, str, list[Violation]], None]) -> _FieldCheck:
    def check(message: Message, prefix: str, violations: list[Violation]) -> None:
        for index, item in enumerate(getattr(message, name)):
            collect(item, f"{prefix}{name}[{index}]", violations)

    return check


def _map_check(name: str, entry: Descriptor) -> _FieldCheck:
    """Return the check of a map: rules on its entries do not exist, but no text holds a NUL."""
    holds_messages = entry.fields_by_name["value"].message_type
    collect = _part_collector(holds_messages) if holds_messages else None

    def check(message: Message, prefix: str, violations: list[Violation]) -> None:
        entries = getattr(message, name)
        for key in entries:
            value = entries[key]
            if collect is not None:
                collect(value, f"{prefix}{name}[{key}]", violations)
            if (isinstance(key, str) and "\0" in key) or (isinstance(value, str) and "\0" in value):
                violations.append((prefix + name, _NO_NUL))

    return check


def _part_collector(descriptor: Descriptor) -> Callable[[Any, str, list[Violation]], None]:
    if descriptor.full_name == timestamp_pb2.Timestamp.DESCRIPTOR.full_name:
        return _collect_timestamp
    if descriptor.full_name == struct_pb2.Struct.DESCRIPTOR.full_name:
        return _collect_struct

    def collect(value: Any, path: str, violations: list[Violation]) -> None:
        # Looked up here and not outside: a message may contain itself.
        validator(descriptor).collect(value, f"{path}.", violations)

    return collect


def _collect_timestamp(
    value: timestamp_pb2.Timestamp, path: str, violations: list[Violation]
) -> None:
    if not (_FIRST_SECOND <= value.seconds <= _LAST_SECOND and 0 <= value.nanos < _NANOS):
        violations.append((path, "must be a time between the years 1 and 9999"))


def _collect_struct(value: struct_pb2.Struct, path: str, violations: list[Violation]) -> None:
    if any("\0" in text for text in _texts(value)):
        violations.append((path, _NO_NUL))


def _texts(struct: struct_pb2.Struct) -> Iterator[str]:
    """Give every name and every text in an object, however deep; a loop, as depth is hostile."""
    pending: list[struct_pb2.Struct | struct_pb2.ListValue] = [struct]
    while pending:
        part = pending.pop()
        values: Iterable[struct_pb2.Value]
        if isinstance(part, struct_pb2.Struct):
            yield from part.fields
            values = part.fields.values()
        else:
            values = part.values
        for value in values:
            kind = value.WhichOneof("kind")
            if kind == "string_value":
                yield value.string_value
            elif kind == "struct_value":
                pending.append(value.struct_value)
            elif kind == "list_value":
                pending.append(value.list_value)


_NO_NUL: Final = "must not contain the character NUL"


def _first(checks: list[_Check], value: Any, path: str, violations: list[Violation]) -> None:
    for check in checks:
        predicate = check(value)
        if predicate is not None:
            violations.append((path, predicate))
            return


def _remembered(
    checks: list[_Check], field: FieldDescriptor, rule: options_pb2.FieldRule
) -> list[_Check]:
    """Return checks as one that remembers short texts: ids and amounts come again and again."""
    is_short = rule.format in _SHORT or rule.one_of or 0 < rule.max_len <= _REMEMBERED
    if field.type != FieldDescriptor.TYPE_STRING or not is_short or not checks:
        return checks

    @lru_cache(256)
    def known(value: str) -> str | None:
        return next((told for check in checks if (told := check(value)) is not None), None)

    def check(value: str) -> str | None:
        # What is too long to be right is not kept in memory either.
        return (known if len(value) <= _REMEMBERED else known.__wrapped__)(value)

    return [check]


_REMEMBERED: Final = 100
_SHORT: Final = frozenset(
    {options_pb2.FORMAT_UUID, options_pb2.FORMAT_DECIMAL, options_pb2.FORMAT_AMOUNT}
)


def _value_checks(field: FieldDescriptor, rule: options_pb2.FieldRule) -> Iterator[_Check]:
    if field.type == FieldDescriptor.TYPE_STRING:
        # PostgreSQL cannot store it, and what one database takes the other must take too.
        yield lambda value: _NO_NUL if "\0" in value else None
        yield from _text_checks(rule, counts_items=field.is_repeated)
    elif field.type in _NUMBERS:
        yield from _number_checks(rule)
    elif field.enum_type is not None:
        known = frozenset(value.number for value in field.enum_type.values)
        yield lambda value: None if value in known else "must be a value that this version knows"


_NUMBERS: Final = frozenset(
    getattr(FieldDescriptor, f"TYPE_{name}")
    for name in ("DOUBLE", "FLOAT", "INT32", "INT64", "UINT32", "UINT64", "SINT32", "SINT64")
)


def _text_checks(rule: options_pb2.FieldRule, *, counts_items: bool) -> Iterator[_Check]:
    if rule.one_of:
        allowed = frozenset(rule.one_of)
        wanted = f"must be one of {', '.join(rule.one_of)}"
        yield lambda value: None if value in allowed else wanted
    if not counts_items and rule.min_len:
        least = rule.min_len
        too_short = f"must have at least {least} characters"
        yield lambda value: too_short if len(value) < least else None
    if not counts_items and rule.max_len:
        most = rule.max_len
        too_long = f"must have at most {most} characters"
        yield lambda value: too_long if len(value) > most else None
    if rule.pattern:
        yield _matches(re.compile(rule.pattern), rule.says or f"must match {rule.pattern}")
    if rule.format:
        yield _matches(re.compile(FORMATS[rule.format]), rule.says or _WORDS[rule.format])


def _matches(pattern: re.Pattern[str], otherwise: str) -> _Check:
    full_match = pattern.fullmatch
    return lambda value: None if full_match(value) else otherwise


def _number_checks(rule: options_pb2.FieldRule) -> Iterator[_Check]:
    # Written so that NaN, which is not comparable, breaks every bound.
    if rule.HasField("ge"):
        least, too_small = rule.ge, f"must be at least {rule.ge:g}"
        yield lambda value: None if value >= least else too_small
    if rule.HasField("le"):
        most, too_large = rule.le, f"must be at most {rule.le:g}"
        yield lambda value: None if value <= most else too_large


def rule_problems(descriptor: Descriptor) -> list[str]:
    """Return what is wrong with the rules of a message themselves; empty when nothing is."""
    problems: list[str] = []
    for field in descriptor.fields:
        rule = rule_of(field)
        kind = field.type
        if rule.required and kind == FieldDescriptor.TYPE_BOOL:
            problems.append(f"{field.full_name}: a bool cannot be required")
        if (rule.pattern or rule.one_of or rule.format) and kind != FieldDescriptor.TYPE_STRING:
            problems.append(f"{field.full_name}: only text has a pattern, a format or one_of")
        if (rule.HasField("ge") or rule.HasField("le")) and kind not in _NUMBERS:
            problems.append(f"{field.full_name}: only numbers have bounds")
    return problems
