"""`autovibe db backup`, `restore` and `receive-log`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from autovibe.cli.client.command import json_option
from autovibe.cli.local.db_base import require_no_server, with_database
from autovibe.cli.options import output_options
from autovibe.cli.output import print_json, print_notes
from autovibe.cli.render import plural, size
from autovibe.db import Database
from autovibe.db.base_backup import receive_wal
from autovibe.kernel.clock import SystemClock
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.settings import Settings, load_settings
from autovibe.runtime.backup import Backup, Recovery, make_backup, restore_backup

_PATH = click.Path(path_type=Path, resolve_path=True)
_DIRECTORY = click.Path(path_type=Path, file_okay=False, exists=True, resolve_path=True)


@click.command(epilog="Example: autovibe db backup /backups/2026-11-25")
@click.argument("target", type=_PATH)
@click.option(
    "--with-store/--without-store",
    default=True,
    show_default=True,
    help="Copy the checkpoint store too; on one disk its packs are hard links.",
)
@click.option("--pg-bin", type=_DIRECTORY, help="Directory of PostgreSQL's own programs.")
@json_option
def backup(target: Path, *, with_store: bool, pg_bin: Path | None, as_json: bool) -> None:
    """Back up database and checkpoint store to TARGET while everything goes on.

    TARGET is a new directory, or a file that ends in .tar. The key ring is not part of it: keep a
    copy of keys.json elsewhere.
    """

    async def body(settings: Settings, database: Database) -> Backup:
        return await make_backup(settings, database, target, with_store=with_store, programs=pg_bin)

    done = with_database(body, doing="backing up")
    if as_json:
        print_json(asdict(done))
        return
    what = "database and checkpoint store" if done.with_store else "database"
    print_notes(
        [
            f"Backed up {what}, revision {done.revision}, to {done.path}.",
            f"It has {plural(done.files, 'file')} of {size(done.bytes)} in all.",
            "The key ring is not included; keep a copy of keys.json elsewhere.",
        ]
    )


@click.command(epilog="Example: autovibe db restore /backups/2026-11-25")
@click.argument("source", type=click.Path(path_type=Path, exists=True, resolve_path=True))
@click.option("--force", is_flag=True, help="Move what is there aside and go on.")
@click.option("--data-dir", type=_PATH, help="PostgreSQL: the new data directory to make.")
@click.option("--wal", type=_DIRECTORY, help="PostgreSQL: the log of `db receive-log`.")
@click.option("--until", help="PostgreSQL: go forward to this time, as 2026-11-25T10:00:00Z.")
@json_option
def restore(
    source: Path,
    *,
    force: bool,
    data_dir: Path | None,
    wal: Path | None,
    until: str | None,
    as_json: bool,
) -> None:
    """Check the backup SOURCE and put it in the place of this home's database and store.

    Nothing is overwritten: with --force what is there is moved aside. For PostgreSQL a new data
    directory is made, which recovers when the server is started on it.
    """
    settings = load_settings()
    require_no_server(settings)
    recovery = Recovery(
        data_dir=data_dir,
        wal=wal,
        until=_time(until) if until else None,
    )
    done = restore_backup(settings, source, SystemClock(), force=force, recovery=recovery)
    if as_json:
        print_json(asdict(done))
        return
    lines = [f"Restored {done.database} from {source}, of {done.backup.created_at}."]
    if done.store:
        lines.append(f"Restored the checkpoint store {done.store}.")
    if done.kept:
        lines.append(f"What was there before is in {done.kept}.")
    if done.backup.backend == "postgresql":
        lines.append("Give the directory to the server's user and start PostgreSQL on it.")
    print_notes([*lines, "Put keys.json back if it is not there, then run `autovibe db check`."])


@click.command("receive-log", epilog="Example: autovibe db receive-log /backups/wal")
@click.argument("directory", type=_PATH)
@click.option("--slot", default="autovibe_wal", show_default=True, help="Replication slot.")
@click.option("--pg-bin", type=_DIRECTORY, help="Directory of PostgreSQL's own programs.")
@output_options
def receive_log(directory: Path, *, slot: str, pg_bin: Path | None) -> None:
    """Write PostgreSQL's log into DIRECTORY as it comes, until a signal ends it.

    With synchronous_standby_names = 'autovibe_wal' on the server no commit is lost.
    """

    async def body(settings: Settings, database: Database) -> None:
        if database.dialect.name != "postgresql":
            raise InvalidArgumentError("Only PostgreSQL has such a log; take backups of SQLite.")
        await receive_wal(database.url, settings.database, directory, pg_bin, slot)

    with_database(body, doing="receiving the log")


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgumentError(
            f"{text!r} is no time; write it as 2026-11-25T10:00:00Z."
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
