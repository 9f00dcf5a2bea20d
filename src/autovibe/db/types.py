"""Column types that mean the same on PostgreSQL and on SQLite."""

from __future__ import annotations

import math
import re
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Self, TypeVar, cast

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, Numeric, String, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, REAL
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator, TypeEngine, Uuid

from autovibe.db.checks import json_fault, message_fault, text_fault
from autovibe.db.errors import InvalidValueError

T = TypeVar("T")
EnumT = TypeVar("EnumT", bound=StrEnum)

BigIdentity: Final = BigInteger().with_variant(Integer(), "sqlite")
"""BIGINT; on SQLite the INTEGER that alone can be a rowid."""


class Checked(TypeDecorator[T]):
    """A type that refuses what does not belong in its column, and names the column.

    `Base` gives every column a type of its own by `named`, so that the error can say where.
    """

    __abstract__ = True
    impl = String
    cache_ok = True
    field: str = ""

    def named(self, field: str) -> Self:
        """Return the same type for the column `table.column`."""
        other = self.copy()
        other.field = field
        return other

    def refusal(self, sentence: str) -> InvalidValueError:
        """Return the error for a value, with the column in front of the sentence."""
        if not self.field:
            return InvalidValueError(sentence)
        return InvalidValueError(f"{self.field}: {sentence}", field=self.field)


class PlainText(Checked[str]):
    """VARCHAR, CHAR or TEXT; refuses NUL, invalid UTF-8 and, when stored, too many characters."""

    impl = String
    cache_ok = True

    def __init__(self, inner: String) -> None:
        """Args: the type in the database."""
        super().__init__(inner.length)
        self.inner = inner

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type in the database, as it is: asyncpg would make VARCHAR of TEXT."""
        del dialect
        return self.inner

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Check a text.

        Raises:
            InvalidValueError: it cannot be stored.
        """
        del dialect
        if value is not None and (fault := text_fault(value, self.inner.length)):
            raise self.refusal(fault)
        return value

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:
        """Return what checks a text that is only looked for: it may be longer."""
        del op
        return PlainText(Text()).named(self.field) if isinstance(value, str) else self


class JsonText(str):
    """The text of a JSON value that needs no check: it was written from a message."""

    __slots__ = ()


class JsonValue(Checked[Any]):
    """JSONB on PostgreSQL, text on SQLite: the ProtoJSON of a message, or of a list of them.

    A change inside a value is not seen: assign a new one.
    """

    impl = JSON
    cache_ok = True

    def __init__(self, holds: type[Message | str] = Struct, *, many: bool = False) -> None:
        """Args: a message (`Struct` is any object) or text; whether it is a list of those."""
        super().__init__(none_as_null=True)
        self.holds = holds
        self.many = many

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return JSONB or JSON."""
        kind = JSONB if dialect.name == "postgresql" else JSON
        return dialect.type_descriptor(kind(none_as_null=True))

    def bind_processor(self, dialect: Dialect) -> Any:
        """Let a `JsonText` pass, and check and write everything else.

        An empty object is a whole message of any kind; most rows of usage have no other.
        """
        written = super().bind_processor(dialect)
        if written is None:
            raise AssertionError("a JSON column writes what it is given")
        takes_empty = not self.many

        def process(value: Any | None) -> Any:
            if isinstance(value, JsonText):
                return str(value)
            return "{}" if takes_empty and value == {} else written(value)

        return process

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Check a value; a message itself is taken too.

        Raises:
            InvalidValueError: it is not what the column holds.
        """
        del dialect
        if isinstance(value, Message):
            value = json_format.MessageToDict(value, preserving_proto_field_name=True)
        if value is not None and (fault := self._fault(value)):
            raise self.refusal(fault)
        return value

    def _fault(self, value: Any) -> str:
        if fault := json_fault(value):
            return fault
        if not self.many:
            return self._item_fault(value)
        if not isinstance(value, list):
            return f"{type(value).__name__} is no list; give one."
        faults = (self._item_fault(item) for item in cast("list[Any]", value))
        return next(filter(None, faults), "")

    def _item_fault(self, item: Any) -> str:
        if self.holds is str:
            return text_fault(item)
        if not isinstance(item, dict):
            return f"{type(item).__name__} is no object; give a dict."
        if self.holds is Struct:
            return ""
        return message_fault(item, cast("type[Message]", self.holds))

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:
        """Return what the JSON type of the database makes of a compared value."""
        return self.impl_instance.coerce_compared_value(op, value)


Json: Final = JsonValue()
"""Any JSON object."""
JsonTexts: Final = JsonValue(str, many=True)
"""A JSON list of texts."""


class TextArray(Checked[list[str]]):
    """VARCHAR(length)[] or TEXT[]; JSON on SQLite."""

    impl = JSON
    cache_ok = True

    def __init__(self, length: int | None = None) -> None:
        """Args: of each text at most; None is TEXT."""
        super().__init__(none_as_null=True)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return an array or JSON."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(JSON(none_as_null=True))
        item = Text() if self.length is None else String(self.length)
        return dialect.type_descriptor(ARRAY(item))

    def process_bind_param(self, value: list[str] | None, dialect: Dialect) -> list[str] | None:
        """Check the texts.

        Raises:
            InvalidValueError: no list, or a text in it cannot be stored.
        """
        del dialect
        if value is None:
            return None
        if not isinstance(value, list):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may break the annotation
            raise self.refusal(f"{type(value).__name__} is no list; give one.")
        for item in value:
            if fault := text_fault(item, self.length):
                raise self.refusal(fault)
        return value


class RealArray(Checked[list[float]]):
    """REAL[]; JSON on SQLite. Single precision: what comes back may differ in the eighth digit."""

    impl = JSON
    cache_ok = True

    def __init__(self) -> None:
        """Take no arguments."""
        super().__init__(none_as_null=True)

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return an array or JSON."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(JSON(none_as_null=True))
        return dialect.type_descriptor(ARRAY[float](REAL[float]()))

    def process_bind_param(self, value: list[float] | None, dialect: Dialect) -> list[float] | None:
        """Check the numbers.

        Raises:
            InvalidValueError: one is not finite, or no number.
        """
        del dialect
        for item in value or []:
            if isinstance(item, bool) or not isinstance(item, float | int):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may break the annotation
                raise self.refusal(f"{item!r} is no number; give a float.")
            if not math.isfinite(item):
                raise self.refusal(f"{item} is not finite; give a number.")
        return value


class UtcDateTime(Checked[datetime]):
    """An aware time, in UTC on the way out; naive times are refused.

    SQLite keeps text with microseconds, so that comparison as text is comparison in time.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn any aware time into UTC.

        Raises:
            InvalidValueError: the value is naive.
        """
        if value is None:
            return None
        if not isinstance(value, datetime) or value.tzinfo is None:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may break the annotation
            raise self.refusal(f"{value!r} has no time zone; give a time in UTC.")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time aware, in UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ExactDecimal(Checked[Decimal]):
    """NUMERIC(precision, scale); on SQLite an integer scaled by 10^scale, which is exact.

    Comparison, `+`, `-`, `sum`, `min`, `max` and `coalesce` work in SQL between columns and values
    of one scale. Multiply and divide in Python: a product would have another scale on SQLite.
    """

    impl = Numeric(asdecimal=True)
    cache_ok = True

    def __init__(self, precision: int, scale: int) -> None:
        """Args are those of NUMERIC."""
        super().__init__()
        self.precision = precision
        self.scale = scale
        fraction = rf"(\.[0-9]{{1,{scale}}})?" if scale else ""
        self._plain = re.compile(rf"-?[0-9]{{1,{precision - scale}}}{fraction}")

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Pick NUMERIC or a scaled integer."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(Numeric(self.precision, self.scale, asdecimal=True))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Decimal | int | None:
        """Check that the value fits exactly, and scale it for SQLite.

        Raises:
            InvalidValueError: a float, NaN, infinity, too many decimals or digits.
        """
        if value is None:
            return None
        if dialect.name != "sqlite":
            return self._exact(value)
        whole, _, fraction = self.text(value).partition(".")
        return int(whole + fraction.ljust(self.scale, "0"))

    def text(self, value: Decimal) -> str:
        """Return a value in plain digits, checked as always; most are seen to fit at once.

        Raises:
            InvalidValueError: a float, NaN, infinity, too many decimals or digits.
        """
        text = str(value)
        if type(value) is Decimal and self._plain.fullmatch(text):
            return text
        scaled = self._exact(value).scaleb(self.scale).to_integral_value()
        return f"{scaled.scaleb(-self.scale):f}"

    def _exact(self, value: object) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, Decimal | int):
            raise self.refusal(f"{value!r} is no exact number; give a Decimal.")
        exact = Decimal(value)
        if not exact.is_finite():
            raise self.refusal(f"{value} is not finite; give a number.")
        scaled = exact.scaleb(self.scale)
        if scaled != scaled.to_integral_value():
            raise self.refusal(f"{value} has more than {self.scale} decimals; round it first.")
        if abs(scaled) >= Decimal(10) ** self.precision:
            raise self.refusal(
                f"{value} has more than {self.precision - self.scale} digits before the point."
            )
        return exact

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Return the exact decimal with the column's scale."""
        if value is None:
            return None
        if dialect.name == "sqlite":
            return Decimal(int(value)).scaleb(-self.scale)
        return Decimal(value)

    class Comparator(TypeDecorator.Comparator[Decimal]):
        """Keeps the type through `+` and `-`; refuses what would change the scale."""

        def operate(self, op: Any, *other: Any, **kwargs: Any) -> Any:
            """Apply an operator.

            Raises:
                InvalidValueError: multiplication or division.
            """
            _refuse_rescaling(op)
            expression = super().operate(op, *other, **kwargs)
            if op in _KEEPS_SCALE:
                expression.type = self.type
            return expression

        def reverse_operate(self, op: Any, other: Any, **kwargs: Any) -> Any:
            """Apply an operator whose left side is a plain value.

            Raises:
                InvalidValueError: multiplication or division.
            """
            _refuse_rescaling(op)
            expression = super().reverse_operate(op, other, **kwargs)
            if op in _KEEPS_SCALE:
                expression.type = self.type
            return expression

    comparator_factory = Comparator  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride, reportUnannotatedClassAttribute]  # SQLAlchemy's documented way to add operators


_KEEPS_SCALE: Final = frozenset({operators.add, operators.sub, operators.neg})
_RESCALES: Final = frozenset(
    {operators.mul, operators.truediv, operators.floordiv, operators.mod, operators.pow_}
)


def _refuse_rescaling(op: Any) -> None:
    if op in _RESCALES:
        raise InvalidValueError("Multiply and divide exact decimals in Python, not in SQL.")


class EnumText(Checked[EnumT]):
    """VARCHAR that holds a member of one `StrEnum`; the table has a CHECK from the same enum."""

    impl = String
    cache_ok = True

    def __init__(self, enum: type[EnumT], length: int) -> None:
        """Args: the enum and the width of the column."""
        super().__init__(length)
        self.enum = enum

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Accept a member or its text.

        Raises:
            InvalidValueError: no member has this value.
        """
        del dialect
        if value is None:
            return None
        try:
            return self.enum(value).value
        except ValueError:
            members = ", ".join(self.enum)
            msg = f"{value!r} is no {self.enum.__name__}; give one of {members}."
            raise self.refusal(msg) from None

    def process_result_value(self, value: str | None, dialect: Dialect) -> EnumT | None:
        """Return the member."""
        del dialect
        return None if value is None else self.enum(value)


class utc_now(GenericFunction[datetime]):  # noqa: N801 - SQL functions are named in lower case
    """Return the database's time as a server default: now() or its SQLite equal."""

    type = UtcDateTime()
    inherit_cache = True


class no_texts(GenericFunction[list[str]]):  # noqa: N801 - SQL functions are named in lower case
    """Return an empty list of texts as a server default."""

    type = JSON()
    inherit_cache = True


class random_uuid(GenericFunction[uuid.UUID]):  # noqa: N801 - SQL functions are named in lower case
    """Return a version 4 UUID as a server default."""

    type = Uuid()
    inherit_cache = True


SQLITE_NOW: Final = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
"""The present time in the form that `UtcDateTime` stores."""
SQLITE_UUID: Final = (
    "lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2)"
    " || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 2))"
)
"""32 hexadecimal digits with the version and variant bits of a random UUID."""


@compiles(utc_now)
def _now(element: utc_now, compiler: SQLCompiler, **_: Any) -> str:  # pyright: ignore[reportUnusedFunction]  # registered by the decorator
    del element, compiler
    return "now()"


@compiles(utc_now, "sqlite")
def _now_sqlite(element: utc_now, compiler: SQLCompiler, **_: Any) -> str:  # pyright: ignore[reportUnusedFunction]  # registered by the decorator
    del element, compiler
    return SQLITE_NOW


@compiles(no_texts)
def _no_texts(element: no_texts, compiler: SQLCompiler, **_: Any) -> str:  # pyright: ignore[reportUnusedFunction]  # registered by the decorator
    del element, compiler
    return "'{}'"


@compiles(no_texts, "sqlite")
def _no_texts_sqlite(element: no_texts, compiler: SQLCompiler, **_: Any) -> str:  # pyright: ignore[reportUnusedFunction]  # registered by the decorator
    del element, compiler
    return "'[]'"


@compiles(random_uuid)
def _uuid(element: random_uuid, compiler: SQLCompiler, **_: Any) -> str:  # pyright: ignore[reportUnusedFunction]  # registered by the decorator
    del element, compiler
    return "gen_random_uuid()"


@compiles(random_uuid, "sqlite")
def _uuid_sqlite(element: random_uuid, compiler: SQLCompiler, **_: Any) -> str:  # pyright: ignore[reportUnusedFunction]  # registered by the decorator
    del element, compiler
    return SQLITE_UUID
