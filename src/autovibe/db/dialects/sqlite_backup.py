"""A copy of a SQLite database that others go on writing to."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from autovibe.db.errors import BackupFailedError


def copy_sqlite(source: Path, target: Path) -> str:
    """Copy a database in one snapshot, check the copy, and return its revision ("" if none).

    All pages are copied in one step: a WAL gives the copy one snapshot, writers are not held up,
    and the copy need not begin anew when they write.

    Args:
        source: the file of a living database.
        target: a file that does not exist.

    Raises:
        BackupFailedError: it cannot be read or written, or the copy is damaged.
    """
    try:
        with (
            contextlib.closing(_open(source)) as origin,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            origin.backup(copy, pages=-1)
            # One file, which says nothing of a log beside it.
            copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        _fail(f"{source} cannot be copied ({error}); check its disk and run `autovibe db check`.")
    revision = check_sqlite(target)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    return revision


def check_sqlite(path: Path) -> str:
    """Check a database that nobody writes to, and return its revision ("" if none).

    Raises:
        BackupFailedError: it is damaged, or no database.
    """
    try:
        with contextlib.closing(_open(path)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
            broken = connection.execute("PRAGMA foreign_key_check").fetchone()
            has_revision = connection.execute(
                "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'"
            ).fetchone()[0]
            row = (
                has_revision
                and connection.execute("SELECT version_num FROM alembic_version").fetchone()
            )
    except sqlite3.Error as error:
        _fail(f"{path} cannot be checked ({error}); take another backup.")
    if found != ["ok"]:
        _fail(f"{path} is damaged ({found[0]}); restore an older backup.")
    if broken is not None:
        _fail(f"{path} is damaged (a row of {broken[0]} names one that is not there).")
    return str(row[0]) if row else ""


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)


def _fail(message: str) -> NoReturn:
    raise BackupFailedError(message)
