"""Queries on the keys of providers whose quota is used up."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final, cast

from sqlalchemy import Table, Uuid, bindparam, select, update

from autovibe.db import ReadTx, WriteTx
from autovibe.db.prepared import Prepared
from autovibe.domains.metering.models import ProviderPause

_PAUSES: Final = cast("Table", ProviderPause.__table__)
_PAUSED: Final = Prepared(
    select(_PAUSES.c.id, _PAUSES.c.opens_at).where(
        _PAUSES.c.id.in_(bindparam("ids", type_=Uuid(), expanding=True)),
        _PAUSES.c.opens_at > bindparam("now", type_=_PAUSES.c.opens_at.type),
    )
)


async def paused_keys(
    tx: ReadTx, key_ids: Collection[uuid.UUID], now: datetime
) -> dict[uuid.UUID, datetime]:
    """Return when those of some keys open again that are paused."""
    if not key_ids:
        return {}
    found = await _PAUSED.rows(tx, {"ids": list(key_ids), "now": now})
    return {row[0]: row[1] for row in found}


async def pause_keys(tx: WriteTx, opens_at: Mapping[uuid.UUID, datetime]) -> None:
    """Pause keys until some time, or longer where somebody has been told so."""
    for key_id, time in sorted(opens_at.items()):
        await tx.dialect.insert_or_ignore(
            tx.session, ProviderPause, [{"id": key_id, "opens_at": time}]
        )
        await tx.session.execute(
            update(_PAUSES)
            .where(_PAUSES.c.id == key_id, _PAUSES.c.opens_at < time)
            .values(opens_at=time)
        )
