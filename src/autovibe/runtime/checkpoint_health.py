"""Whether the store has what the rows of checkpoints say: looked up, nothing is read or changed."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from autovibe.db import Database
from autovibe.domains.checkpoints import count_damaged, last_read_as_a_whole, roots_of_all
from autovibe.kernel.errors import AutovibeError
from autovibe.kernel.settings import Settings
from autovibe.runtime.store_process import read_store_key
from autovibe.store import Store

_REFERENCES: Final = "checkpoints/"


@dataclass(frozen=True)
class CheckpointHealth:
    """What is known of the files of checkpoints."""

    checkpoints: int
    """Those whose files should be in the store."""
    damaged: int
    without_reference: Collection[uuid.UUID]
    """Rows whose reference in the store is missing (decision E2)."""
    read_at: datetime | None
    """When the whole store was last read and hashed again."""

    @property
    def problems(self) -> list[str]:
        """Say what a person has to see to."""
        found: list[str] = []
        if self.damaged:
            found.append(f"damaged checkpoints: {self.damaged} (`autovibe checkpoint list`)")
        if self.without_reference:
            some = ", ".join(str(one)[:8] for one in sorted(self.without_reference)[:3])
            found.append(
                f"checkpoints without a reference in the store: {len(self.without_reference)} "
                f"({some})"
            )
        return found


async def look_at_checkpoints(database: Database, settings: Settings) -> CheckpointHealth:
    """Compare rows and references; rows first, since a reference is there before its row."""
    async with database.read() as tx:
        roots = await roots_of_all(tx)
        damaged = await count_damaged(tx)
        read_at = await last_read_as_a_whole(tx)
    names = await asyncio.to_thread(_names, settings)
    kept = {one for one, root in roots.items() if root is not None}
    missing = {one for one in kept if f"{_REFERENCES}{one}" not in names}
    return CheckpointHealth(len(kept), damaged, missing, read_at)


def _names(settings: Settings) -> set[str]:
    try:
        key = read_store_key(settings.checkpoints.key_file)
        store = Store.open(settings.store_path, key=key, create=False)
        return set(store.ref_names(_REFERENCES))
    except AutovibeError:
        # There is none, or one that cannot be opened: a finding of its own.
        return set()
