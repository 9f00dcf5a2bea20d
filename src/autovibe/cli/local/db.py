"""`autovibe db`: the schema of the database, its health and its keys."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from autovibe.cli.client.command import json_option
from autovibe.cli.local.db_backup import backup, receive_log, restore
from autovibe.cli.local.db_base import require_no_server, require_yes, with_database
from autovibe.cli.local.db_jobs import archive, maintain, restore_archive
from autovibe.cli.local.db_seed import seed
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import plural, table
from autovibe.db import Database, revisions
from autovibe.db.discovery import load_models
from autovibe.db.engine import database_url
from autovibe.db.rotation import Rotation, rotate_keys
from autovibe.db.upgrade import HEAD
from autovibe.kernel.errors import EXIT_FAILED, EXIT_OK, InvalidArgumentError
from autovibe.kernel.settings import Settings, ensure_home, load_settings
from autovibe.runtime.backup import make_backup
from autovibe.runtime.checkpoint_health import look_at_checkpoints

_EMPTY: Final = "(empty)"


@click.group(epilog="Example: autovibe db check")
def db() -> None:
    """Migrate, check, back up and restore the database.

    These commands open the database of AUTOVIBE_DATABASE_URL themselves, also while a server runs.
    """


@db.command(epilog="Example: autovibe db upgrade --sql > upgrade.sql")
@click.option("--to", "target", default="head", show_default=True, help="Revision to upgrade to.")
@click.option("--sql", is_flag=True, help="Print the statements for an empty database, run none.")
@click.option(
    "--backup",
    "backup_to",
    type=click.Path(path_type=Path, resolve_path=True),
    help="Back up there first, and upgrade only if that went well; for production.",
)
@json_option
def upgrade(target: str, *, sql: bool, backup_to: Path | None, as_json: bool) -> None:
    """Bring the schema to a revision: all steps or none.

    It gives up after a few seconds when others hold the tables, rather than make them wait.
    """
    if sql:
        _print_sql(target, as_json=as_json)
        return

    async def body(settings: Settings, database: Database) -> tuple[str, str]:
        ensure_home(settings)
        if backup_to is not None:
            await make_backup(settings, database, backup_to)
        return await revisions.upgrade(database, target)

    _print_move(*with_database(body, doing="upgrading the database"), as_json=as_json)


@db.command(
    epilog="Example: autovibe db downgrade -1 --yes",
    # `-1` is a revision here, no option.
    context_settings={"ignore_unknown_options": True},
)
@click.argument("target", metavar="REVISION")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def downgrade(target: str, *, yes: bool, as_json: bool) -> None:
    """Take the schema back to REVISION, to `base`, or by `-N` steps.

    What the later tables and columns hold is lost: take a backup first.
    """
    require_no_server(load_settings())
    require_yes(
        f"Going back to {target} drops what later revisions added, with all it holds. Go on?",
        yes=yes,
    )

    async def body(_settings: Settings, database: Database) -> tuple[str, str]:
        return await revisions.downgrade(database, target)

    _print_move(*with_database(body, doing="downgrading the database"), as_json=as_json)


@db.command(epilog="Example: autovibe db current --json")
@json_option
def current(*, as_json: bool) -> None:
    """Say at which revision the database is."""

    async def body(_settings: Settings, database: Database) -> str:
        return await revisions.current(database)

    found = with_database(body)
    if as_json:
        print_json({"revision": found, "head": HEAD, "is_head": found == HEAD})
    elif found == HEAD:
        print_lines([f"{found} (the newest)"])
    else:
        print_lines([found or _EMPTY])
        print_notes([f"This autovibe knows {HEAD}; `autovibe db upgrade` goes there."])


@db.command(epilog="Example: autovibe db history")
@json_option
def history(*, as_json: bool) -> None:
    """List the revisions that this autovibe knows, the newest first."""
    known = revisions.history()
    if as_json:
        print_json({"revisions": [asdict(revision) for revision in known]})
        return
    rows = [(item.revision, item.follows, item.title) for item in known]
    print_lines(table(("REVISION", "FOLLOWS", "WHAT"), rows))


@db.command(epilog="Example: autovibe db check --json")
@json_option
def check(*, as_json: bool) -> int:
    """Compare the schema with the models, and look for damage; exit status 1 if there is any.

    Also whether the checkpoint store of this home has a reference for every checkpoint, and what
    of it is known to be damaged.
    """

    async def body(settings: Settings, database: Database) -> list[revisions.Problem]:
        problems = await revisions.check_database(database)
        if not problems:
            health = await look_at_checkpoints(database, settings)
            problems += [revisions.Problem("checkpoint", text) for text in health.problems]
        return problems

    problems = with_database(body, doing="checking the database")
    if as_json:
        items = [asdict(problem) for problem in problems]
        print_json({"ok": not problems, "head": HEAD, "problems": items})
    elif problems:
        print_lines([f"{problem.kind}: {problem.text}" for problem in problems])
    else:
        print_notes(["The schema is that of this autovibe, and no damage was found."])
    return EXIT_FAILED if problems else EXIT_OK


@db.command("rotate-keys", epilog="Example: autovibe db rotate-keys")
@click.option(
    "--forget-old",
    is_flag=True,
    help="Drop the old keys; backups made before cannot be read with the new ring alone.",
)
@click.option("--yes", is_flag=True, help="Do not ask before old keys are dropped.")
@json_option
def rotate(*, forget_old: bool, yes: bool, as_json: bool) -> None:
    """Make a new key for secret columns and put every secret under it.

    The old keys stay in keys.json, unless --forget-old is given.
    """
    settings = load_settings()
    if forget_old:
        require_no_server(settings)
        require_yes("Secrets in older backups cannot be read without the old keys. Go on?", yes=yes)
    ensure_home(settings)

    async def body(_settings: Settings, database: Database) -> Rotation:
        await revisions.current(database)
        load_models()
        return await rotate_keys(database, database.keys, forget=forget_old)

    done = with_database(body, doing="re-encrypting secrets")
    if as_json:
        print_json({"key": done.key, "values": done.values, "columns": list(done.columns)})
    else:
        print_notes([f"{plural(done.values, 'secret')} put under the new key {done.key}."])


def _print_sql(target: str, *, as_json: bool) -> None:
    backend = database_url(load_settings().database_url).get_backend_name()
    if as_json:
        print_json({"backend": backend, "sql": revisions.upgrade_sql(backend, target)})
        return
    script = revisions.upgrade_sql(backend, target)
    if not script.strip():
        raise InvalidArgumentError(f"There is nothing to do up to {target}.")
    print_lines(script.splitlines())


def _print_move(before: str, after: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"before": before, "after": after, "changed": before != after})
    elif before == after:
        print_notes([f"Nothing to do: the database is at {after or _EMPTY} already."])
    else:
        print_notes([f"The database went from {before or _EMPTY} to {after or _EMPTY}."])


for _command in (backup, restore, receive_log, maintain, archive, restore_archive, seed):
    db.add_command(_command)
