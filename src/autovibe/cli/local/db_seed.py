"""`autovibe db seed`: data to develop on."""

from __future__ import annotations

import click

from autovibe.cli.client.command import json_option
from autovibe.cli.errors import DatabaseNotEmptyError
from autovibe.cli.local.db_base import with_database
from autovibe.cli.output import print_json, print_lines
from autovibe.cli.render import pairs
from autovibe.db import Database
from autovibe.db.upgrade import ensure_schema
from autovibe.kernel.settings import Settings, ensure_home
from autovibe.testing.dev_data import add_dev_data, has_projects


@click.command(epilog="Example: autovibe db seed --json")
@json_option
def seed(*, as_json: bool) -> None:
    """Fill an empty database with made-up projects, tasks, checkpoints and usage to develop on.

    Nothing of it runs, and the checkpoints have no files. It is the same each time, up to now.
    """

    async def body(settings: Settings, database: Database) -> dict[str, int]:
        ensure_home(settings)
        await ensure_schema(database.engine)
        async with database.write() as tx:
            if await has_projects(tx):
                raise DatabaseNotEmptyError(
                    "The database has projects, so no made-up ones are added; name an empty one "
                    "with AUTOVIBE_DATABASE_URL or AUTOVIBE_HOME."
                )
            return await add_dev_data(tx, database.clock.now())

    counts = with_database(body, doing="adding data")
    if as_json:
        print_json({"rows": counts})
    else:
        print_lines(pairs([(name, f"{number:,}") for name, number in counts.items()]))
