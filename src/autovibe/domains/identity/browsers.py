"""Sessions of browsers (decision C11): a link that works once opens one.

A browser is thus logged in without a token being typed, shown or kept where a page could read it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from autovibe.db import WriteTx
from autovibe.domains.identity import repository
from autovibe.domains.identity.minting import add_token, hash_token, is_valid
from autovibe.domains.identity.models import TokenKind
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import UnauthenticatedError
from autovibe.kernel.people_settings import PeopleSettings
from autovibe.kernel.protoconv import timestamp
from autovibe.v1 import browsers_pb2

BROWSER_PATH: Final = "/browser/"
_OPENED_WITHIN: Final = timedelta(minutes=1)
_NAME: Final = "browser"


async def create_link(
    tx: WriteTx, ctx: CallContext, request: browsers_pb2.CreateBrowserLinkRequest
) -> browsers_pb2.BrowserLink:
    """Make a link whose session may what the caller's token may."""
    del request
    now = ctx.clock.now()
    expires_at = now + _OPENED_WITHIN
    _, secret = add_token(
        tx,
        name=_NAME,
        scopes=ctx.actor.scopes,
        expires_at=expires_at,
        kind=TokenKind.LINK,
        user_id=ctx.actor.user_id,
        now=now,
    )
    return browsers_pb2.BrowserLink(
        path=f"{BROWSER_PATH}{secret}", expires_at=timestamp(expires_at)
    )


async def open_session(
    tx: WriteTx,
    ctx: CallContext,
    request: browsers_pb2.OpenBrowserSessionRequest,
    settings: PeopleSettings,
) -> browsers_pb2.BrowserSession:
    """Open the session of a link, which opens no other one.

    Raises:
        UnauthenticatedError: the link was used, is too old, or none of ours.
    """
    found = await repository.find_token_by_hash(tx, hash_token(request.link))
    now = ctx.clock.now()
    link, user = found or (None, None)
    is_alive = user is None or (user.is_active and user.deleted_at is None)
    if (
        link is None
        or link.kind != TokenKind.LINK
        or not (is_alive and is_valid(link, now))
        or not await repository.use_up(tx, link.id, now)
    ):
        raise UnauthenticatedError(
            "This link works once, for a minute; make a new one with `autovibe open`."
        )
    expires_at = now + timedelta(seconds=settings.session_s)
    _, secret = add_token(
        tx,
        name=_NAME,
        scopes=link.scopes,
        expires_at=expires_at,
        kind=TokenKind.SESSION,
        user_id=link.user_id,
        now=now,
    )
    return browsers_pb2.BrowserSession(token=secret, expires_at=timestamp(expires_at))
