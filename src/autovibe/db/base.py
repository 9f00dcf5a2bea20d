"""The one declarative base, and the columns that many tables share."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, cast

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from sqlalchemy import CheckConstraint, Column, MetaData, String, Table, event
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedColumn, Mapper, mapped_column
from sqlalchemy.types import Uuid

import autovibe.db.loading  # noqa: F401  # pyright: ignore[reportUnusedImport]  # its rules hold wherever a model is used
from autovibe.db.types import (
    Checked,
    ExactDecimal,
    Json,
    JsonTexts,
    JsonValue,
    PlainText,
    TextArray,
    UtcDateTime,
    no_texts,
    random_uuid,
    utc_now,
)
from autovibe.kernel.ids import new_id

CLOCK: Final = "clock"
"""Key in `Column.info` of a time that a flush takes from the injected clock if none is given."""

_CALLED: Final = (
    "name",
    "username",
    "title",
    "sku",
    "order_number",
    "result_id",
    "execution_id",
    "document_id",
    "agent_name",
    "tool_name",
    "machine_type",
    "checkpoint_type",
    "resource_type",
    "status",
)
"""Columns by which people know a row; `repr` shows those that a table has."""


class Base(AsyncAttrs, DeclarativeBase):
    """Base of all models. CHECK, UNIQUE and index names are written out, as in `schema.md`."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ix": "idx_%(table_name)s_%(column_0_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class  # pyright: ignore[reportUnannotatedClassAttribute]  # as above
        datetime: UtcDateTime(),
        uuid.UUID: Uuid(),
        dict[str, Any]: Json,
        list[str]: JsonTexts,
    }

    def __init__(self, **values: Any) -> None:
        """Set columns by name; `metadata=` reaches the column, and the id is there at once."""
        if "metadata" in values:
            values["metadata_"] = values.pop("metadata")
        known = type(self)
        if issubclass(known, Identified):
            values.setdefault("id", new_id())
        for name, value in values.items():
            if not hasattr(known, name):
                raise TypeError(f"{known.__name__} has no column {name!r}")
            setattr(self, name, value)

    def __repr__(self) -> str:
        """Name a row by its key and what people call it; never by a secret or a long text.

        Only what is loaded is shown: reading more could ask the database.
        """
        mapper = type(self).__mapper__
        keys = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
        loaded = self.__dict__
        shown = [f"{name}={loaded[name]}" for name in (*keys, *_CALLED) if name in loaded]
        return f"{type(self).__name__}({', '.join(shown)})"


@event.listens_for(Column, "after_parent_attach")
def _name_type(column: Column[Any], table: object) -> None:  # pyright: ignore[reportUnusedFunction]  # called by SQLAlchemy
    """Give a column of a model a type that checks its values and knows its name."""
    if not isinstance(table, Table) or table.metadata is not Base.metadata:
        return
    kind = column.type
    if isinstance(kind, String):
        kind = PlainText(kind)
    if isinstance(kind, Checked):
        column.type = cast("Checked[Any]", kind).named(f"{table.name}.{column.name}")


@event.listens_for(Mapper, "before_configured")
def _load_all_models() -> None:  # pyright: ignore[reportUnusedFunction]  # called by SQLAlchemy
    """Make the classes known that relationships name by text, whichever model is used first."""
    importlib.import_module("autovibe.db.discovery").load_models()


def clock_time(**options: Any) -> MappedColumn[datetime]:
    """Return a NOT NULL time; the default is the transaction's clock (in SQL the database's)."""
    return mapped_column(
        UtcDateTime(), nullable=False, server_default=utc_now(), info={CLOCK: True}, **options
    )


def json_object(message: type[Message] = Struct) -> MappedColumn[dict[str, Any]]:
    """Return a NOT NULL JSON column that defaults to `{}` and holds a message (any object)."""
    return mapped_column(JsonValue(message), nullable=False, default=dict, server_default="{}")


def metadata_of(message: type[Message]) -> MappedColumn[dict[str, Any]]:
    """Return the column `metadata`, a message or any object; the name in Python is reserved."""
    return mapped_column(
        "metadata",
        JsonValue(message),
        nullable=False,
        default=dict,
        server_default="{}",
        sort_order=90,
    )


def tags() -> MappedColumn[list[str]]:
    """Return a NOT NULL list of texts of at most 50 characters; it defaults to the empty one."""
    return mapped_column(TextArray(50), nullable=False, default=list, server_default=no_texts())


def money(scale: int = 6) -> ExactDecimal:
    """Return the type of amounts: NUMERIC(15, scale)."""
    return ExactDecimal(15, scale)


def one_of(column: str, enum: type[StrEnum], name: str) -> CheckConstraint:
    """Return the named CHECK that a column holds a member of an enum."""
    return CheckConstraint(f"{column} IN ({_quoted(enum)})", name=name)


def _quoted(values: Iterable[str]) -> str:
    return ",".join(f"'{value}'" for value in values)


def decimal_between(
    column: str, low: Decimal, high: Decimal, *, scale: int, name: str
) -> tuple[CheckConstraint, CheckConstraint]:
    """Return the CHECK for each backend: bounds of a scaled decimal are scaled on SQLite."""
    low_scaled, high_scaled = int(low.scaleb(scale)), int(high.scaleb(scale))
    plain = CheckConstraint(f"{column} >= {low} AND {column} <= {high}", name=name)
    scaled = CheckConstraint(f"{column} >= {low_scaled} AND {column} <= {high_scaled}", name=name)
    return plain.ddl_if(dialect="postgresql"), scaled.ddl_if(dialect="sqlite")


class Identified:
    """A table whose primary key is a random UUID."""

    id: Mapped[uuid.UUID] = mapped_column(
        Uuid(), primary_key=True, default=new_id, server_default=random_uuid(), sort_order=-10
    )


class Created:
    """A table that knows when a row came."""

    created_at: Mapped[datetime] = clock_time(sort_order=100)


class Timestamps(Created):
    """A mutable table. A flush sets `updated_at`; a trigger does where SQL is written by hand."""

    updated_at: Mapped[datetime] = clock_time(sort_order=101)


class WithMetadata:
    """A table with a free JSON object; the attribute has an underscore, the column has not."""

    metadata_: Mapped[dict[str, Any]] = metadata_of(Struct)
