"""Instances and tokens, on both databases."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text
from stubs import TOKENS

from autovibe.db import Database
from autovibe.domains.identity import (
    IdentityService,
    InstanceNotFoundError,
    TokenNotFoundError,
)
from autovibe.kernel.errors import InvalidArgumentError, UnauthenticatedError
from autovibe.operations import Operations, Registry, local_twin, token_authenticator
from autovibe.sdk.services import Services
from autovibe.v1 import identity_pb2, services

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FIRST, SECOND = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))


@dataclass
class Clock:
    """Stands still until it is moved."""

    time: datetime = field(default=NOON)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def operations(db: Database, clock: Clock) -> Operations:
    registry = Registry({"autovibe.v1.IdentityService": IdentityService()})
    return Operations(db, registry, instance_id=uuid.uuid4(), clock=clock)


@pytest.fixture
def identity(operations: Operations) -> services.IdentityService:
    twin: Services = local_twin(operations, lambda: operations.context(TOKENS["all"]))
    return twin.identity


def registration(instance_id: str, pid: int = 7) -> identity_pb2.RegisterInstanceRequest:
    return identity_pb2.RegisterInstanceRequest(id=instance_id, host="h", boot_id="b", pid=pid)


def at(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment)
    return message


async def listed(identity: services.IdentityService) -> list[identity_pb2.Instance]:
    return list((await identity.list_instances(identity_pb2.ListInstancesRequest())).instances)


async def test_an_instance_registers_beats_and_goes(identity, clock: Clock) -> None:
    made = await identity.register_instance(registration(FIRST))
    assert made == identity_pb2.Instance(
        id=FIRST, host="h", boot_id="b", pid=7, started_at=at(NOON), heartbeat_at=at(NOON)
    )
    clock.time += timedelta(seconds=10)
    beaten = await identity.heartbeat_instance(identity_pb2.HeartbeatInstanceRequest(id=FIRST))
    assert (beaten.started_at, beaten.heartbeat_at) == (at(NOON), at(clock.time))
    assert await listed(identity) == [beaten]
    for _ in range(2):  # a repeat changes nothing
        await identity.remove_instance(identity_pb2.RemoveInstanceRequest(id=FIRST))
        assert await listed(identity) == []


async def test_instances_are_listed_the_oldest_first(identity, clock: Clock) -> None:
    await identity.register_instance(registration(SECOND))
    clock.time += timedelta(seconds=1)
    await identity.register_instance(registration(FIRST))
    assert [instance.id for instance in await listed(identity)] == [SECOND, FIRST]


async def test_a_repeated_registration_records_the_instance_anew(identity, clock: Clock) -> None:
    await identity.register_instance(registration(FIRST))
    clock.time += timedelta(seconds=5)
    again = await identity.register_instance(registration(FIRST, pid=8))
    assert (again.pid, again.heartbeat_at) == (8, at(clock.time))
    assert await listed(identity) == [again]


async def test_an_instance_that_was_taken_for_dead_cannot_beat(identity) -> None:
    with pytest.raises(InstanceNotFoundError, match="start autovibe again"):
        await identity.heartbeat_instance(identity_pb2.HeartbeatInstanceRequest(id=FIRST))


async def test_a_token_authenticates_its_owner(identity, operations: Operations) -> None:
    issued = await identity.issue_token(
        identity_pb2.IssueTokenRequest(name="ci", scopes=["tasks.read", "*", "tasks.read"])
    )
    found = await identity.authenticate_token(
        identity_pb2.AuthenticateTokenRequest(token=issued.token)
    )
    assert found == identity_pb2.AuthenticateTokenResponse(
        token_id=issued.token_id, name="ci", scopes=["*", "tasks.read"], note_use=True
    )
    actor = await token_authenticator(operations)(issued.token)
    assert (actor.type, actor.id, actor.scopes) == ("user", issued.token_id, {"*", "tasks.read"})


async def test_only_the_hash_of_a_token_is_kept(identity, db: Database) -> None:
    issued = await identity.issue_token(identity_pb2.IssueTokenRequest(name="a", scopes=["*"]))
    other = await identity.issue_token(identity_pb2.IssueTokenRequest(name="b", scopes=["*"]))
    assert issued.token != other.token
    assert len(issued.token) == len("avt_") + 43  # 256 bits in base64
    digest = hashlib.sha256(issued.token.encode()).hexdigest()
    async with db.read() as tx:
        tokens = (await tx.session.execute(text("SELECT * FROM api_tokens"))).mappings().all()
        trail = (await tx.session.execute(text("SELECT * FROM audit_log"))).mappings().all()
    assert digest in {row["token_hash"] for row in tokens}
    assert issued.token not in str(tokens) + str(trail)


async def test_a_revoked_token_opens_nothing(identity, operations: Operations) -> None:
    issued = await identity.issue_token(identity_pb2.IssueTokenRequest(name="a", scopes=["*"]))
    authenticate = token_authenticator(operations)
    await authenticate(issued.token)
    for _ in range(2):  # a repeat changes nothing
        await identity.revoke_token(identity_pb2.RevokeTokenRequest(token_id=issued.token_id))
        with pytest.raises(UnauthenticatedError):
            await authenticate(issued.token)


async def test_the_time_of_the_first_revocation_stays(identity, clock: Clock, db) -> None:
    issued = await identity.issue_token(identity_pb2.IssueTokenRequest(name="a", scopes=["*"]))
    request = identity_pb2.RevokeTokenRequest(token_id=issued.token_id)
    await identity.revoke_token(request)
    async with db.read() as tx:
        first = (await tx.session.execute(text("SELECT revoked_at FROM api_tokens"))).scalar_one()
    clock.time += timedelta(hours=1)
    await identity.revoke_token(request)
    async with db.read() as tx:
        assert (
            await tx.session.execute(text("SELECT revoked_at FROM api_tokens"))
        ).scalar_one() == first


async def test_a_token_ends_at_its_time_to_the_second(identity, clock: Clock) -> None:
    end = NOON + timedelta(hours=1)
    issued = await identity.issue_token(
        identity_pb2.IssueTokenRequest(name="a", scopes=["*"], expires_at=at(end))
    )
    request = identity_pb2.AuthenticateTokenRequest(token=issued.token)
    clock.time = end - timedelta(seconds=1)
    await identity.authenticate_token(request)
    clock.time = end
    with pytest.raises(UnauthenticatedError):
        await identity.authenticate_token(request)


async def test_unknown_revoked_and_expired_are_said_alike(identity, clock: Clock) -> None:
    end = NOON + timedelta(hours=1)
    expired = await identity.issue_token(
        identity_pb2.IssueTokenRequest(name="a", scopes=["*"], expires_at=at(end))
    )
    revoked = await identity.issue_token(identity_pb2.IssueTokenRequest(name="b", scopes=["*"]))
    await identity.revoke_token(identity_pb2.RevokeTokenRequest(token_id=revoked.token_id))
    clock.time = end
    said = set()
    for token in (expired.token, revoked.token, "avt_unknown"):
        with pytest.raises(UnauthenticatedError) as caught:
            await identity.authenticate_token(identity_pb2.AuthenticateTokenRequest(token=token))
        said.add(caught.value.message)
    assert len(said) == 1


@pytest.mark.parametrize("token", ["", "x" * 201, "a\0b"])
async def test_what_can_be_no_token_is_unauthenticated(operations: Operations, token: str) -> None:
    with pytest.raises(UnauthenticatedError):
        await token_authenticator(operations)(token)


@pytest.mark.parametrize("scope", ["", "**", "Tasks.read", "tasks.read.all", "tasks read", "."])
async def test_a_malformed_scope_is_refused(identity, scope: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is not a scope"):
        await identity.issue_token(
            identity_pb2.IssueTokenRequest(name="a", scopes=["tasks.read", scope])
        )


async def test_a_token_that_has_expired_already_is_not_made(identity) -> None:
    with pytest.raises(InvalidArgumentError, match="expired already"):
        await identity.issue_token(
            identity_pb2.IssueTokenRequest(name="a", scopes=["*"], expires_at=at(NOON))
        )


async def test_an_unknown_token_cannot_be_revoked(identity) -> None:
    with pytest.raises(TokenNotFoundError):
        await identity.revoke_token(identity_pb2.RevokeTokenRequest(token_id=FIRST))
