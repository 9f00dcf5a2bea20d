"""Identity: control-plane processes and the tokens of those who call them."""

from autovibe.domains.identity.errors import InstanceNotFoundError, TokenNotFoundError
from autovibe.domains.identity.service import IdentityService

__all__ = ["IdentityService", "InstanceNotFoundError", "TokenNotFoundError"]
