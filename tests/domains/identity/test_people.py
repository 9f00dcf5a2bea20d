"""Users, logins and tokens, on both databases."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from autovibe.db import Database
from autovibe.domains.etags import EtagMismatchError
from autovibe.domains.identity import (
    IdentityService,
    LastAdminError,
    LoginThrottledError,
    NoAccountError,
    TokenNotFoundError,
    UserExistsError,
    UserNotFoundError,
)
from autovibe.kernel.context import Actor
from autovibe.kernel.errors import (
    IdempotencyKeyReusedError,
    InvalidArgumentError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from autovibe.kernel.people_settings import PeopleSettings
from autovibe.operations import NOBODY, Operations, Registry, local_twin, token_authenticator
from autovibe.v1 import browsers_pb2, identity_pb2, services

PASSWORD = "correct horse"
OWNER = Actor("system", "owner", frozenset({"*"}))


@dataclass
class Clock:
    """Stands still until it is moved."""

    time: datetime = field(default=datetime(2026, 11, 23, 12, 0, tzinfo=UTC))

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def operations(db: Database, clock: Clock) -> Operations:
    service = IdentityService(PeopleSettings(bcrypt_cost=4, failures_per_account=2))
    registry = Registry({"autovibe.v1.IdentityService": service})
    return Operations(db, registry, instance_id=uuid.uuid4(), clock=clock)


def as_actor(operations: Operations, actor: Actor) -> services.IdentityService:
    """Return what an actor calls."""
    return local_twin(operations, lambda: operations.context(actor)).identity


async def add(operations: Operations, name: str, role: str = "developer") -> identity_pb2.User:
    """Make a user."""
    return await as_actor(operations, OWNER).create_user(
        identity_pb2.CreateUserRequest(
            username=name, email=f"{name}@example.org", role=role, password=PASSWORD
        )
    )


async def log_in(operations: Operations, name: str, password: str = PASSWORD) -> Actor:
    """Open a session; return who then calls."""
    opened = await as_actor(operations, NOBODY).login(
        identity_pb2.LoginRequest(username=name, password=password)
    )
    return await token_authenticator(operations)(opened.token)


@pytest.mark.req("S3-07", "S3-110", "S4-40")
async def test_a_password_is_kept_as_its_bcrypt_hash_and_never_shown(
    operations: Operations, db: Database
) -> None:
    made = await add(operations, "ada")
    async with db.read() as tx:
        kept = (await tx.session.execute(text("SELECT hashed_password FROM users"))).scalar_one()
    assert kept.startswith("$2b$04$")
    asked = identity_pb2.GetUserRequest(user_id=made.id)
    found = await as_actor(operations, OWNER).get_user(asked)
    assert kept not in str(found)
    assert found.username == "ada"
    with pytest.raises(UserNotFoundError):
        await as_actor(operations, OWNER).get_user(identity_pb2.GetUserRequest(user_id="eve"))


@pytest.mark.req("S3-110")
@pytest.mark.parametrize("password", ["short", "ü" * 37, ""])
async def test_what_is_no_password_is_refused(operations: Operations, password: str) -> None:
    with pytest.raises(InvalidArgumentError, match="password"):
        await as_actor(operations, OWNER).create_user(
            identity_pb2.CreateUserRequest(
                username="ada", email="a@example.org", role="viewer", password=password
            )
        )


@pytest.mark.req("S3-10", "S3-11")
async def test_a_login_is_noted_and_the_disabled_cannot(
    operations: Operations, clock: Clock
) -> None:
    made = await add(operations, "ada")
    assert (made.is_active, made.is_verified, made.HasField("last_login_at")) == (
        True,
        False,
        False,
    )
    session = await log_in(operations, "ada")
    owner = as_actor(operations, OWNER)
    found = await owner.get_user(identity_pb2.GetUserRequest(user_id="ada"))
    assert found.last_login_at.ToDatetime(tzinfo=UTC) == clock.time
    assert (session.role, str(session.user_id)) == ("developer", made.id)
    await owner.update_user(identity_pb2.UpdateUserRequest(user_id="ada", status="disabled"))
    with pytest.raises(UnauthenticatedError):
        await log_in(operations, "ada")


async def test_failed_logins_wait_longer_each_time_for_anybody(
    operations: Operations, clock: Clock
) -> None:
    await add(operations, "ada")
    for name in ("ada", "nobody"):
        for _ in range(2):
            with pytest.raises(UnauthenticatedError, match="Name or password is wrong"):
                await log_in(operations, name, "wrong password")
        with pytest.raises(LoginThrottledError) as caught:
            await log_in(operations, name)
        assert caught.value.params == {"retry_after_s": 1}
    clock.time += timedelta(seconds=2)
    await log_in(operations, "ada")


async def test_a_new_password_ends_sessions(operations: Operations) -> None:
    await add(operations, "ada")
    opened = await as_actor(operations, NOBODY).login(
        identity_pb2.LoginRequest(username="ada", password=PASSWORD)
    )
    authenticate = token_authenticator(operations)
    mine = as_actor(operations, await authenticate(opened.token))
    change = identity_pb2.ChangePasswordRequest(
        current_password="not it at all", new_password="another horse"
    )
    with pytest.raises(UnauthenticatedError):
        await mine.change_password(change)
    change.current_password = PASSWORD
    await mine.change_password(change)
    with pytest.raises(UnauthenticatedError):
        await authenticate(opened.token)
    await log_in(operations, "ada", "another horse")


async def test_a_token_does_no_more_than_who_made_it(operations: Operations) -> None:
    await add(operations, "ada")
    mine = as_actor(operations, await log_in(operations, "ada"))
    made = await mine.create_token(
        identity_pb2.CreateTokenRequest(name="ci", scopes=["tokens.write", "tasks.read"])
    )
    actor = await token_authenticator(operations)(made.secret)
    assert actor.may("tasks.read")
    assert not actor.may("tasks.write")
    for request in (
        identity_pb2.CreateTokenRequest(name="more", scopes=["tasks.write"]),
        identity_pb2.CreateTokenRequest(name="worker", for_worker=True),
    ):
        with pytest.raises(PermissionDeniedError):
            await as_actor(operations, actor).create_token(request)
    await add(operations, "eve")
    stranger = as_actor(operations, await log_in(operations, "eve"))
    revoke = identity_pb2.RevokeTokenRequest(token_id=made.token.id)
    with pytest.raises(TokenNotFoundError):
        await stranger.revoke_token(revoke)
    await mine.revoke_token(revoke)
    with pytest.raises(UnauthenticatedError):
        await token_authenticator(operations)(made.secret)


async def test_the_last_admin_stays_and_an_old_etag_changes_nothing(
    operations: Operations,
) -> None:
    made = await add(operations, "ada", "admin")
    owner = as_actor(operations, OWNER)
    with pytest.raises(LastAdminError):
        await owner.update_user(identity_pb2.UpdateUserRequest(user_id="ada", role="viewer"))
    with pytest.raises(UserExistsError):
        await add(operations, "ada")
    rename = identity_pb2.UpdateUserRequest(user_id="ada", full_name="Ada", etag=made.etag)
    changed = await owner.update_user(rename)
    assert changed.etag != made.etag
    with pytest.raises(EtagMismatchError):
        await owner.update_user(rename)


async def test_a_repeat_with_one_idempotency_key_does_nothing_again(
    operations: Operations,
) -> None:
    ctx = replace(operations.context(OWNER), idempotency_key="once")
    request = identity_pb2.CreateUserRequest(
        username="ada", email="a@example.org", role="viewer", password=PASSWORD
    )
    method = "autovibe.v1.IdentityService/CreateUser"
    first = await operations.invoke(method, request, ctx)
    assert await operations.invoke(method, request, ctx) == first
    request.username = "eve"
    with pytest.raises(IdempotencyKeyReusedError):
        await operations.invoke(method, request, ctx)
    with pytest.raises(InvalidArgumentError, match="answers once"):
        await operations.invoke(
            "autovibe.v1.IdentityService/CreateToken",
            identity_pb2.CreateTokenRequest(name="ci", user_id="ada"),
            ctx,
        )


async def test_an_address_is_proved_once_by_the_token_in_the_log(
    operations: Operations, caplog: pytest.LogCaptureFixture
) -> None:
    await add(operations, "ada")
    secret = caplog.messages[-1].rpartition(" ")[2]
    nobody = as_actor(operations, NOBODY)
    request = identity_pb2.VerifyEmailRequest(token=secret)
    with pytest.raises(UnauthenticatedError):
        await token_authenticator(operations)(secret)  # it opens nothing else
    assert (await nobody.verify_email(request)).is_verified
    with pytest.raises(UnauthenticatedError):
        await nobody.verify_email(request)


@pytest.mark.req("S3-04")
async def test_a_service_account_has_tokens_and_no_login(operations: Operations) -> None:
    owner = as_actor(operations, OWNER)
    made = await owner.create_user(
        identity_pb2.CreateUserRequest(
            username="robot", email="r@example.org", role="viewer", is_service_account=True
        )
    )
    assert made.is_service_account
    for password in ("!", PASSWORD):
        with pytest.raises(UnauthenticatedError):
            await log_in(operations, "robot", password)
    token = await owner.create_token(identity_pb2.CreateTokenRequest(name="ci", user_id="robot"))
    actor = await token_authenticator(operations)(token.secret)
    assert (str(actor.user_id), actor.role) == (made.id, "viewer")


@pytest.mark.req("S3-115")
async def test_a_deleted_user_is_hidden_and_can_do_nothing_and_the_row_stays(
    operations: Operations, db: Database
) -> None:
    made = await add(operations, "ada")
    owner = as_actor(operations, OWNER)
    session = await log_in(operations, "ada")
    await owner.create_token(identity_pb2.CreateTokenRequest(name="ci", user_id="ada"))
    await owner.delete_user(identity_pb2.DeleteUserRequest(user_id="ada"))

    assert list((await owner.list_users(identity_pb2.ListUsersRequest())).users) == []
    assert list((await owner.list_tokens(identity_pb2.ListTokensRequest())).tokens) == []
    for asked in ("ada", made.id):
        with pytest.raises(UserNotFoundError):
            await owner.get_user(identity_pb2.GetUserRequest(user_id=asked))
    with pytest.raises(UnauthenticatedError):
        await log_in(operations, "ada")
    with pytest.raises(NoAccountError):
        await as_actor(operations, session).request_email_verification(
            identity_pb2.RequestEmailVerificationRequest()
        )
    with pytest.raises(UserExistsError):
        await add(operations, "ada")
    async with db.read() as tx:
        kept = "SELECT username FROM users WHERE deleted_at IS NOT NULL"
        assert (await tx.session.execute(text(kept))).scalars().all() == ["ada"]


async def test_the_last_admin_cannot_be_deleted(operations: Operations) -> None:
    await add(operations, "eve", "admin")
    with pytest.raises(LastAdminError):
        await as_actor(operations, OWNER).delete_user(identity_pb2.DeleteUserRequest(user_id="eve"))


async def test_a_link_opens_one_session_of_a_browser_within_a_minute(
    operations: Operations, clock: Clock
) -> None:
    await add(operations, "ada")
    ada = as_actor(operations, await log_in(operations, "ada"))
    owner, authenticate = as_actor(operations, OWNER), token_authenticator(operations)

    async def opened(link: browsers_pb2.BrowserLink) -> Actor:
        session = await owner.open_browser_session(
            browsers_pb2.OpenBrowserSessionRequest(link=link.path.rpartition("/")[2])
        )
        return await authenticate(session.token)

    link = await ada.create_browser_link(browsers_pb2.CreateBrowserLinkRequest())
    actor = await opened(link)
    assert (actor.role, actor.scopes) == ("developer", frozenset({"*"}))
    with pytest.raises(UnauthenticatedError, match="works once"):
        await opened(link)
    late = await ada.create_browser_link(browsers_pb2.CreateBrowserLinkRequest())
    clock.time += timedelta(minutes=1)
    with pytest.raises(UnauthenticatedError):
        await opened(late)
    unused = await ada.create_browser_link(browsers_pb2.CreateBrowserLinkRequest())
    await owner.update_user(identity_pb2.UpdateUserRequest(user_id="ada", status="disabled"))
    for refused in (opened(unused), authenticate(link.path.rpartition("/")[2])):
        with pytest.raises(UnauthenticatedError):
            await refused
