"""How those who call are shown to others."""

from __future__ import annotations

from autovibe.db import ReadTx
from autovibe.domains.identity import repository
from autovibe.kernel.context import Actor


async def user_name(tx: ReadTx, actor: Actor) -> str:
    """Return the name under which others see an actor."""
    user = None if actor.user_id is None else await repository.find_user(tx, actor.user_id)
    return actor.id if user is None else user.username
