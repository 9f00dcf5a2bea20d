"""Who may do what: the one table of permissions and roles.

Each rpc names its permission in the contract; here stands the least role that has it. A permission
that is not here is an admin's. Scopes of a token take away from what its user's role gives, and
never add to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ADMIN: Final = "admin"
DEVELOPER: Final = "developer"
VIEWER: Final = "viewer"
ROLES: Final = (VIEWER, DEVELOPER, ADMIN)
"""The roles, each with what the ones before it have."""

NO_PERMISSION: Final = "none"
"""What an operation names that is called without a token."""
HOST: Final = "host.use"
"""To name directories of the server's host, and to run agents there without isolation."""

LEAST_ROLE: Final[Mapping[str, str]] = {
    "account": VIEWER,
    "approvals.read": VIEWER,
    "approvals.write": DEVELOPER,
    "audit.read": ADMIN,
    "audit.write": ADMIN,
    "budgets.read": VIEWER,
    "budgets.write": ADMIN,
    "chat.read": VIEWER,
    "chat.write": DEVELOPER,
    "checkpoints.read": VIEWER,
    "checkpoints.write": DEVELOPER,
    "documents.read": VIEWER,
    "documents.write": DEVELOPER,
    HOST: ADMIN,
    "logs.read": VIEWER,
    "machines.read": VIEWER,
    "machines.write": DEVELOPER,
    "members.read": VIEWER,
    "members.write": ADMIN,
    "policy.write": ADMIN,
    "projects.read": VIEWER,
    "projects.write": DEVELOPER,
    "rates.read": VIEWER,
    "rates.write": ADMIN,
    "tasks.apply": DEVELOPER,
    "tasks.read": VIEWER,
    "tasks.write": DEVELOPER,
    "tokens.issue": ADMIN,
    "tokens.write": VIEWER,
    "upstreams.read": ADMIN,
    "usage.read": VIEWER,
    "usage.write": ADMIN,
    "users.read": ADMIN,
    "users.write": ADMIN,
    "workers.read": VIEWER,
    "workers.write": ADMIN,
}

OF_OUR_PROCESSES: Final = "internal"
"""No role has it: workers, hubs and gateways have tokens that name it."""
OF_MACHINES: Final = "machine"
"""No role has it: machines have it on their own listeners."""
_OF_NO_ROLE: Final = frozenset({OF_OUR_PROCESSES, OF_MACHINES})

_OF_EVERYBODY: Final = frozenset(
    {"account", "audit", "host", "rates", "tokens", "upstreams", "users", "workers"}
)


def is_in_project(permission: str) -> bool:
    """Return whether a permission is about projects, whose members have roles of their own."""
    if permission in _OF_NO_ROLE:
        return False
    return permission != "usage.write" and permission.partition(".")[0] not in _OF_EVERYBODY


def role_has(role: str, permission: str) -> bool:
    """Return whether a role has a permission, in a project or everywhere."""
    if permission in _OF_NO_ROLE:
        return False
    return ROLES.index(role) >= ROLES.index(LEAST_ROLE.get(permission, ADMIN))


def roles_with(permission: str) -> tuple[str, ...]:
    """Return the roles that have a permission."""
    return tuple(role for role in ROLES if role_has(role, permission))


def may_somewhere(role: str, permission: str) -> bool:
    """Return whether a user of a role may do something in a project, if they have the role there.

    A developer may be the admin of a project; a viewer changes nothing anywhere.
    """
    if role_has(role, permission):
        return True
    return role == DEVELOPER and is_in_project(permission)
