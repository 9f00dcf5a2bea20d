"""From who calls to what they see of projects (decision E6)."""

from __future__ import annotations

from autovibe.db.visibility import Viewer
from autovibe.kernel.context import Actor
from autovibe.kernel.permissions import ROLES, is_in_project, roles_with


def viewer_of(actor: Actor, permission: str, *, for_everything: bool = False) -> Viewer | None:
    """Return what limits the transactions of an actor; None for those who see every project.

    Args:
        actor: who calls.
        permission: of the operation; projects count in which the actor's role has it.
        for_everything: count every project of the actor's.
    """
    if actor.sees_all or actor.user_id is None:
        return None
    narrow = is_in_project(permission) and not for_everything
    return Viewer(actor.user_id, roles_with(permission) if narrow else ROLES)
