"""Connections from other hosts: encrypted, to the one server that is meant, by who was invited."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from plane import StillClock
from stubs import all_stubs

from autovibe.app.pinning import ServerCertificate, pinned_certificate, server_certificate
from autovibe.db import open_database
from autovibe.domains.identity import IdentityService
from autovibe.kernel.context import ALL_SCOPES, Actor
from autovibe.kernel.errors import (
    AutovibeError,
    Code,
    InvalidArgumentError,
    UnauthenticatedError,
    UnavailableError,
)
from autovibe.operations import Operations, Registry, local_twin, token_authenticator
from autovibe.sdk.grpc_remote import connect_grpc
from autovibe.sdk.remote import connect_http
from autovibe.skins.grpc import serve_grpc
from autovibe.skins.rest import serve_rest
from autovibe.testing.databases import TestDatabases
from autovibe.v1 import identity_pb2, projects_pb2, queue_pb2


@dataclass
class World:
    """A server's operations, its certificate, and a clock."""

    operations: Operations
    clock: StillClock
    shown: ServerCertificate
    directory: Path

    async def token(self) -> str:
        """Return a token of an invited worker, for one day."""
        owner = Actor("system", "owner", ALL_SCOPES)
        services = local_twin(self.operations, lambda: self.operations.context(owner))
        request = identity_pb2.IssueTokenRequest(
            name="w", scopes=["internal", "projects.read", "workers.read"]
        )
        request.expires_at.FromDatetime(self.clock.now() + timedelta(days=1))
        return (await services.identity.issue_token(request)).token


@pytest.fixture
async def world(databases: TestDatabases, tmp_path: Path) -> AsyncGenerator[World]:
    clock = StillClock()
    database = open_database(await databases.sqlite(tmp_path), clock=clock)
    registry = Registry({**all_stubs(), "autovibe.v1.IdentityService": IdentityService()})
    operations = Operations(database, registry, instance_id=uuid.uuid4(), clock=clock)
    yield World(operations, clock, server_certificate(tmp_path / "tls"), tmp_path)
    await database.close()


def served(world: World):
    """Serve gRPC as `autovibe up --worker-host` does."""
    return serve_grpc(
        world.operations,
        token_authenticator(world.operations),
        "127.0.0.1",
        0,
        credentials=(world.shown.key, world.shown.certificate),
    )


def pinned(world: World, port: int, fingerprint: str) -> bytes:
    return pinned_certificate(world.directory / "pins.json", "127.0.0.1", port, fingerprint)


async def test_an_invited_worker_reaches_the_server_that_it_was_told_of(world: World) -> None:
    token = await world.token()
    async with served(world) as server:
        certificate = pinned(world, server.port, world.shown.fingerprint)
        assert certificate == world.shown.certificate
        assert pinned(world, server.port, "") == certificate  # it is known from now on
        async with connect_grpc(server.target, token, certificate=certificate) as services:
            await services.queue.list_workers(queue_pb2.ListWorkersRequest())


async def test_a_server_with_another_certificate_gets_nothing(world: World) -> None:
    other = server_certificate(world.directory / "other")
    async with served(world) as server:
        with pytest.raises(UnauthenticatedError, match="another certificate"):
            pinned(world, server.port, other.fingerprint)
        assert not (world.directory / "pins.json").exists()
        async with connect_grpc(server.target, "t", certificate=other.certificate) as services:
            with pytest.raises(UnavailableError):
                await services.queue.list_workers(queue_pb2.ListWorkersRequest())
    with pytest.raises(UnauthenticatedError, match="--fingerprint"):
        pinned(world, 1, "")


async def test_nothing_goes_unencrypted_to_another_host_nor_to_a_port_with_tls(
    world: World,
) -> None:
    for elsewhere in ("192.0.2.1:8422", "server.example.org:8422", "[2001:db8::1]:8422"):
        with pytest.raises(InvalidArgumentError, match="not be encrypted"):
            async with connect_grpc(elsewhere, "token"):
                pass
    async with served(world) as server, connect_grpc(server.target, "token") as services:
        with pytest.raises(UnavailableError):
            await services.queue.list_workers(queue_pb2.ListWorkersRequest())


async def test_an_invitation_ends(world: World) -> None:
    token = await world.token()
    async with (
        served(world) as server,
        connect_grpc(server.target, token, certificate=world.shown.certificate) as services,
    ):
        await services.queue.list_workers(queue_pb2.ListWorkersRequest())
        world.clock.advance(days=2)
        with pytest.raises(AutovibeError) as caught:
            await services.queue.list_workers(queue_pb2.ListWorkersRequest())
        assert caught.value.code is Code.UNAUTHENTICATED


async def test_rest_over_tls_is_trusted_by_its_own_certificate_only(world: World) -> None:
    token = await world.token()
    files = (world.directory / "tls/server.crt", world.directory / "tls/server.key")
    server_certificate(world.directory / "other")
    async with serve_rest(
        world.operations, token_authenticator(world.operations), "127.0.0.1", 0, tls=files
    ) as server:
        assert server.url.startswith("https://")
        async with connect_http(server.url, token, certificate=files[0]) as services:
            await services.projects.list_projects(projects_pb2.ListProjectsRequest())
        for certificate in (world.directory / "other/server.crt", None):
            async with connect_http(server.url, token, certificate=certificate) as services:
                with pytest.raises(UnavailableError):
                    await services.projects.list_projects(projects_pb2.ListProjectsRequest())
        plain = server.url.replace("https://", "http://")
        async with connect_http(plain, token) as services:
            with pytest.raises(UnavailableError):
                await services.projects.list_projects(projects_pb2.ListProjectsRequest())
