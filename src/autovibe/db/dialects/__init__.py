"""Backends, and all that differs between them; only here are drivers imported."""

from autovibe.db.dialects.base import Dialect
from autovibe.db.dialects.postgresql import PostgresqlDialect
from autovibe.db.dialects.sqlite import SqliteDialect

__all__ = ["Dialect", "dialect_for"]


def dialect_for(name: str) -> Dialect:
    """Return the backend of a name that SQLAlchemy uses: `sqlite` or `postgresql`."""
    return SqliteDialect() if name == "sqlite" else PostgresqlDialect()
