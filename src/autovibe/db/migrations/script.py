"""SQL files of migrations."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources

from sqlalchemy import Connection


def run_script(connection: Connection, revision: str) -> None:
    """Run `sql/<revision>_<backend>.sql` on a connection, statement by statement.

    asyncpg takes no more than one at a time.
    """
    for statement in script_of(revision, connection.dialect.name):
        connection.exec_driver_sql(statement)


def script_of(revision: str, backend: str) -> Iterator[str]:
    """Yield the statements of `sql/<revision>_<backend>.sql`."""
    place = resources.files("autovibe.db.migrations").joinpath("sql", f"{revision}_{backend}.sql")
    return statements(place.read_text())


def statements(script: str) -> Iterator[str]:
    """Yield the statements of a script: blank lines part them, comment lines are left out."""
    for block in script.split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("--")]
        statement = "\n".join(lines).strip()
        if statement:
            yield statement
