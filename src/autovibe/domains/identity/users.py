"""The rules of users."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from autovibe.db import ReadTx, WriteTx
from autovibe.domains.etags import check_etag
from autovibe.domains.identity import repository
from autovibe.domains.identity.errors import (
    LastAdminError,
    NoAccountError,
    UserExistsError,
    UserNotFoundError,
)
from autovibe.domains.identity.messages import user_message
from autovibe.domains.identity.models import TokenKind, User, UserRole
from autovibe.domains.identity.passwords import UNUSABLE, check_new_password, hash_password
from autovibe.domains.identity.verification import send_verification
from autovibe.kernel.context import CallContext
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.ids import new_id
from autovibe.kernel.paging import decode_sorted_place, encode_sorted_place, page_size
from autovibe.kernel.people_settings import PeopleSettings
from autovibe.kernel.permissions import role_has
from autovibe.v1 import identity_pb2

_ENDED: Final = (TokenKind.SESSION,)
_EVERY: Final = tuple(TokenKind)
_PARSE: Final[dict[str, Callable[[str], str | datetime]]] = {
    "username": str,
    "created_at": datetime.fromisoformat,
}


def may_administer(ctx: CallContext, permission: str) -> bool:
    """Return whether the caller has a permission that is about everybody."""
    return ctx.actor.may(permission) and (
        ctx.actor.role is None or role_has(ctx.actor.role, permission)
    )


async def visible_user(
    tx: ReadTx, ctx: CallContext, named: str, *, permission: str = "users.read"
) -> User:
    """Return a user by id or name: for an admin any, for others themselves.

    Raises:
        UserNotFoundError: there is none, or one who is not the caller.
    """
    user = await find_named(tx, named)
    is_own = user is not None and user.id == ctx.actor.user_id
    if user is None or not (is_own or may_administer(ctx, permission)):
        raise UserNotFoundError(
            f"There is no user {named!r}; see `autovibe user list`.", user_id=named
        )
    return user


async def own_account(tx: ReadTx, ctx: CallContext) -> User:
    """Return the user who calls.

    Raises:
        NoAccountError: the caller's token is nobody's.
    """
    user = None
    if ctx.actor.user_id is not None:
        user = await repository.find_user(tx, ctx.actor.user_id)
    if user is None:
        raise NoAccountError("Your token is nobody's; log in with `autovibe login`.")
    return user


async def get_named(tx: ReadTx, named: str) -> User:
    """Return a user by id or name, whoever asks.

    Raises:
        UserNotFoundError: there is none.
    """
    user = await find_named(tx, named)
    if user is None:
        raise UserNotFoundError(f"There is no user {named!r}; check the name.", user_id=named)
    return user


async def find_named(tx: ReadTx, named: str) -> User | None:
    """Return a user by id or name; a deleted one is none."""
    try:
        user = await repository.find_user(tx, uuid.UUID(named))
    except ValueError:
        user = None
    user = user or await repository.find_user_by_name(tx, named)
    return None if user is None or user.deleted_at is not None else user


@dataclass(frozen=True)
class NewUser:
    """A user to be made, whose password is hashed meanwhile."""

    request: identity_pb2.CreateUserRequest


class CreateUser:
    """The long operation CreateUser: bcrypt takes longer than a transaction may."""

    def __init__(self, settings: PeopleSettings) -> None:
        """Take the cost of a hash."""
        self._cost = settings.bcrypt_cost

    async def prepare(
        self, tx: ReadTx, ctx: CallContext, request: identity_pb2.CreateUserRequest
    ) -> NewUser:
        """Check name, address and password.

        Raises:
            UserExistsError: the name or the address is taken.
            InvalidArgumentError: the password is none.
        """
        del ctx
        if request.is_service_account and request.password:
            raise InvalidArgumentError(
                "A service account has no password; make it a token.", field="password"
            )
        if not request.is_service_account:
            check_new_password(request.password)
        await _check_free(tx, request.username, request.email)
        return NewUser(request)

    async def act(self, ctx: CallContext, plan: NewUser) -> str:
        """Hash the password."""
        del ctx
        if plan.request.is_service_account:
            return UNUSABLE
        return await hash_password(plan.request.password, self._cost)

    async def record(
        self, tx: WriteTx, ctx: CallContext, plan: NewUser, outcome: str
    ) -> identity_pb2.User:
        """Add the user.

        Raises:
            UserExistsError: the name or the address was taken meanwhile.
        """
        request = plan.request
        await _check_free(tx, request.username, request.email)
        user = User(
            id=new_id(),
            username=request.username,
            email=request.email,
            full_name=request.full_name or None,
            role=UserRole(request.role),
            hashed_password=outcome,
            is_service_account=request.is_service_account,
        )
        tx.session.add(user)
        await tx.session.flush()  # the row's defaults are part of the answer
        if not user.is_service_account:
            send_verification(tx, ctx, user)
        return user_message(user)


async def request_email_verification(
    tx: WriteTx, ctx: CallContext, request: identity_pb2.RequestEmailVerificationRequest
) -> identity_pb2.RequestEmailVerificationResponse:
    """Make the token that proves one's address; the ones before it end.

    Raises:
        NoAccountError: the caller's token is nobody's.
    """
    del request
    send_verification(tx, ctx, await own_account(tx, ctx))
    return identity_pb2.RequestEmailVerificationResponse()


async def list_users(
    tx: ReadTx, ctx: CallContext, request: identity_pb2.ListUsersRequest
) -> identity_pb2.ListUsersResponse:
    """Return one page of users."""
    del ctx
    size = page_size(request.page_size)
    order_by = request.order_by or "username"
    column = order_by.removeprefix("-")
    rows = await repository.list_users(
        tx,
        role=request.role,
        is_active={"active": True, "disabled": False}.get(request.status),
        order_by=order_by,
        after=decode_sorted_place(request.page_token, order_by, _PARSE[column]),
        limit=size + 1,
    )
    last = rows[size - 1] if len(rows) > size else None
    return identity_pb2.ListUsersResponse(
        users=[user_message(row) for row in rows[:size]],
        next_page_token=encode_sorted_place(order_by, getattr(last, column), last.id)
        if last
        else "",
    )


async def update_user(
    tx: WriteTx, ctx: CallContext, request: identity_pb2.UpdateUserRequest
) -> identity_pb2.User:
    """Change a user.

    Raises:
        UserNotFoundError: there is none.
        UserExistsError: the address is taken.
        LastAdminError: nobody would be left who may give roles.
        EtagMismatchError: the user has changed since the caller looked.
    """
    user = await get_named(tx, request.user_id)
    await repository.lock_user(tx, user)
    check_etag(request.etag, user_message(user).etag)
    role = UserRole(request.role) if request.role else user.role
    is_active = request.status == "active" if request.status else user.is_active
    if not (is_active and role == UserRole.ADMIN):
        await _keep_an_admin(tx, user)
    if request.email and request.email != user.email:
        if await repository.find_user_by_email(tx, request.email) is not None:
            raise _taken("e-mail address", request.email)
        user.email, user.is_verified = request.email, False
        send_verification(tx, ctx, user)
    user.full_name = request.full_name or user.full_name
    user.role, user.is_active = role, is_active
    if not is_active:
        await repository.revoke_tokens_of(tx, user.id, _ENDED, ctx.clock.now())
    await tx.session.flush()  # the time of the change is part of the answer
    return user_message(user)


async def delete_user(
    tx: WriteTx, ctx: CallContext, request: identity_pb2.DeleteUserRequest
) -> identity_pb2.DeleteUserResponse:
    """Delete a user softly: tokens and memberships end, what they made keeps their name.

    Raises:
        UserNotFoundError: there is none.
        LastAdminError: nobody would be left who may give roles.
    """
    user = await get_named(tx, request.user_id)
    await repository.lock_user(tx, user)
    await _keep_an_admin(tx, user)
    now = ctx.clock.now()
    user.deleted_at, user.is_active, user.hashed_password = now, False, UNUSABLE
    await repository.revoke_tokens_of(tx, user.id, _EVERY, now)
    await repository.remove_memberships(tx, user.id)
    return identity_pb2.DeleteUserResponse()


async def has_admin(tx: ReadTx) -> bool:
    """Return whether there is a person who may log in and give roles."""
    return await repository.count_active_admins(tx) > 0


async def _keep_an_admin(tx: WriteTx, user: User) -> None:
    if user.role != UserRole.ADMIN or not user.is_active:
        return
    if set(await repository.lock_active_admins(tx)) <= {user.id}:
        raise LastAdminError(
            f"{user.username} is the last admin; make another one first.", user_id=str(user.id)
        )


async def _check_free(tx: ReadTx, username: str, email: str) -> None:
    if await repository.find_user_by_name(tx, username) is not None:
        raise _taken("name", username)
    if await repository.find_user_by_email(tx, email) is not None:
        raise _taken("e-mail address", email)


def _taken(what: str, value: str) -> UserExistsError:
    return UserExistsError(f"A user has the {what} {value!r}; choose another.", what=what)
