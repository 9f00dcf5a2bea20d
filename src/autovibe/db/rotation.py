"""Replacing the key of secret columns without a moment in which a secret is unreadable."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Column, MetaData, Table, Text, cast, select, update

from autovibe.db.base import Base
from autovibe.db.encryption import EncryptedText, KeyRing, KeyRingSource, key_of
from autovibe.db.secret_json import JsonWithSecrets, opened

if TYPE_CHECKING:
    from autovibe.db.engine import Database

_BATCH: Final = 200


@dataclass(frozen=True)
class Rotation:
    """What a rotation did."""

    key: str
    values: int
    columns: tuple[str, ...]


async def rotate_keys(
    database: Database,
    source: KeyRingSource,
    *,
    forget: bool = False,
    metadata: MetaData = Base.metadata,
) -> Rotation:
    """Make a new key and put every secret under it.

    The old keys stay in the ring, unless they are to be forgotten: another process may have
    encrypted something just before it saw the new ring, and backups are under them.

    Args:
        database: with the schema.
        source: its key ring.
        forget: drop the old keys at the end; for when no other process uses the database.
        metadata: tables to look for secret columns in; load the models first.

    Raises:
        KeyRingError: the ring cannot be changed.
        SecretUnreadableError: a value does not open; the old keys are kept then.
    """
    ring = source.ring().with_new_primary()
    source.replace(ring)  # the key is durable before anything is under it
    moved, names = 0, list[str]()
    for table in metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, EncryptedText):
                names.append(column.type.place)
                moved += await _move(database, table, column, ring)
            elif isinstance(column.type, JsonWithSecrets):
                names.append(column.type.field)
                moved += await _move(database, table, column, ring)
    if forget:
        source.replace(ring.primary_only())
    return Rotation(ring.primary, moved, tuple(names))


async def _move(database: Database, table: Table, column: Column[Any], ring: KeyRing) -> int:
    """Re-encrypt a column in short transactions, in the order of the primary key."""
    keys = list(table.primary_key.columns)
    raw = cast(column, Text).label("stored")
    moved, after = 0, None
    while True:
        query = select(*keys, raw).where(column.is_not(None)).order_by(*keys).limit(_BATCH)
        if after is not None:
            query = query.where(_after(keys, after))
        async with database.write() as tx:
            # Nobody may change a value between reading it and writing it back.
            rows = (await tx.session.execute(query.with_for_update())).all()
            for row in rows:
                value, secrets = _opened(column, row.stored, ring)
                if not secrets:
                    continue
                mine = [key == one for key, one in zip(keys, row, strict=False)]
                # The type of the column encrypts it, with the primary key.
                await tx.session.execute(update(table).where(*mine).values({column: value}))
                moved += secrets
        if len(rows) < _BATCH:
            return moved
        after = rows[-1][: len(keys)]


def _opened(column: Column[Any], stored: str, ring: KeyRing) -> tuple[Any, int]:
    """Return the value of a column, and how many secrets in it are not under the primary key."""
    if isinstance(column.type, JsonWithSecrets):
        return opened(json.loads(stored), column.type.field, ring)
    assert isinstance(column.type, EncryptedText)
    place = column.type.place
    if key_of(stored, place) == ring.primary:
        return None, 0
    return column.type.from_text(ring.decrypt(stored, place)), 1


def _after(keys: Sequence[Column[Any]], values: Sequence[Any]) -> Any:
    condition: Any = keys[-1] > values[-1]
    for key, value in list(zip(keys, values, strict=True))[-2::-1]:
        condition = (key > value) | ((key == value) & condition)
    return condition
