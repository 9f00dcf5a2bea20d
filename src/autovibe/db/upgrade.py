"""Bringing a database to the revision that this code knows, and no further."""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from autovibe.db.dialects import dialect_for
from autovibe.db.errors import DatabaseNewerError
from autovibe.db.migrations.script import statements
from autovibe.kernel.errors import AutovibeError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD: Final = "0003"
"""The newest revision; a test compares it with the tree, so that no start needs Alembic."""
_LOCK_TIMEOUT_S: Final = 5


async def ensure_schema(engine: AsyncEngine) -> str:
    """Make or upgrade the schema under a lock; return the revision that was found ("" if none).

    An empty SQLite database gets the packaged snapshot, which is twenty times as fast as the
    migrations and equal to them. All happens in one transaction: a failure leaves the database as
    it was.

    Args:
        engine: the one that may write, `Database.engine`.

    Raises:
        DatabaseNewerError: a newer autovibe has upgraded the database.
        DatabaseUnavailableError: the server cannot be reached.
        DatabaseOpenError: it may not be opened.
        DatabaseReadOnlyError: it takes no writes.
        DatabaseFullError: its disk is full.
        DatabaseBusyError: something else held its tables too long.
    """
    dialect = dialect_for(engine.dialect.name)
    try:
        async with engine.connect() as connection:
            found = await current_revision(connection)
        if found == HEAD:
            return found
        async with engine.begin() as connection:
            await dialect.lock_for_upgrade(connection)
            # Another process may have done it while this one waited for the lock.
            found = await current_revision(connection)
            if found != HEAD:
                await _bring_up(connection)
            return found
    except AutovibeError:
        raise
    except Exception as error:
        typed = dialect.translate(error)
        if typed is None:
            raise
        raise typed from error


async def current_revision(connection: AsyncConnection) -> str:
    """Return the revision of a database, "" when it has none."""
    if not await connection.run_sync(_has_version_table):
        return ""
    found = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    return str(found or "")


def _has_version_table(connection: Connection) -> bool:
    return inspect(connection).has_table("alembic_version")


async def _bring_up(connection: AsyncConnection) -> None:
    empty = not await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    if empty and connection.dialect.name == "sqlite":
        for statement in statements(snapshot("sqlite")):
            await connection.exec_driver_sql(statement)
        return
    if connection.dialect.name == "postgresql":
        # Rather fail than make every other query wait behind this one.
        await connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_S}s'"))
    await connection.run_sync(migrate, "head")


def snapshot(backend: str) -> str:
    """Return the packaged dump of the schema of a backend (`sqlite` or `postgresql`)."""
    return resources.files("autovibe.db").joinpath("schema", f"{backend}.sql").read_text()


def alembic_config() -> Config:
    """Return Alembic's configuration, which needs no `alembic.ini`."""
    from alembic.config import Config  # noqa: PLC0415 - costs 170 ms, and most starts need none

    # The default is what was the output when Alembic was imported, which may be closed by now.
    config = Config(stdout=sys.stdout)
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def migrate(connection: Connection, target: str) -> None:
    """Run migrations on a connection, inside its transaction.

    Args:
        connection: of a transaction that the caller commits.
        target: `head` or a revision to upgrade to; `base` or a revision with a leading `-` to
            downgrade to.

    Raises:
        DatabaseNewerError: the database is at a revision that this code does not know.
    """
    from alembic import command, util  # noqa: PLC0415 - as above
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as above

    config = alembic_config()
    found = ""
    if _has_version_table(connection):
        found = str(connection.scalar(text("SELECT version_num FROM alembic_version")) or "")
    if found:
        try:
            ScriptDirectory.from_config(config).get_revision(found)
        except util.CommandError:
            raise DatabaseNewerError(
                f"The database is at revision {found}, and this autovibe knows no later one than "
                f"{HEAD}; install a newer autovibe or restore a backup.",
                found=found,
                known=HEAD,
            ) from None
    config.attributes["connection"] = connection
    if target == "base" or target.startswith("-"):
        command.downgrade(config, target.removeprefix("-") or "base")
    else:
        command.upgrade(config, target)
