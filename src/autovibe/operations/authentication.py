"""From a token to an actor: what a skin asks before it calls anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from autovibe.kernel.context import ALL_SCOPES, Actor
from autovibe.kernel.errors import UnauthenticatedError
from autovibe.operations.invoke import Operations
from autovibe.v1 import identity_pb2

Authenticate = Callable[[str], Awaitable[Actor]]
"""Takes the token of a call and returns who calls; raises UnauthenticatedError."""

_METHOD: Final = "autovibe.v1.IdentityService/AuthenticateToken"
_LONGEST_TOKEN: Final = 200
_SKIN: Final = Actor(type="system", id="skin", scopes=ALL_SCOPES)


def token_authenticator(operations: Operations) -> Authenticate:
    """Return what finds the actor of a token. A revoked token stops at once: nothing is kept."""

    async def authenticate(token: str) -> Actor:
        """Return who a token belongs to.

        Raises:
            UnauthenticatedError: the token is unknown, revoked or expired.
        """
        if not 0 < len(token) <= _LONGEST_TOKEN or "\0" in token:
            raise UnauthenticatedError("The token is not valid; get a new one.")
        found = await operations.invoke(
            _METHOD,
            identity_pb2.AuthenticateTokenRequest(token=token),
            operations.context(_SKIN),
        )
        assert isinstance(found, identity_pb2.AuthenticateTokenResponse)
        return Actor(type="user", id=found.token_id, scopes=frozenset(found.scopes))

    return authenticate
