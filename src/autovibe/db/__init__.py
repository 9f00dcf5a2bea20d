"""The database: engine, transactions, column types, migrations."""

from autovibe.db.engine import Database, open_configured, open_database
from autovibe.db.session import ReadTx, WriteTx

__all__ = ["Database", "ReadTx", "WriteTx", "open_configured", "open_database"]
