"""The rules of tokens: whose they are, what they may, and when they end."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from google.protobuf.message import Message

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.identity import repository
from autovibe.domains.identity.errors import NoAccountError, TokenNotFoundError
from autovibe.domains.identity.messages import token_message, token_owner_message, user_message
from autovibe.domains.identity.minting import add_token, hash_token, is_valid
from autovibe.domains.identity.models import User
from autovibe.domains.identity.users import may_administer, own_account, visible_user
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import (
    InvalidArgumentError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from autovibe.kernel.paging import decode_place, encode_place, page_size
from autovibe.kernel.permissions import LEAST_ROLE, OF_OUR_PROCESSES
from autovibe.kernel.protoconv import from_timestamp
from autovibe.v1 import identity_pb2

_SCOPE: Final = re.compile(r"\*|[a-z][a-z_]*(\.[a-z][a-z_]*)?")
_NOTED_EVERY: Final = timedelta(minutes=1)
_ISSUE: Final = "tokens.issue"


async def issue_token(
    tx: WriteTx, ctx: CallContext, request: identity_pb2.IssueTokenRequest
) -> identity_pb2.IssueTokenResponse:
    """Make a token for a process of this home.

    Raises:
        InvalidArgumentError: a scope is malformed, or the token would have expired already.
        PermissionDeniedError: the token would do more than the one of this call.
    """
    for scope in request.scopes:
        if not _SCOPE.fullmatch(scope):
            raise InvalidArgumentError(
                f"{scope!r} is not a scope; write one as tasks.read, or * for all.", field="scopes"
            )
        _check_has(ctx, scope)
    token, secret = add_token(
        tx,
        name=request.name,
        scopes=request.scopes,
        expires_at=_expiry(ctx, request),
        now=ctx.clock.now(),
    )
    return identity_pb2.IssueTokenResponse(token_id=str(token.id), token=secret)


async def who_am_i(
    tx: ReadTx, ctx: CallContext, request: identity_pb2.WhoAmIRequest
) -> identity_pb2.WhoAmIResponse:
    """Return the caller's user and token, and what they may do."""
    del request
    answer = identity_pb2.WhoAmIResponse(
        permissions=[name for name in LEAST_ROLE if may_administer(ctx, name)]
    )
    if ctx.actor.user_id is not None:
        answer.user.CopyFrom(user_message(await own_account(tx, ctx)))
    if ctx.actor.token_id is not None:
        token = await repository.find_token(tx, ctx.actor.token_id)
        answer.token_id = str(ctx.actor.token_id)
        answer.token_name = "" if token is None else token.name
    return answer


async def create_token(
    tx: WriteTx, ctx: CallContext, request: identity_pb2.CreateTokenRequest
) -> identity_pb2.CreateTokenResponse:
    """Make a token for oneself; for an admin, for anybody or for a worker.

    Raises:
        UserNotFoundError: there is no such user, or one who is not oneself.
        NoAccountError: the caller's token is nobody's, and no user is named.
        PermissionDeniedError: the token would do more than the one of this call.
        InvalidArgumentError: a scope is unknown, or the token would have expired already.
    """
    owner = None if request.for_worker else await _owner(tx, ctx, request.user_id)
    scopes = (
        _worker_scopes(ctx, request) if request.for_worker else _person_scopes(ctx, request.scopes)
    )
    token, secret = add_token(
        tx,
        name=request.name,
        scopes=scopes,
        expires_at=_expiry(ctx, request),
        user_id=owner.id if owner else None,
        now=ctx.clock.now(),
    )
    await tx.session.flush()  # the row's defaults are part of the answer
    return identity_pb2.CreateTokenResponse(secret=secret, token=token_message(token))


async def list_tokens(
    tx: ReadTx, ctx: CallContext, request: identity_pb2.ListTokensRequest
) -> identity_pb2.ListTokensResponse:
    """Return one page of tokens, the newest first.

    Raises:
        UserNotFoundError: there is no such user, or one who is not oneself.
    """
    user_id = None if may_administer(ctx, "users.read") else ctx.actor.user_id
    if request.user_id:
        user_id = (await visible_user(tx, ctx, request.user_id)).id
    size = page_size(request.page_size)
    rows = await repository.list_tokens(
        tx,
        user_id=user_id,
        valid_at=None if request.all else ctx.clock.now(),
        after=decode_place(request.page_token),
        limit=size + 1,
    )
    last = rows[size - 1] if len(rows) > size else None
    return identity_pb2.ListTokensResponse(
        tokens=[token_message(row) for row in rows[:size]],
        next_page_token=encode_place(last.created_at, last.id) if last else "",
    )


async def revoke_token(
    tx: WriteTx, ctx: CallContext, request: identity_pb2.RevokeTokenRequest
) -> identity_pb2.RevokeTokenResponse:
    """Revoke a token; the time of the first revocation stays.

    Raises:
        TokenNotFoundError: there is none, or it is another's.
    """
    token = await repository.find_token(tx, uuid.UUID(request.token_id))
    is_own = token is not None and ctx.actor.user_id is not None
    is_own = is_own and token is not None and token.user_id == ctx.actor.user_id
    if token is None or not (is_own or may_administer(ctx, "users.write")):
        raise TokenNotFoundError(
            f"There is no token {request.token_id}; see `autovibe token list`.",
            token_id=request.token_id,
        )
    token.revoked_at = token.revoked_at or ctx.clock.now()
    return identity_pb2.RevokeTokenResponse()


async def authenticate_token(
    tx: ReadTx, ctx: CallContext, request: identity_pb2.AuthenticateTokenRequest
) -> identity_pb2.AuthenticateTokenResponse:
    """Return who a token belongs to.

    Raises:
        UnauthenticatedError: it is unknown, revoked or expired, or its user is disabled; which of
            them is not said.
    """
    found = await repository.find_token_by_hash(tx, hash_token(request.token))
    now = ctx.clock.now()
    if found is not None:
        token, user = found
        is_alive = user is None or (user.is_active and user.deleted_at is None)
        if token.kind.is_for_calls and is_alive and is_valid(token, now):
            used = token.last_used_at
            return token_owner_message(
                token, user, note_use=used is None or now - used >= _NOTED_EVERY
            )
    raise UnauthenticatedError(
        "The token is unknown, revoked or expired; log in with `autovibe login`, or set "
        "AUTOVIBE_TOKEN to a valid one."
    )


async def _owner(tx: ReadTx, ctx: CallContext, named: str) -> User:
    if named:
        return await visible_user(tx, ctx, named, permission="users.write")
    if ctx.actor.user_id is None:
        raise NoAccountError("Your token is nobody's; name the user that the new one is for.")
    return await visible_user(tx, ctx, str(ctx.actor.user_id))


def _person_scopes(ctx: CallContext, wanted: Iterable[str]) -> list[str]:
    scopes = list(wanted) or ["*"]
    for scope in scopes:
        if scope != "*" and scope not in LEAST_ROLE:
            raise InvalidArgumentError(
                f"{scope!r} is no permission; see `autovibe whoami` for those that you have.",
                field="scopes",
            )
        _check_has(ctx, scope)
    return scopes


def _check_has(ctx: CallContext, scope: str) -> None:
    if not {"*", scope} & ctx.actor.scopes:
        raise PermissionDeniedError(
            f"Your own token lacks {scope}; name scopes that it has.", permission=scope
        )


def _worker_scopes(ctx: CallContext, request: identity_pb2.CreateTokenRequest) -> list[str]:
    if request.user_id or request.scopes:
        raise InvalidArgumentError(
            "A worker's token has no user and scopes of its own; give neither.", field="for_worker"
        )
    if not may_administer(ctx, _ISSUE):
        raise PermissionDeniedError(
            "Only an admin makes tokens of workers; ask one.", permission=_ISSUE
        )
    return [OF_OUR_PROCESSES]


def _expiry(ctx: CallContext, request: Message) -> datetime | None:
    if not request.HasField("expires_at"):
        return None
    expires_at = from_timestamp(getattr(request, "expires_at"))  # noqa: B009 - a field of two messages
    if expires_at <= ctx.clock.now():
        raise InvalidArgumentError(
            "The token would have expired already; give a later time.", field="expires_at"
        )
    return expires_at
