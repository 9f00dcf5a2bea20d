"""`autovibe up`: the control plane as a server."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from autovibe.app.budget_gauges import BudgetGauges
from autovibe.app.compose import ControlPlane, open_control_plane
from autovibe.app.pinning import server_certificate
from autovibe.db.bell_redis import redis_bells
from autovibe.db.listening import hearing_bells
from autovibe.domains.identity import has_admin
from autovibe.domains.work.enqueuing import DEFAULT_QUEUE
from autovibe.kernel.settings import Settings
from autovibe.operations import token_authenticator
from autovibe.skins.errors import ExposedError
from autovibe.skins.grpc import serve_grpc
from autovibe.skins.listening import check_tls_files
from autovibe.skins.rest import serve_rest
from autovibe.skins.rest.limits import RateLimit
from autovibe.v1 import identity_pb2

_LOOPBACK: Final = "127.0.0.1"
SLOTS: Final = 4
"""How many tasks a server works on itself, if it is not told another number."""


async def serve(settings: Settings, slots: int = SLOTS) -> None:
    """Serve REST and gRPC and work on queued orders until cancelled.

    With 0 slots it leaves all orders to workers in other processes.

    Raises:
        PortTakenError: another program listens on one of the ports.
        ExposedError: others could reach it, without users or without TLS.
        AutovibeError: the control plane cannot be opened.
    """
    async with open_control_plane(settings) as plane, contextlib.AsyncExitStack() as stack:
        await refuse_exposure(plane)
        authenticate = token_authenticator(plane.operations)
        serving = settings.serving
        tls = _tls_files(settings)
        per_minute = serving.requests_per_minute
        rest = await stack.enter_async_context(
            serve_rest(
                plane.operations,
                authenticate,
                settings.host,
                settings.http_port,
                allowed_hosts=serving.allowed_hosts,
                allowed_origins=serving.allowed_origins,
                rate_limit=RateLimit(per_minute, plane.clock) if per_minute else None,
                tls=tls,
                metrics=plane.database.metrics.render,
            )
        )
        grpc = await stack.enter_async_context(
            serve_grpc(
                plane.operations,
                authenticate,
                settings.host,
                settings.grpc_port,
                credentials=(tls[1].read_bytes(), tls[0].read_bytes()) if tls else None,
            )
        )
        if tls:  # processes of this host need no certificate: they come from the loopback
            grpc = await stack.enter_async_context(
                serve_grpc(plane.operations, authenticate, _LOOPBACK, 0)
            )
        if settings.worker_host:
            shown = server_certificate(settings.tls_path)
            await stack.enter_async_context(
                serve_grpc(
                    plane.operations,
                    authenticate,
                    settings.worker_host,
                    settings.worker_port,
                    credentials=(shown.key, shown.certificate),
                )
            )
        await stack.enter_async_context(_announced(plane, rest.url, grpc.target))
        await stack.enter_async_context(plane.recovery.served())
        await stack.enter_async_context(plane.scheduler.served())
        gauges = BudgetGauges(plane.services, plane.database.metrics.registry)
        await stack.enter_async_context(gauges.served())
        await stack.enter_async_context(hearing_bells(plane.database))
        if settings.queue.url:
            await stack.enter_async_context(
                redis_bells(settings.queue.url, plane.database.bells, (DEFAULT_QUEUE,))
            )
        if slots:
            worker = await plane.worker(slots)
            await worker.serve()
        await asyncio.Event().wait()


async def refuse_exposure(plane: ControlPlane) -> None:
    """Refuse to be reached from elsewhere where nobody has to log in, or nothing is encrypted.

    Raises:
        ExposedError: with what to do.
    """
    settings = plane.settings
    if _is_loopback(settings.host):
        return
    if settings.serving.tls_certificate is None:
        raise ExposedError(
            f"On {settings.host} others could read every token: set tls_certificate and tls_key in "
            "[up] of config.toml, or listen on 127.0.0.1.",
            host=settings.host,
        )
    async with plane.database.read() as tx:
        if not await has_admin(tx):
            raise ExposedError(
                f"On {settings.host} others could reach the server, and it has no users: make an "
                "admin with `autovibe user add NAME --email ADDRESS --role admin`, or listen on "
                "127.0.0.1.",
                host=settings.host,
            )


def _is_loopback(host: str) -> bool:
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address)).is_loopback for address in found)


def _tls_files(settings: Settings) -> tuple[Path, Path] | None:
    serving = settings.serving
    if serving.tls_certificate is None or serving.tls_key is None:
        return None
    check_tls_files(serving.tls_certificate, serving.tls_key)
    return serving.tls_certificate, serving.tls_key


@contextlib.asynccontextmanager
async def _announced(plane: ControlPlane, url: str, grpc_target: str) -> AsyncGenerator[None]:
    """Leave the token and the address where the commands of this home find them."""
    settings = plane.settings
    issued = await plane.services.identity.issue_token(
        identity_pb2.IssueTokenRequest(name="owner", scopes=["*"])
    )
    _write_private(settings.token_file, issued.token)
    told = {
        "url": url,
        "grpc": grpc_target,
        "instance_id": str(plane.instance_id),
        "pid": os.getpid(),
        "certificate": str(settings.serving.tls_certificate or ""),
    }
    _write_private(settings.server_file, json.dumps(told))
    try:
        yield
    finally:
        settings.server_file.unlink(missing_ok=True)
        settings.token_file.unlink(missing_ok=True)
        with contextlib.suppress(asyncio.CancelledError):
            await plane.services.identity.revoke_token(
                identity_pb2.RevokeTokenRequest(token_id=issued.token_id)
            )


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, at once or not at all."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)
