"""Operations: every call of a service goes through `Operations.invoke()`, by whatever skin."""

from autovibe.operations.authentication import (
    NOBODY,
    Authenticate,
    browser_opener,
    token_authenticator,
)
from autovibe.operations.errors import NotServedError, error_classes
from autovibe.operations.invoke import Operations
from autovibe.operations.registry import Operation, Registry, RegistryError
from autovibe.operations.twin import local_twin

__all__ = [
    "NOBODY",
    "Authenticate",
    "NotServedError",
    "Operation",
    "Operations",
    "Registry",
    "RegistryError",
    "browser_opener",
    "error_classes",
    "local_twin",
    "token_authenticator",
]
