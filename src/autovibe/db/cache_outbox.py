"""What other processes made stale, read from the outbox."""

from __future__ import annotations

from typing import Final

from sqlalchemy import func, select

from autovibe.db.cache import TOPIC
from autovibe.db.records import OutboxEvent
from autovibe.db.session import ReadTx

_LOOK_BACK: Final = 512
"""Ids do not follow the order of commits (decision E3): this many are looked at again."""


class StaleKeys:
    """A reader of the outbox that remembers which rows it has seen."""

    def __init__(self) -> None:
        """Begin before the newest rows: who died before telling the cache is made up for."""
        self._newest: int | None = None
        self._seen: set[int] = set()

    async def read(self, tx: ReadTx) -> set[str]:
        """Return the keys of rows that were not returned before."""
        if self._newest is None:
            self._newest = await tx.session.scalar(select(func.max(OutboxEvent.id))) or 0
        floor = self._newest - _LOOK_BACK
        rows = await tx.session.execute(
            select(OutboxEvent.id, OutboxEvent.payload).where(
                OutboxEvent.id > floor, OutboxEvent.topic == TOPIC
            )
        )
        keys: set[str] = set()
        for row_id, payload in rows:
            if row_id not in self._seen:
                self._seen.add(row_id)
                self._newest = max(self._newest, row_id)
                keys.update(payload["keys"])
        self._seen = {row_id for row_id in self._seen if row_id > self._newest - _LOOK_BACK}
        return keys
