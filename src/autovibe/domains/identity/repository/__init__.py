"""Queries of the identity domain."""

from autovibe.domains.identity.repository.instances import (
    beat,
    find_instance,
    list_instances,
    remove_instance,
)
from autovibe.domains.identity.repository.members import (
    find_member,
    list_members,
    remove_member,
    remove_memberships,
)
from autovibe.domains.identity.repository.throttles import (
    blocked_until,
    forget_failures,
    forget_old_failures,
    lock_throttle,
)
from autovibe.domains.identity.repository.tokens import (
    find_token,
    find_token_by_hash,
    list_tokens,
    note_use,
    revoke_tokens_of,
    use_up,
)
from autovibe.domains.identity.repository.users import (
    count_active_admins,
    find_user,
    find_user_by_email,
    find_user_by_name,
    list_users,
    lock_active_admins,
    lock_user,
)

__all__ = [
    "beat",
    "blocked_until",
    "count_active_admins",
    "find_instance",
    "find_member",
    "find_token",
    "find_token_by_hash",
    "find_user",
    "find_user_by_email",
    "find_user_by_name",
    "forget_failures",
    "forget_old_failures",
    "list_instances",
    "list_members",
    "list_tokens",
    "list_users",
    "lock_active_admins",
    "lock_throttle",
    "lock_user",
    "note_use",
    "remove_instance",
    "remove_member",
    "remove_memberships",
    "revoke_tokens_of",
    "use_up",
]
