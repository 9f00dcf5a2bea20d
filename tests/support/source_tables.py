"""Checks of a table against what a source document says of it, on both databases."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple

import pytest
import pytest_asyncio
from sqlalchemy import Connection, column, insert, inspect, select, table, text
from sqlalchemy.dialects import postgresql

from autovibe.db import Database, WriteTx, open_database
from autovibe.db.discovery import load_models
from autovibe.db.errors import (
    CheckViolationError,
    ForeignKeyViolationError,
    InvalidValueError,
    NotNullViolationError,
)
from autovibe.db.upgrade import ensure_schema
from autovibe.testing.databases import TestDatabases
from autovibe.testing.every_table import Rows, add_one_of_each
from autovibe.testing.fixtures import BACKENDS

TABLES: Final = load_models().tables
NOW: Final = "now()"
"""A default that is the time of the database."""
RANDOM: Final = "gen_random_uuid()"
"""A default that is a new version 4 UUID."""
COUNTED: Final = "identity"
"""A default that is the next number of the table."""


class C(NamedTuple):
    """What a source says of one column; types are written as PostgreSQL does."""

    name: str
    type: str
    null: bool = False
    default: Any = None
    of: tuple[str, ...] = ()
    to: tuple[str, str] | None = None
    """The table that a foreign key names, and its ON DELETE."""


class UndoneError(Exception):
    """Ends a transaction whose changes are not to stay."""


class Filled(NamedTuple):
    """A database with a row in every table; whoever changes it undoes that."""

    db: Database
    rows: Rows


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=BACKENDS)
async def filled(
    request: pytest.FixtureRequest,
    databases: TestDatabases,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncGenerator[Filled]:
    """Give one filled database to all tests of a module: once SQLite, once PostgreSQL."""
    if request.param == "sqlite":
        url = await databases.sqlite(tmp_path_factory.mktemp("filled"))
    else:
        url = await databases.empty_postgresql()
    db = open_database(url)
    await ensure_schema(db.engine)
    async with db.write() as tx:
        rows = await add_one_of_each(tx)
    yield Filled(db, rows)
    await db.close()
    if request.param == "postgresql":
        await databases.drop_postgresql(url)


def sqlite_type(type_: str) -> str:
    """Return the type of SQLite that stands for one of PostgreSQL, as `schema.md` lists them."""
    if type_.endswith("[]") or type_ == "JSONB":
        return "JSON"
    if type_.startswith("NUMERIC"):
        return "BIGINT"
    return {"UUID": "CHAR(32)", "TIMESTAMPTZ": "DATETIME"}.get(type_, type_)


def short(type_: str) -> str:
    return type_.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ").replace(", ", ",")


def reflected(connection: Connection, name: str) -> dict[str, tuple[str, bool]]:
    """Return type and nullability of each column that the database has."""
    return {
        found["name"]: (short(found["type"].compile(dialect=connection.dialect)), found["nullable"])
        for found in inspect(connection).get_columns(name)
    }


def reflected_keys(connection: Connection, name: str) -> dict[str, tuple[str, str]]:
    """Return the table and the ON DELETE of each foreign key that the database has."""
    return {
        found["constrained_columns"][0]: (
            found["referred_table"],
            found["options"].get("ondelete", "NO ACTION"),
        )
        for found in inspect(connection).get_foreign_keys(name)
    }


async def check_shape(db: Database, name: str, columns: Sequence[C]) -> None:
    """Compare columns and foreign keys with the database and with the model."""
    async with db.engine.connect() as connection:
        found = await connection.run_sync(reflected, name)
        keys = await connection.run_sync(reflected_keys, name)
    for said in columns:
        where = f"{name}.{said.name}"
        there = sqlite_type(said.type) if db.dialect.name == "sqlite" else said.type
        if said.default is COUNTED and db.dialect.name == "sqlite":
            there = "INTEGER"  # the only type that SQLite counts up by itself
        assert found[said.name] == (there, said.null), where
        modelled = TABLES[name].c[said.name]
        assert short(modelled.type.compile(dialect=postgresql.dialect())) == said.type, where
        assert modelled.nullable == said.null, where
        assert keys.get(said.name) == said.to, where


async def check_refusals(db: Database, name: str, columns: Sequence[C]) -> None:
    """See NULL, strangers and overlong texts refused, and every member taken."""
    for said in columns:
        if not said.null and said.default not in (RANDOM, COUNTED):
            with pytest.raises(NotNullViolationError):
                await execute(db, f"UPDATE {name} SET {said.name} = NULL")
        if said.of:
            with pytest.raises(CheckViolationError):
                await execute(db, f"UPDATE {name} SET {said.name} = 'other'")
            await execute(
                db, *(f"UPDATE {name} SET {said.name} = '{member}'" for member in said.of)
            )
        elif length := re.fullmatch(r"VARCHAR\((\d+)\)", said.type):
            too_long = {said.name: "x" * (int(length[1]) + 1)}
            with pytest.raises(InvalidValueError, match="too many"):
                async with db.write() as tx:
                    await tx.session.execute(TABLES[name].update().values(too_long))


async def execute(db: Database, *statements: str) -> None:
    """Run statements and undo them."""
    with suppress(UndoneError):
        async with db.write() as tx:
            for sql in statements:
                await tx.session.execute(text(sql))
            raise UndoneError


async def check_defaults(db: Database, name: str, columns: Sequence[C], row: Any) -> None:
    """Insert a row by SQL that names no column with a default, and see what it holds."""
    expected = [said for said in columns if said.default is not None]
    if not expected:
        return
    with suppress(UndoneError):
        async with db.write() as tx:
            before = await db.dialect.now(tx.session)
            found = await insert_bare(tx, name, row)
            after = await db.dialect.now(tx.session)
            for said in expected:
                value = found[said.name]
                if said.default is NOW:
                    assert isinstance(value, datetime), said.name
                    assert value.date() in {before.date(), after.date()}, said.name
                elif said.default is RANDOM:
                    assert isinstance(value, uuid.UUID), said.name
                    assert value.version == 4, said.name
                elif said.default is COUNTED:
                    assert value > row.id, said.name
                else:
                    assert value == said.default, said.name
            raise UndoneError


async def insert_bare(tx: WriteTx, name: str, row: Any) -> dict[str, Any]:
    """Put a row in the place of another, with the defaults of the database alone."""
    known = TABLES[name]
    values = {
        item.name: getattr(row, "metadata_" if item.name == "metadata" else item.name)
        for item in known.columns
        if item.server_default is None and item.name != "id"
    }
    await tx.session.execute(known.delete().where(known.c.id == row.id))
    # Without the model's table there are no defaults of Python.
    plain = table(name, *(column(item.name, item.type) for item in known.columns))
    made = await tx.session.scalar(insert(plain).values(values).returning(plain.c.id))
    query = select(known).where(known.c.id == made)
    return dict((await tx.session.execute(query)).one()._mapping)


async def check_deletion(db: Database, name: str, columns: Sequence[C], row: Any) -> None:
    """Delete what each foreign key names, and see the row go, lose the key or hold it back."""
    known = TABLES[name]
    for said in columns:
        if said.to is None:
            continue
        target, rule = TABLES[said.to[0]], said.to[1]
        delete = target.delete().where(target.c.id == getattr(row, said.name))
        if rule in {"RESTRICT", "NO ACTION"}:
            with pytest.raises(ForeignKeyViolationError):
                async with db.write() as tx:
                    await tx.session.execute(delete)
            continue
        with suppress(UndoneError):
            async with db.write() as tx:
                await tx.session.execute(delete)
                query = select(known.c[said.name]).where(known.c.id == row.id)
                left = (await tx.session.execute(query)).all()
                assert left == ([] if rule == "CASCADE" else [(None,)]), said.name
                raise UndoneError


async def check_columns(filled: Filled, name: str, columns: Sequence[C]) -> None:
    """Check all that a source says of some columns of one table."""
    row = filled.rows[name]
    await check_shape(filled.db, name, columns)
    await check_refusals(filled.db, name, columns)
    await check_defaults(filled.db, name, columns, row)
    await check_deletion(filled.db, name, columns, row)


async def indexes_of(db: Database, name: str) -> dict[str, str]:
    """Return what each index of a table covers, by its name: `UNIQUE`, `gin`, columns, WHERE."""
    if db.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = :name"
    else:
        query = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = :name"
    async with db.read() as tx:
        rows = (await tx.session.execute(text(query), {"name": name})).all()
    return {index: covered(sql) for index, sql in rows if sql}


def covered(sql: str) -> str:
    """Return the essence of CREATE INDEX."""
    parts = re.fullmatch(
        r"CREATE (UNIQUE )?INDEX \S+ ON (?:ONLY )?(?:public\.)?\w+ ?(?:USING (\w+) )?(\(.*)",
        " ".join(sql.split()),
    )
    assert parts, sql
    method = "gin " if parts[2] == "gin" else ""
    return (parts[1] or "") + method + parts[3]
