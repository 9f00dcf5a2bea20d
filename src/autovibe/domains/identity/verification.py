"""Proving e-mail addresses by tokens, which are written to the log: no mail is sent."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from autovibe.db import WriteTx
from autovibe.domains.identity import repository
from autovibe.domains.identity.messages import user_message
from autovibe.domains.identity.minting import add_token, hash_token, is_valid
from autovibe.domains.identity.models import TokenKind, User
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import UnauthenticatedError
from autovibe.v1 import identity_pb2

_logger = logging.getLogger(__name__)

_VERIFIABLE_FOR: Final = timedelta(days=2)


def send_verification(tx: WriteTx, ctx: CallContext, user: User) -> None:
    """Write the token that proves an address to the log: no mail server is configured."""
    now = ctx.clock.now()
    _, secret = add_token(
        tx,
        name=user.email,
        scopes=[],
        expires_at=now + _VERIFIABLE_FOR,
        kind=TokenKind.VERIFICATION,
        user_id=user.id,
        now=now,
    )
    _logger.warning(
        "To prove that %s is the address of %s: autovibe user verify %s",
        user.email,
        user.username,
        secret,
    )


async def verify_email(
    tx: WriteTx, ctx: CallContext, request: identity_pb2.VerifyEmailRequest
) -> identity_pb2.User:
    """Mark as verified the address that a token was sent to; the token works once.

    Raises:
        UnauthenticatedError: the token is none for this, used, or expired.
    """
    found = await repository.find_token_by_hash(tx, hash_token(request.token))
    now = ctx.clock.now()
    token, user = found or (None, None)
    if (
        token is None
        or user is None
        or user.deleted_at is not None
        or token.kind != TokenKind.VERIFICATION
        or not is_valid(token, now)
        or token.name != user.email
    ):
        raise UnauthenticatedError(
            "The token proves no address any more; ask for a new one with `autovibe user verify`."
        )
    token.revoked_at = now
    user.is_verified = True
    await tx.session.flush()  # the time of the change is part of the answer
    return user_message(user)
