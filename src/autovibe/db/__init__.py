"""The database: engine, transactions, column types, migrations."""

from autovibe.db.session import ReadTx, WriteTx

__all__ = ["ReadTx", "WriteTx"]
