"""Old rows as lines of JSON, and back: whatever tables there are, with all that hangs on a row.

A line is `{"table": …, "row": {…}}`. Rows that the database deletes with it come after it. Where
it would empty a reference of a row that stays, a line `{"link": …, "key": …, "column": …,
"value": …}` says what stood there.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, Final, cast

from sqlalchemy import (
    Column,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Integer,
    Numeric,
    Select,
    Table,
    delete,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.types import TypeDecorator, TypeEngine, Uuid

from autovibe.db import ReadTx, WriteTx
from autovibe.db.discovery import load_models
from autovibe.domains.audit.errors import ArchiveRowDiffersError, ArchiveUnreadableError

_DECODERS: Final[tuple[tuple[type[TypeEngine[Any]], Callable[[Any], Any]], ...]] = (
    (Uuid, uuid.UUID),
    (DateTime, datetime.fromisoformat),
    (Date, date.fromisoformat),
    (Integer, int),
    (Float, float),
    (Numeric, Decimal),
)
"""How a value of a column is read; whatever is none of these stands as it is."""
_OPEN_TASKS: Final = ("pending", "queued", "in_progress", "blocked")


@dataclass(frozen=True)
class ArchiveSet:
    """Which rows go to an archive together."""

    table: str
    time: str
    """The column that says how old a row is."""


SETS: Final[Mapping[str, ArchiveSet]] = {
    "logs": ArchiveSet("execution_logs", "logged_at"),
    "executions": ArchiveSet("executions", "completed_at"),
    "chat": ArchiveSet("chat_messages", "created_at"),
}


@dataclass
class ArchivePage:
    """Some rows, oldest first."""

    lines: list[str] = field(default_factory=list[str])
    keys: list[str] = field(default_factory=list[str])
    next_cursor: str = ""
    first_at: datetime | None = None
    last_at: datetime | None = None


async def read_rows(
    tx: ReadTx, what: str, before: datetime, cursor: str, limit: int
) -> ArchivePage:
    """Return the next rows of a set that are older than a time."""
    chosen = SETS[what]
    table = load_models().tables[chosen.table]
    time, key = table.c[chosen.time], _key_of(table)
    query = select(table).where(time < before).order_by(time, key).limit(limit)
    if what == "executions":
        query = _ended(query, table)
    if cursor:
        after_time, _, after_key = cursor.partition("|")
        place = (datetime.fromisoformat(after_time), _decode(key, after_key))
        query = query.where(tuple_(time, key) > tuple_(*place, types=[time.type, key.type]))
    rows = [dict(row) for row in (await tx.session.execute(query)).mappings()]
    page = ArchivePage()
    if not rows:
        return page
    keys = [row[key.name] for row in rows]
    page.keys = [str(one) for one in keys]
    page.first_at, page.last_at = rows[0][chosen.time], rows[-1][chosen.time]
    page.next_cursor = f"{rows[-1][chosen.time].isoformat()}|{keys[-1]}"
    page.lines = [_line(table, row) for row in rows]
    page.lines += await _hanging(tx, table, keys)
    return page


async def delete_rows(tx: WriteTx, what: str, keys: Sequence[str]) -> int:
    """Delete rows of a set by their keys, with all that hangs on them; return how many of them."""
    table = load_models().tables[SETS[what].table]
    key = _key_of(table)
    statement = delete(table).where(key.in_([_decode(key, one) for one in keys]))
    result: Any = await tx.session.execute(statement)
    tx.stale(table.name)
    return int(result.rowcount)


async def insert_rows(tx: WriteTx, lines: Sequence[str], *, dry_run: bool) -> tuple[int, int]:
    """Put rows back that are not there; return how many were put back, and how many were there.

    Raises:
        ArchiveUnreadableError: a line is none of an archive of this schema.
        ArchiveRowDiffersError: a row with this key says something else.
    """
    parsed = [_parse(line) for line in lines]
    inserted = present = 0
    for name, group in groupby((one for one in parsed if "table" in one), lambda one: one["table"]):
        table = _table(name)
        rows = [_decode_row(table, one["row"]) for one in group]
        fresh = await _fresh(tx, table, rows)
        present += len(rows) - len(fresh)
        inserted += len(fresh)
        if fresh and not dry_run:
            await tx.session.execute(insert(table), fresh)
            tx.stale(table.name)
    if not dry_run:
        for link in parsed:
            if "link" in link:
                await _restore_link(tx, link)
    return inserted, present


def _ended(query: Select[Any], executions: Table) -> Select[Any]:
    """Leave out attempts at tasks that are not finished with: they can be resumed from these."""
    tasks = load_models().tables["tasks"]
    open_ones = select(tasks.c.id).where(tasks.c.status.in_(_OPEN_TASKS))
    return query.where(executions.c.status != "running", executions.c.task_id.not_in(open_ones))


async def _hanging(tx: ReadTx, table: Table, keys: Sequence[Any]) -> list[str]:
    """Return the lines of what the database deletes with rows, and of what it unlinks."""
    lines: list[str] = []
    links: list[str] = []
    for foreign_key, child in _references_to(table):
        column = foreign_key.parent
        own_key = _key_of(child)
        query = select(child).where(column.in_(keys)).order_by(own_key)
        rows = [dict(row) for row in (await tx.session.execute(query)).mappings()]
        if not rows:
            continue
        if foreign_key.ondelete == "CASCADE":
            lines += [_line(child, row) for row in rows]
            lines += await _hanging(tx, child, [row[own_key.name] for row in rows])
        else:
            links += [
                _dump(
                    {
                        "link": child.name,
                        "key": row[own_key.name],
                        "column": column.name,
                        "value": row[column.name],
                    }
                )
                for row in rows
            ]
    return lines + links


def _references_to(table: Table) -> Iterator[tuple[ForeignKey, Table]]:
    for child in load_models().sorted_tables:
        for foreign_key in sorted(child.foreign_keys, key=lambda one: one.parent.name):
            if foreign_key.column.table is table and foreign_key.ondelete in {
                "CASCADE",
                "SET NULL",
            }:
                yield foreign_key, child


async def _fresh(tx: WriteTx, table: Table, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that are not there.

    Raises:
        ArchiveRowDiffersError: one is there and says something else.
    """
    key = _key_of(table)
    query = select(table).where(key.in_([row[key.name] for row in rows]))
    found = {row[key.name]: dict(row) for row in (await tx.session.execute(query)).mappings()}
    fresh: list[dict[str, Any]] = []
    for row in rows:
        there = found.get(row[key.name])
        if there is None:
            fresh.append(row)
        elif json.loads(_line(table, there)) != json.loads(_line(table, row)):
            raise ArchiveRowDiffersError(
                f"The row {row[key.name]} of {table.name} is there and differs from the archived "
                "one; remove it first if the archive is to win.",
                table=table.name,
                key=str(row[key.name]),
            )
    return fresh


async def _restore_link(tx: WriteTx, link: Mapping[str, Any]) -> None:
    """Fill a reference that the deletion emptied, unless something else stands there now."""
    table = _table(link["link"])
    key = _key_of(table)
    column = _column(table, link["column"])
    await tx.session.execute(
        update(table)
        .where(key == _decode(key, link["key"]), column.is_(None))
        .values({column: _decode(column, link["value"])})
    )
    tx.stale(table.name)


def _parse(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise ArchiveUnreadableError(f"A line of the archive is no JSON: {error}.") from error
    whole = ({"table", "row"}, {"link", "key", "column", "value"})
    if not isinstance(value, dict) or set(cast("dict[str, Any]", value)) not in whole:
        raise ArchiveUnreadableError("A line of the archive is neither a row nor a link.")
    return cast("dict[str, Any]", value)


def _table(name: object) -> Table:
    table = load_models().tables.get(str(name))
    if table is None:
        raise ArchiveUnreadableError(
            f"The archive has rows of {name}, which this version of autovibe does not know."
        )
    return table


def _column(table: Table, name: str) -> Column[Any]:
    if name not in table.c:
        raise ArchiveUnreadableError(
            f"The archive has {table.name}.{name}, which this version of autovibe does not know."
        )
    return table.c[name]


def _key_of(table: Table) -> Column[Any]:
    (key,) = table.primary_key.columns
    return key


def _line(table: Table, row: Mapping[str, Any]) -> str:
    return _dump({"table": table.name, "row": dict(row)})


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(
        value,
        default=_encode,
        allow_nan=False,
        ensure_ascii=False,
        separators=(",", ":"),
    )


def _encode(value: object) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, uuid.UUID | Decimal):
        return str(value)
    raise TypeError(f"a value of {type(value).__name__} has no form in an archive")


def _decode_row(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _decode(_column(table, name), value) for name, value in row.items()}


def _decode(column: Column[Any], value: Any) -> Any:
    """Return what a column takes for what stands in a line.

    Raises:
        ArchiveUnreadableError: it cannot be.
    """
    if value is None:
        return None
    plain = _plain(column.type)
    decoders = (decode for kind, decode in _DECODERS if isinstance(plain, kind))
    decode = next(decoders, None)
    try:
        return value if decode is None else decode(value)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ArchiveUnreadableError(
            f"{column.table.name}.{column.name} cannot hold {value!r}."
        ) from error


def _plain(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type below our own."""
    return cast("Any", type_).impl_instance if isinstance(type_, TypeDecorator) else type_
