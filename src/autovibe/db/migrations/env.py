"""How Alembic runs: on the connection of `db.upgrade`, or on its own for the `alembic` command."""

from __future__ import annotations

import asyncio
import os
import re
import warnings

from alembic import context
from sqlalchemy import Connection, MetaData, TextClause
from sqlalchemy.schema import SchemaItem

from autovibe.db.discovery import load_models
from autovibe.db.engine import database_url, open_configured
from autovibe.kernel.settings import load_settings

# Partitions are made by upkeep, not by migrations.
_PARTITION = re.compile(r"resource_usage_(default|\d{4}_\d{2})$")


def _include_name(name: str | None, kind: str, parents: object) -> bool:
    del parents
    return not (kind == "table" and name is not None and _PARTITION.match(name))


def _incomparable(metadata: MetaData, backend: str) -> set[str]:
    """Return the names of indexes that are left out, because they do not reflect as written.

    Those of the other backend, those on expressions, and on SQLite those with a DESC column. Tests
    compare the dumps, which have them all.
    """
    names: set[str] = set()
    for table in metadata.tables.values():
        for index in table.indexes:
            texts = [str(item) for item in index.expressions if isinstance(item, TextClause)]
            if (
                _is_foreign(index, backend)
                or any("(" in item for item in texts)
                or (texts and backend == "sqlite")
            ):
                names.add(str(index.name))
    return names


def _is_foreign(item: SchemaItem, backend: str) -> bool:
    condition = getattr(item, "_ddl_if", None)
    return condition is not None and condition.dialect != backend


def _run(connection: Connection, metadata: MetaData | None) -> None:
    backend = connection.dialect.name
    skipped = _incomparable(metadata, backend) if metadata is not None else set[str]()

    def include_object(
        item: SchemaItem,
        name: str | None,
        kind: str,
        reflected: bool,  # noqa: FBT001 - Alembic calls it so
        compared: object,
    ) -> bool:
        del kind, reflected, compared
        return not _is_foreign(item, backend) and name not in skipped

    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=_include_name,
        include_object=include_object,
        render_as_batch=backend == "sqlite",
        # The caller, or the block below, owns the transaction: all revisions or none.
        transactional_ddl=True,
    )
    with warnings.catch_warnings():
        for message in ("Skipped unsupported reflection", "autogenerate skipping", "Expression #"):
            warnings.filterwarnings("ignore", message)
        context.run_migrations()


async def _run_alone() -> None:
    database = open_configured(load_settings(dict(os.environ)))
    metadata = load_models()
    try:
        async with database.engine.begin() as connection:
            await database.dialect.lock_for_upgrade(connection)
            await connection.run_sync(_run, metadata)
    finally:
        await database.close()


def _run_offline() -> None:
    """Write the statements instead of running them."""
    settings = load_settings(dict(os.environ))
    backend: str = context.config.attributes.get("backend") or (
        database_url(settings.database_url).get_backend_name()
    )
    context.configure(dialect_name=backend, as_sql=True, transactional_ddl=True)
    running = context.get_context()

    def write(statement: str) -> None:
        running.impl.static_output(f"{statement};\n")

    # The migrations speak to a connection; this one has no other verb.
    setattr(running.connection, "exec_driver_sql", write)  # noqa: B010 - it has no such attribute
    with context.begin_transaction():
        context.run_migrations()


_given: Connection | None = context.config.attributes.get("connection")
if context.is_offline_mode():
    _run_offline()
elif _given is not None:
    _run(_given, context.config.attributes.get("metadata"))
else:
    asyncio.run(_run_alone())
