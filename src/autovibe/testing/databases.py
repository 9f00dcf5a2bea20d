"""Databases for tests: real ones, with the schema, clean for every test."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from autovibe.db import open_database
from autovibe.db.engine import database_url
from autovibe.db.upgrade import ensure_schema
from autovibe.testing.postgres_server import server_url

_TEMPLATE: Final = "autovibe_template"
# Rows that the migrations made are kept in `seed` and come back after every test. Emptying the
# tables takes a third of the time of a fresh copy of the template (30 ms against 90 on two busy
# cores).
_KEEP_SEED: Final = (
    "CREATE SCHEMA seed",
    "CREATE TABLE seed.exchange_rates AS TABLE public.exchange_rates",
)
_CLEAN: Final = """
DO $$
DECLARE
    name text;
BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    SET LOCAL session_replication_role = replica;
    FOR name IN SELECT inhrelid::regclass::text FROM pg_inherits
        WHERE inhparent = 'public.resource_usage'::regclass
            AND inhrelid <> 'public.resource_usage_default'::regclass
    LOOP
        EXECUTE 'DROP TABLE ' || name;
    END LOOP;
    FOR name IN SELECT quote_ident(tablename) FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    LOOP
        EXECUTE 'DELETE FROM public.' || name;
    END LOOP;
    FOR name IN SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'seed' LOOP
        EXECUTE format('INSERT INTO public.%s SELECT * FROM seed.%s', name, name);
    END LOOP;
    PERFORM setval(format('public.%I', sequencename)::regclass, 1, false) FROM pg_sequences
        WHERE schemaname = 'public' AND last_value IS NOT NULL;
END $$
"""


class TestDatabases:
    """The databases of one test process.

    The first process that needs PostgreSQL starts it; all processes of the run share it, each with
    a database of its own, and it ends with the last of them.
    """

    __test__ = False

    def __init__(self, run_id: str) -> None:
        """Args: a name for the run, the same in all its processes."""
        self._directory = _shared_root() / f"autovibe-tests-{os.geteuid()}-{run_id}"
        self._users: IO[str] | None = None
        self._own_name: str | None = None
        self._sqlite_template: Path | None = None

    async def sqlite(self, directory: Path) -> str:
        """Return the URL of a new SQLite database with the schema, in a directory."""
        if self._sqlite_template is None:
            template = Path(tempfile.mkdtemp(prefix="autovibe-sqlite-")) / "template.db"
            database = open_database(f"sqlite:///{template}")
            await ensure_schema(database.engine)
            await database.close()
            self._sqlite_template = template
        path = directory / "autovibe.db"
        shutil.copyfile(self._sqlite_template, path)
        return f"sqlite:///{path}"

    async def postgresql(self) -> str:
        """Return the URL of this process's PostgreSQL database, with the schema, clean."""
        server = self._server()
        if self._own_name is None:
            await self._make_template(server)
            name = f"own_{secrets.token_hex(6)}"
            async with _connect(server) as connection:
                await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}"))
            self._own_name = name
            return _named(server, name)
        url = _named(server, self._own_name)
        async with _connect(url) as connection:
            await connection.execute(text(_CLEAN))
        return url

    async def empty_postgresql(self) -> str:
        """Return the URL of a new PostgreSQL database without any table."""
        server = self._server()
        name = f"empty_{secrets.token_hex(6)}"
        async with _connect(server) as connection:
            await connection.execute(text(f"CREATE DATABASE {name}"))
        return _named(server, name)

    async def drop_postgresql(self, url: str) -> None:
        """Drop a database that `empty_postgresql` made."""
        async with _connect(self._server()) as connection:
            await connection.execute(text(f"DROP DATABASE {make_url(url).database} WITH (FORCE)"))

    def close(self) -> None:
        """Let go of the server; it ends when the last process of the run has let go."""
        if self._users is not None:
            self._users.close()
            self._users = None
        if self._sqlite_template is not None:
            shutil.rmtree(self._sqlite_template.parent, ignore_errors=True)

    def _server(self) -> str:
        if self._users is None:
            self._directory.mkdir(mode=0o711, exist_ok=True)
            if self._directory.stat().st_uid != os.geteuid():
                raise PermissionError(f"{self._directory} belongs to somebody else")
            users = (self._directory / "users").open("a")
            fcntl.flock(users, fcntl.LOCK_SH)
            self._users = users
        return server_url(self._directory)

    async def _make_template(self, server: str) -> None:
        with (self._directory / "template").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            async with _connect(server) as connection:
                found = await connection.scalar(
                    text("SELECT count(*) FROM pg_database WHERE datname = :name"),
                    {"name": _TEMPLATE},
                )
                if found:
                    return
                await connection.execute(text(f"CREATE DATABASE {_TEMPLATE}_new"))
            url = _named(server, f"{_TEMPLATE}_new")
            database = open_database(url)
            await ensure_schema(database.engine)
            await database.close()
            async with _connect(url) as connection:
                for statement in _KEEP_SEED:
                    await connection.execute(text(statement))
            async with _connect(server) as connection:
                await connection.execute(
                    text(f"ALTER DATABASE {_TEMPLATE}_new RENAME TO {_TEMPLATE}")
                )


@asynccontextmanager
async def _connect(url: str) -> AsyncGenerator[AsyncConnection, None]:
    engine = create_async_engine(
        database_url(url), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


def _named(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def _shared_root() -> Path:
    """Return a temporary directory that the server's user can enter too."""
    chosen = Path(tempfile.gettempdir())
    if os.geteuid() != 0 or _open_to_all(chosen):
        return chosen
    return next(path for path in (Path("/tmp"), Path("/var/tmp")) if _open_to_all(path))  # noqa: S108 - names below are checked to be ours


def _open_to_all(path: Path) -> bool:
    parts = (path, *path.parents)
    return all(part.is_dir() and part.stat().st_mode & stat.S_IXOTH for part in parts)
