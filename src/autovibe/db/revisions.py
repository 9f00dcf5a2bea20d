"""Looking at and moving between revisions of the schema, for people who operate a database."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command, util
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from autovibe.db.discovery import load_models
from autovibe.db.errors import (
    DatabaseAbsentError,
    DatabaseBusyError,
    MigrationBlockedError,
    RevisionNotFoundError,
)
from autovibe.db.upgrade import HEAD, alembic_config, current_revision, ensure_schema, migrate
from autovibe.kernel.errors import AutovibeError

if TYPE_CHECKING:
    from autovibe.db.engine import Database

_INDEX_CHECKS = "SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'"
_AMCHECK = """
SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_am a ON a.oid = c.relam JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.amname = 'btree' AND n.nspname = 'public' AND c.relkind = 'i' AND i.indisvalid
"""
_POSTGRESQL_PROBLEMS = """
SELECT 'index ' || indexrelid::regclass || ' is invalid; run REINDEX on it' AS problem
    FROM pg_index WHERE NOT indisvalid
UNION ALL
SELECT 'constraint ' || conname || ' of ' || conrelid::regclass || ' was never validated'
    FROM pg_constraint WHERE NOT convalidated AND connamespace = 'public'::regnamespace
UNION ALL
SELECT checksum_failures || ' pages failed their checksum; restore a backup'
    FROM pg_stat_database WHERE datname = current_database() AND checksum_failures > 0
"""


@dataclass(frozen=True)
class Revision:
    """One step of the schema."""

    revision: str
    follows: str
    title: str


@dataclass(frozen=True)
class Problem:
    """Something that `check_database` found."""

    kind: str
    """`revision`, `schema`, `integrity`, `foreign_key` or `checkpoint`."""
    text: str


def history() -> list[Revision]:
    """Return all revisions that this code knows, the newest first."""
    return [
        Revision(
            script.revision,
            ",".join(script._versioned_down_revisions),  # noqa: SLF001 - as a tuple of texts  # pyright: ignore[reportPrivateUsage]  # as above
            script.doc.splitlines()[0] if script.doc else "",
        )
        for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()
    ]


async def current(database: Database) -> str:
    """Return the revision of a database, "" when it has no table of ours.

    Raises:
        DatabaseAbsentError: there is no file.
        AutovibeError: it cannot be reached or opened.
    """
    require_file(database)
    async with database.connect() as connection:
        return await current_revision(connection)


async def upgrade(database: Database, target: str = "head") -> tuple[str, str]:
    """Upgrade, all steps or none; return the revisions before and after.

    Raises:
        RevisionNotFoundError: this code knows no such revision.
        MigrationBlockedError: others used the tables for too long; nothing was changed.
        DatabaseNewerError: a newer autovibe has upgraded the database.
        AutovibeError: it cannot be reached, opened or written.
    """
    wanted = find_revision(target)
    try:
        if wanted == HEAD:
            before = await ensure_schema(database.engine)
            return before, HEAD
        async with database.begin_upgrade() as connection:
            before = await current_revision(connection)
            await connection.run_sync(migrate, wanted)
            return before, await current_revision(connection)
    except DatabaseBusyError as error:
        raise _blocked() from error


async def downgrade(database: Database, target: str) -> tuple[str, str]:
    """Go back to a revision, all steps or none; what later tables held is lost.

    Args:
        database: with the schema.
        target: a revision, `base`, or `-N` for N steps.

    Raises:
        RevisionNotFoundError: there is no such revision, or it is not an older one.
        MigrationBlockedError: others used the tables for too long; nothing was changed.
        AutovibeError: it cannot be reached, opened or written.
    """
    require_file(database)
    try:
        async with database.begin_upgrade() as connection:
            before = await current_revision(connection)
            wanted = _older(before, target)
            await connection.run_sync(migrate, "base" if wanted == "base" else f"-{wanted}")
            return before, await current_revision(connection)
    except DatabaseBusyError as error:
        raise _blocked() from error


def upgrade_sql(backend: str, target: str = "head") -> str:
    """Return the statements of an upgrade of an empty database, without connecting to any."""
    output = io.StringIO()
    config = alembic_config()
    config.output_buffer = output
    config.attributes["backend"] = backend
    command.upgrade(config, find_revision(target), sql=True)
    return output.getvalue()


def find_revision(target: str) -> str:
    """Return the revision that a name or the beginning of one means; `head` is the newest.

    Raises:
        RevisionNotFoundError: there is none.
    """
    try:
        script = ScriptDirectory.from_config(alembic_config()).get_revision(target)
    except util.CommandError:
        script = None
    if script is None:
        raise RevisionNotFoundError(
            f"There is no revision {target!r}; see `autovibe db history`.", revision=target
        )
    return script.revision


def require_file(database: Database) -> None:
    """Refuse to go on, and thereby to make an empty file, where there is no SQLite file.

    Raises:
        DatabaseAbsentError: there is none.
    """
    if database.dialect.name != "sqlite" or database.url.database is None:
        return
    path = database.url.database.removeprefix("file:").partition("?")[0]
    if not Path(path).exists():
        raise DatabaseAbsentError(
            f"There is no database {path} yet; `autovibe db upgrade` makes it.", path=path
        )


async def check_database(database: Database) -> list[Problem]:
    """Compare the schema with the models, and look for damage; an empty list is a good answer.

    Raises:
        DatabaseAbsentError: there is no file.
        AutovibeError: it cannot be reached or opened.
    """
    require_file(database)
    problems: list[Problem] = []
    async with database.connect() as connection:
        found = await current_revision(connection)
        if found != HEAD:
            problems.append(
                Problem(
                    "revision",
                    f"the database is at {found or 'no revision'}, this autovibe at {HEAD}; run "
                    "`autovibe db upgrade`",
                )
            )
        else:
            problems += await connection.run_sync(_differences)
        if database.dialect.name == "sqlite":
            problems += await _sqlite_problems(connection)
        else:
            problems += await _postgresql_problems(connection)
    return problems


def _differences(connection: Connection) -> list[Problem]:
    config = alembic_config()
    config.stdout = io.StringIO()
    config.attributes["connection"] = connection
    config.attributes["metadata"] = load_models()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            command.check(config)
    except util.AutogenerateDiffsDetected as error:
        return [Problem("schema", str(error).removeprefix("New upgrade operations detected: "))]
    return []


async def _sqlite_problems(connection: AsyncConnection) -> list[Problem]:
    damage = await connection.execute(text("PRAGMA integrity_check"))
    problems = [Problem("integrity", str(row[0])) for row in damage if row[0] != "ok"]
    broken = await connection.execute(text("PRAGMA foreign_key_check"))
    problems += [
        Problem("foreign_key", f"row {row[1]} of {row[0]} names one of {row[2]} that is not there")
        for row in broken
    ]
    return problems


async def _postgresql_problems(connection: AsyncConnection) -> list[Problem]:
    """PostgreSQL keeps foreign keys itself; indexes are read where the extension amcheck is."""
    await connection.execute(text("SET LOCAL statement_timeout = 0"))  # reading all takes long
    rows = await connection.execute(text(_POSTGRESQL_PROBLEMS))
    problems = [Problem("integrity", str(row.problem)) for row in rows]
    if await connection.scalar(text(_INDEX_CHECKS)):
        names = (await connection.execute(text(_AMCHECK))).scalars().all()
        for name in names:
            try:
                async with connection.begin_nested():
                    await connection.execute(
                        text("SELECT bt_index_check(CAST(:name AS regclass), true)"),
                        {"name": f'public."{name}"'},
                    )
            except AutovibeError as error:
                problems.append(Problem("integrity", f"index {name}: {error.message}"))
            except Exception as error:  # noqa: BLE001 - damage has many names
                problems.append(Problem("integrity", f"index {name}: {error}"))
    return problems


def _older(before: str, target: str) -> str:
    """Return `base` or the older revision that is meant."""
    if target == "base":
        return target
    path: list[str] = []
    scripts = {revision.revision: revision.follows for revision in history()}
    step = scripts.get(before, "")
    while step:
        path.append(step)
        step = scripts.get(step, "")
    if target.startswith("-") and target[1:].isdigit() and int(target[1:]) > 0:
        at = int(target[1:]) - 1
        if at < len(path):
            return path[at]
        if at == len(path):
            return "base"
    elif find_revision(target) in path:
        return find_revision(target)
    raise RevisionNotFoundError(
        f"{target!r} is no revision below {before or 'an empty database'}; see `autovibe db "
        "history`.",
        revision=target,
    )


def _blocked() -> MigrationBlockedError:
    return MigrationBlockedError(
        "Other processes held the tables for some seconds, so the migration gave up and changed "
        "nothing; stop them, or try again when less is going on."
    )
