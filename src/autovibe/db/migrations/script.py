"""SQL files of migrations."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources

from sqlalchemy import Connection


def run_script(connection: Connection, revision: str) -> None:
    """Run `sql/<revision>_<backend>.sql` on a connection, statement by statement.

    asyncpg takes no more than one at a time.
    """
    name = f"{revision}_{connection.dialect.name}.sql"
    script = resources.files("autovibe.db.migrations").joinpath("sql", name).read_text()
    for statement in statements(script):
        connection.exec_driver_sql(statement)


def statements(script: str) -> Iterator[str]:
    """Yield the statements of a script: blank lines part them, comment lines are left out."""
    for block in script.split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("--")]
        statement = "\n".join(lines).strip()
        if statement:
            yield statement
