"""Column types that mean the same on PostgreSQL and on SQLite."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, TypeVar

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, Numeric, String, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, REAL
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator, TypeEngine, Uuid

from autovibe.db.errors import InvalidValueError

EnumT = TypeVar("EnumT", bound=StrEnum)

Json: Final = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""JSONB on PostgreSQL, text on SQLite. A change inside a value is not seen: assign a new one."""

BigIdentity: Final = BigInteger().with_variant(Integer(), "sqlite")
"""BIGINT; on SQLite the INTEGER that alone can be a rowid."""


def text_array(length: int | None = None) -> TypeEngine[Any]:
    """Return the type of a list of texts: VARCHAR(length)[] or TEXT[]; JSON on SQLite."""
    item = Text() if length is None else String(length)
    return JSON(none_as_null=True).with_variant(ARRAY(item), "postgresql")


def real_array() -> TypeEngine[Any]:
    """Return the type of a list of single-precision numbers: REAL[]; JSON on SQLite."""
    return JSON(none_as_null=True).with_variant(ARRAY(REAL()), "postgresql")


class UtcDateTime(TypeDecorator[datetime]):
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
            raise InvalidValueError(f"{value!r} has no time zone; give a time in UTC.")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time aware, in UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ExactDecimal(TypeDecorator[Decimal]):
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
        exact = self._exact(value)
        return int(exact.scaleb(self.scale)) if dialect.name == "sqlite" else exact

    def _exact(self, value: object) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, Decimal | int):
            raise InvalidValueError(f"{value!r} is no exact number; give a Decimal.")
        exact = Decimal(value)
        if not exact.is_finite():
            raise InvalidValueError(f"{value} is not finite; give a number.")
        scaled = exact.scaleb(self.scale)
        if scaled != scaled.to_integral_value():
            raise InvalidValueError(f"{value} has more than {self.scale} decimals; round it first.")
        if abs(scaled) >= Decimal(10) ** self.precision:
            raise InvalidValueError(
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


class EnumText(TypeDecorator[EnumT]):
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
            raise InvalidValueError(msg) from None

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
