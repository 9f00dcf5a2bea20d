"""A server of stubs and of real services on SQLite, reached over real sockets."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from google.protobuf.message import Message
from stubs import Stub, all_stubs, authenticate

from autovibe.db import Database
from autovibe.domains.identity.minting import TOKEN_PREFIX
from autovibe.kernel.context import Actor
from autovibe.operations import Operations, Registry, token_authenticator
from autovibe.sdk.contract import Method, methods
from autovibe.sdk.grpc_remote import connect_grpc
from autovibe.sdk.remote import connect_http
from autovibe.sdk.services import Services, build_services
from autovibe.skins.grpc import GrpcServer, serve_grpc
from autovibe.skins.rest import RestServer, serve_rest
from autovibe.v1 import options_pb2

INSTANCE = uuid.UUID(int=1)


@dataclass
class Served:
    """Both skins on one set of operations, and clients of both."""

    operations: Operations
    rest: RestServer
    grpc: GrpcServer
    stubs: dict[str, Stub]
    http: Services
    rpc: Services
    session: aiohttp.ClientSession = field(repr=False)

    async def request(self, verb: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        """Send a plain HTTP request, by default with the token `all`."""
        headers = {"authorization": "Bearer all"} | options.pop("headers", {})
        headers = {name: value for name, value in headers.items() if value is not None}
        return await self.session.request(verb, self.rest.url + path, headers=headers, **options)


@contextlib.asynccontextmanager
async def served(database: Database, **services: Any) -> AsyncGenerator[Served]:
    """Serve stubs, in which services given as WorkService=… take the place of one."""
    stubs = all_stubs()
    given = {f"autovibe.v1.{name}": service for name, service in services.items()}
    operations = Operations(database, Registry({**stubs, **given}), instance_id=INSTANCE)
    real = token_authenticator(operations)

    async def known(token: str) -> Actor:
        """Return the actor of a token of the stubs, or of one that a real service has made."""
        is_real = token.startswith(TOKEN_PREFIX) and "IdentityService" in services
        return await (real if is_real else authenticate)(token)

    async with (
        serve_rest(operations, known, "127.0.0.1", 0, metrics=database.metrics.render) as rest,
        serve_grpc(operations, known, "127.0.0.1", 0) as grpc,
        connect_http(rest.url, "all") as http,
        connect_grpc(grpc.target, "all") as rpc,
        aiohttp.ClientSession() as session,
    ):
        yield Served(operations, rest, grpc, stubs, http, rpc, session)


def call(services: Services, method: Method, request: Message) -> Any:
    """Call a method of services by its descriptor."""
    chosen: dict[str, Any] = {}

    def note(one: Method) -> Any:
        return one.name

    names = build_services(note)
    for attribute in vars(names):
        for name, full in vars(getattr(names, attribute)).items():
            chosen[full] = getattr(getattr(services, attribute), name)
    return chosen[method.name](request)


MACHINE_METHODS = [
    method
    for method in methods().values()
    if method.operation.audience == options_pb2.AUDIENCE_MACHINE
]
"""Those that only a machine's own listener serves: neither skin has them."""
ALL_METHODS = [method for method in methods().values() if method not in MACHINE_METHODS]
