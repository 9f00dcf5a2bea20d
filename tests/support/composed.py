"""A real control plane, joined as `autovibe up` joins it, behind both skins and with clients."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from autovibe.app.compose import ControlPlane, open_control_plane
from autovibe.kernel.settings import load_settings
from autovibe.operations import token_authenticator
from autovibe.sdk.grpc_remote import connect_grpc
from autovibe.sdk.remote import connect_http
from autovibe.sdk.services import Services
from autovibe.skins.grpc import GrpcServer, serve_grpc
from autovibe.skins.rest import RestServer, serve_rest
from autovibe.v1 import identity_pb2


@dataclass(frozen=True)
class Composed:
    """The parts, and every way to reach them."""

    plane: ControlPlane
    rest: RestServer
    grpc: GrpcServer
    token: str
    http: Services
    rpc: Services

    @property
    def local(self) -> Services:
        """The local twin."""
        return self.plane.services


@contextlib.asynccontextmanager
async def composed(home: Path) -> AsyncGenerator[Composed]:
    """Open a control plane in a home of its own. No worker runs: orders stay in their queue."""
    environment = {"AUTOVIBE_HOME": str(home / ".autovibe"), "HOME": str(home)}
    settings = load_settings(environment | {"AUTOVIBE_PEOPLE_BCRYPT_COST": "4"})
    async with open_control_plane(settings) as plane:
        issued = await plane.services.identity.issue_token(
            identity_pb2.IssueTokenRequest(name="owner", scopes=["*"])
        )
        authenticate = token_authenticator(plane.operations)
        async with (
            serve_rest(plane.operations, authenticate, "127.0.0.1", 0) as rest,
            serve_grpc(plane.operations, authenticate, "127.0.0.1", 0) as grpc,
            connect_http(rest.url, issued.token) as http,
            connect_grpc(grpc.target, issued.token) as rpc,
        ):
            yield Composed(plane, rest, grpc, issued.token, http, rpc)
