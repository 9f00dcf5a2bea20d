"""Logins, sessions and passwords.

An unknown name, a wrong password and a disabled account take the same time and get the same answer.
A failure is counted before the answer is given, also when many logins are tried at once: what is
over the limit is refused whatever its password.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.identity import repository
from autovibe.domains.identity.errors import NoAccountError
from autovibe.domains.identity.messages import user_message
from autovibe.domains.identity.minting import add_token
from autovibe.domains.identity.models import TokenKind, User
from autovibe.domains.identity.passwords import (
    UNUSABLE,
    check_new_password,
    cost_of,
    hash_password,
    is_password,
)
from autovibe.domains.identity.throttling import (
    account_key,
    blocked,
    check_not_blocked,
    keys_of,
    note_failure,
)
from autovibe.domains.identity.users import get_named, own_account
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import AutovibeError, UnauthenticatedError
from autovibe.kernel.people_settings import PeopleSettings
from autovibe.kernel.protoconv import timestamp
from autovibe.v1 import identity_pb2

_SESSIONS: Final = (TokenKind.SESSION,)
_WRONG: Final = "Name or password is wrong; try again, or ask an admin for a new password."


@dataclass(frozen=True)
class Attempt:
    """A login that is being tried."""

    request: identity_pb2.LoginRequest
    keys: Mapping[str, int]
    user_id: uuid.UUID | None
    hashed: str | None


@dataclass(frozen=True)
class Tried:
    """Whether the password was right, and its hash anew where the cost has changed."""

    right: bool
    new_hash: str | None = None


class Login:
    """The long operation Login."""

    def __init__(self, settings: PeopleSettings) -> None:
        """Take what logins are like."""
        self._settings = settings

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: identity_pb2.LoginRequest
    ) -> Attempt:
        """Look whether a login may be tried, and for whom.

        Raises:
            LoginThrottledError: too many have failed.
        """
        keys = keys_of(ctx, request.username, self._settings)
        await check_not_blocked(tx, ctx, keys)
        user = await repository.find_user_by_name(tx, request.username)
        if user is None or not _may_log_in(user):
            return Attempt(request, keys, None, None)
        return Attempt(request, keys, user.id, user.hashed_password)

    async def act(self, ctx: CallContext, plan: Attempt) -> Tried:
        """Compare the password; this takes as long for nobody."""
        del ctx
        cost = self._settings.bcrypt_cost
        right = await is_password(plan.request.password, plan.hashed, cost)
        if right and plan.hashed is not None and cost_of(plan.hashed) != cost:
            return Tried(right, await hash_password(plan.request.password, cost))
        return Tried(right)

    async def record(
        self, tx: WriteTx, ctx: CallContext, plan: Attempt, outcome: Tried
    ) -> identity_pb2.LoginResponse | AutovibeError:
        """Open the session, or count the failure."""
        refusal = await blocked(tx, ctx, plan.keys)
        if refusal is not None:
            return refusal
        user = None if plan.user_id is None else await repository.find_user(tx, plan.user_id)
        unchanged = user is not None and user.hashed_password == plan.hashed
        if user is None or not (outcome.right and unchanged and _may_log_in(user)):
            await note_failure(tx, ctx, plan.keys)
            return UnauthenticatedError(_WRONG)
        now = ctx.clock.now()
        await repository.forget_failures(tx, account_key(plan.request.username))
        user.hashed_password = outcome.new_hash or user.hashed_password
        user.last_login_at = now
        expires_at = now + timedelta(seconds=self._settings.session_s)
        token, secret = add_token(
            tx,
            name=plan.request.name or "session",
            scopes=["*"],
            expires_at=expires_at,
            kind=TokenKind.SESSION,
            user_id=user.id,
            now=now,
        )
        await tx.session.flush()  # the time of the change is part of the answer
        return identity_pb2.LoginResponse(
            token=secret,
            token_id=str(token.id),
            expires_at=timestamp(expires_at),
            user=user_message(user),
        )


@dataclass(frozen=True)
class NewPassword:
    """A password that is being changed."""

    user_id: uuid.UUID
    new_password: str
    keys: Mapping[str, int]
    current_password: str = ""
    hashed: str = UNUSABLE


class ChangePassword:
    """The long operation ChangePassword: one's own, which must be known."""

    def __init__(self, settings: PeopleSettings) -> None:
        """Take what logins are like."""
        self._settings = settings

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: identity_pb2.ChangePasswordRequest
    ) -> NewPassword:
        """Check who changes it, and to what.

        Raises:
            NoAccountError: the caller has no password.
            LoginThrottledError: too many logins have failed.
            InvalidArgumentError: the new password is none.
        """
        user = await own_account(tx, ctx)
        if user.is_service_account:
            raise NoAccountError("A service account has no password; make it a token.")
        check_new_password(request.new_password)
        keys = keys_of(ctx, user.username, self._settings)
        await check_not_blocked(tx, ctx, keys)
        return NewPassword(
            user.id, request.new_password, keys, request.current_password, user.hashed_password
        )

    async def act(self, ctx: CallContext, plan: NewPassword) -> str | None:
        """Return the hash of the new password, None where the current one is wrong."""
        del ctx
        cost = self._settings.bcrypt_cost
        if not await is_password(plan.current_password, plan.hashed, cost):
            return None
        return await hash_password(plan.new_password, cost)

    async def record(
        self, tx: WriteTx, ctx: CallContext, plan: NewPassword, outcome: str | None
    ) -> identity_pb2.ChangePasswordResponse | AutovibeError:
        """Keep it and end every session, or count the failure."""
        refusal = await blocked(tx, ctx, plan.keys)
        if refusal is not None:
            return refusal
        user = await get_named(tx, str(plan.user_id))
        if outcome is None or user.hashed_password != plan.hashed:
            await note_failure(tx, ctx, plan.keys)
            return UnauthenticatedError("The current password is wrong; try again.")
        await _keep_password(tx, ctx, user, outcome)
        return identity_pb2.ChangePasswordResponse()


class SetPassword:
    """The long operation SetPassword: an admin's, for somebody who has forgotten theirs."""

    def __init__(self, settings: PeopleSettings) -> None:
        """Take the cost of a hash."""
        self._cost = settings.bcrypt_cost

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: identity_pb2.SetPasswordRequest
    ) -> NewPassword:
        """Check whose it is, and what it will be.

        Raises:
            UserNotFoundError: there is no such user.
            NoAccountError: it is a service account.
            InvalidArgumentError: the new password is none.
        """
        del ctx
        user = await get_named(tx, request.user_id)
        if user.is_service_account:
            raise NoAccountError(
                f"{user.username} is a service account and has no password; make it a token."
            )
        check_new_password(request.new_password)
        return NewPassword(user.id, request.new_password, {})

    async def act(self, ctx: CallContext, plan: NewPassword) -> str:
        """Hash it."""
        del ctx
        return await hash_password(plan.new_password, self._cost)

    async def record(
        self, tx: WriteTx, ctx: CallContext, plan: NewPassword, outcome: str
    ) -> identity_pb2.SetPasswordResponse:
        """Keep it and end every session.

        Raises:
            UserNotFoundError: the user was deleted meanwhile.
        """
        user = await get_named(tx, str(plan.user_id))
        await _keep_password(tx, ctx, user, outcome)
        await repository.forget_failures(tx, account_key(user.username))
        return identity_pb2.SetPasswordResponse()


async def log_out(
    tx: WriteTx, ctx: CallContext, request: identity_pb2.LogoutRequest
) -> identity_pb2.LogoutResponse:
    """End the session of this call; a token that was made for calls stays."""
    del request
    token = None
    if ctx.actor.token_id is not None:
        token = await repository.find_token(tx, ctx.actor.token_id)
    is_session = token is not None and token.kind == TokenKind.SESSION
    if token is not None and is_session:
        token.revoked_at = token.revoked_at or ctx.clock.now()
    return identity_pb2.LogoutResponse(ended=is_session)


async def _keep_password(tx: WriteTx, ctx: CallContext, user: User, hashed: str) -> None:
    user.hashed_password = hashed
    await repository.revoke_tokens_of(tx, user.id, _SESSIONS, ctx.clock.now())


def _may_log_in(user: User) -> bool:
    return user.is_active and user.deleted_at is None and not user.is_service_account
