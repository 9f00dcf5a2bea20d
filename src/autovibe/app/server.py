"""`autovibe up`: the control plane as a server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from autovibe.app.budget_gauges import BudgetGauges
from autovibe.app.compose import ControlPlane, open_control_plane
from autovibe.app.pinning import server_certificate
from autovibe.db.bell_redis import redis_bells
from autovibe.db.listening import hearing_bells
from autovibe.domains.work.enqueuing import DEFAULT_QUEUE
from autovibe.kernel.settings import Settings
from autovibe.operations import token_authenticator
from autovibe.skins.grpc import serve_grpc
from autovibe.skins.rest import serve_rest
from autovibe.v1 import identity_pb2

SLOTS: Final = 4
"""How many tasks a server works on itself, if it is not told another number."""


async def serve(settings: Settings, slots: int = SLOTS) -> None:
    """Serve REST and gRPC and work on queued orders until cancelled.

    With 0 slots it leaves all orders to workers in other processes.

    Raises:
        PortTakenError: another program listens on one of the ports.
        AutovibeError: the control plane cannot be opened.
    """
    async with open_control_plane(settings) as plane, contextlib.AsyncExitStack() as stack:
        authenticate = token_authenticator(plane.operations)
        rest = await stack.enter_async_context(
            serve_rest(
                plane.operations,
                authenticate,
                settings.host,
                settings.http_port,
                metrics=plane.database.metrics.render,
            )
        )
        grpc = await stack.enter_async_context(
            serve_grpc(plane.operations, authenticate, settings.host, settings.grpc_port)
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
