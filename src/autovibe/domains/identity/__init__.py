"""Identity: people, what they belong to, their tokens, and control-plane processes."""

from autovibe.domains.identity.browsers import BROWSER_PATH
from autovibe.domains.identity.errors import (
    InstanceNotFoundError,
    LastAdminError,
    LoginThrottledError,
    MemberNotFoundError,
    NoAccountError,
    TokenNotFoundError,
    UserExistsError,
    UserNotFoundError,
)
from autovibe.domains.identity.members import (
    add_member,
    join_project,
    list_members,
    remove_member,
)
from autovibe.domains.identity.service import IdentityService
from autovibe.domains.identity.users import has_admin

__all__ = [
    "BROWSER_PATH",
    "IdentityService",
    "InstanceNotFoundError",
    "LastAdminError",
    "LoginThrottledError",
    "MemberNotFoundError",
    "NoAccountError",
    "TokenNotFoundError",
    "UserExistsError",
    "UserNotFoundError",
    "add_member",
    "has_admin",
    "join_project",
    "list_members",
    "remove_member",
]
