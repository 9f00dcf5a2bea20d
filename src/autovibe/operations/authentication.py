"""From a token to an actor: what a skin asks before it calls anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from autovibe.kernel.context import ALL_SCOPES, Actor
from autovibe.kernel.errors import UnauthenticatedError
from autovibe.kernel.protoconv import from_timestamp, id_or_none
from autovibe.operations.invoke import Operations
from autovibe.v1 import browsers_pb2, identity_pb2

Authenticate = Callable[[str], Awaitable[Actor]]
"""Takes the token of a call and returns who calls; raises UnauthenticatedError."""

NOBODY: Final = Actor(type="nobody", id="nobody", scopes=frozenset())
"""Who calls what is called without a token."""

OpenBrowser = Callable[[str], Awaitable[tuple[str, datetime]]]
"""Takes a link and returns the token of a browser's session, and when it ends."""

_SERVICE: Final = "autovibe.v1.IdentityService"
_LONGEST_TOKEN: Final = 200
_SKIN: Final = Actor(type="system", id="skin", scopes=ALL_SCOPES)


def token_authenticator(operations: Operations) -> Authenticate:
    """Return what finds the actor of a token. A revoked token stops at once: nothing is kept."""

    async def authenticate(token: str) -> Actor:
        """Return who a token belongs to.

        Raises:
            UnauthenticatedError: the token is unknown, revoked or expired, or its user disabled.
        """
        if not 0 < len(token) <= _LONGEST_TOKEN or "\0" in token:
            raise UnauthenticatedError("The token is not valid; get a new one.")
        found = await operations.invoke(
            f"{_SERVICE}/AuthenticateToken",
            identity_pb2.AuthenticateTokenRequest(token=token),
            operations.context(_SKIN),
        )
        assert isinstance(found, identity_pb2.AuthenticateTokenResponse)
        if found.note_use:
            await operations.invoke(
                f"{_SERVICE}/NoteTokenUse",
                identity_pb2.NoteTokenUseRequest(token_id=found.token_id),
                operations.context(_SKIN),
            )
        return Actor(
            type="user",
            id=found.user_id or found.token_id,
            scopes=frozenset(found.scopes),
            role=found.role or None,
            user_id=id_or_none(found.user_id),
            token_id=id_or_none(found.token_id),
        )

    return authenticate


def browser_opener(operations: Operations) -> OpenBrowser:
    """Return what opens the session of a browser that came with a link."""

    async def open_session(link: str) -> tuple[str, datetime]:
        """Open it.

        Raises:
            UnauthenticatedError: the link was used, is too old, or none of ours.
        """
        opened = await operations.invoke(
            f"{_SERVICE}/OpenBrowserSession",
            browsers_pb2.OpenBrowserSessionRequest(link=link),
            operations.context(_SKIN),
        )
        assert isinstance(opened, browsers_pb2.BrowserSession)
        return opened.token, from_timestamp(opened.expires_at)

    return open_session
