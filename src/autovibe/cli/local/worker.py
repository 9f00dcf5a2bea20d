"""What `autovibe worker` needs the server's code for: doing tasks, and inviting other hosts."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
from datetime import timedelta

from autovibe.app.compose import Offer, open_control_plane
from autovibe.app.pinning import pinned_certificate, server_certificate
from autovibe.app.worker import Server, open_worker
from autovibe.cli.client.connection import find_server, token_of
from autovibe.cli.errors import InterruptedByUserError
from autovibe.cli.output import print_json, print_json_line, print_lines, print_notes
from autovibe.cli.signals import Interrupts, run_with_interrupts
from autovibe.kernel.errors import (
    EXIT_OK,
    InvalidArgumentError,
    UnauthenticatedError,
    UnavailableError,
)
from autovibe.kernel.settings import Settings, ensure_home, load_settings
from autovibe.v1 import identity_pb2

_SCOPES = (
    "internal",
    "budgets.read",
    "checkpoints.read",
    "machines.read",
    "projects.read",
    "tasks.read",
    "usage.read",
)
"""What a worker needs, and no more: it cannot create or apply anything of its own accord."""


def start_worker(
    *,
    target: str,
    fingerprint: str,
    slots: int,
    worker_type: str,
    capabilities: tuple[str, ...],
    name: str,
    grace_s: int,
    as_json: bool,
) -> int:
    """Do tasks until a signal ends it, or it is drained."""
    settings = load_settings()
    ensure_home(settings)
    offer = Offer(slots, worker_type, capabilities, name, grace_s=grace_s)
    received: list[signal.Signals | None] = []

    async def body(interrupts: Interrupts) -> None:
        try:
            server = await _server(settings, target or _own_server(settings), fingerprint)
            async with open_worker(settings, server, offer) as opened:
                if as_json:
                    print_json_line({"worker_id": opened.worker_id, "server": server.target})
                else:
                    told = f"Worker {opened.worker_id} does tasks of {server.target}."
                    print_notes([f"{told} Ctrl-C stops it."])
                await opened.serve()
        finally:
            received.append(interrupts.received)

    try:
        run_with_interrupts(body)
    except InterruptedByUserError:
        # As for `autovibe up`: a supervisor's SIGTERM is a good end.
        if received == [signal.SIGTERM]:
            return EXIT_OK
        raise
    return EXIT_OK


def invite_worker(*, name: str, days: int, as_json: bool) -> None:
    """Make a token for workers and print it with what they know the server by."""
    settings = load_settings()

    async def body(_interrupts: Interrupts) -> identity_pb2.IssueTokenResponse:
        async with open_control_plane(settings) as plane:
            request = identity_pb2.IssueTokenRequest(name=name, scopes=_SCOPES)
            request.expires_at.FromDatetime(plane.clock.now() + timedelta(days=days))
            return await plane.services.identity.issue_token(request)

    issued = run_with_interrupts(body)
    fingerprint = server_certificate(settings.tls_path).fingerprint
    if as_json:
        print_json({"token_id": issued.token_id, "token": issued.token, "fingerprint": fingerprint})
        return
    start = f"autovibe worker start --server HOST:PORT --fingerprint {fingerprint}"
    print_lines([f"AUTOVIBE_TOKEN={issued.token} {start}"])
    where = "HOST:PORT is where `autovibe up --worker-host` listens."
    print_notes([f"{where} The token is shown only once; it is valid for {days} days."])


def _own_server(settings: Settings) -> str:
    living = find_server(settings)
    if living is None:
        raise UnavailableError(
            f"No server runs in {settings.home}; start one with `autovibe up`, or name one with "
            "--server."
        )
    if not living.grpc:
        raise UnavailableError(
            f"The server at {living.url} does not say where it takes workers; start it anew."
        )
    return living.grpc


async def _server(settings: Settings, target: str, fingerprint: str) -> Server:
    """Return how a server is reached: plainly on this host, over pinned TLS elsewhere."""
    host, separator, port = target.rpartition(":")
    if not separator or not port.isdecimal() or not host:
        raise InvalidArgumentError(
            f"{target!r} is no address; write HOST:PORT, as in 127.0.0.1:8421.", field="server"
        )
    host = host.strip("[]")
    certificate = None
    if fingerprint or not _is_local(host):
        certificate = await asyncio.to_thread(
            pinned_certificate, settings.pins_file, host, int(port), fingerprint
        )
    return Server(
        target, token_of(settings, target), certificate, lambda: _token_now(settings, target)
    )


def _token_now(settings: Settings, target: str) -> str:
    try:
        return token_of(settings, target)
    except UnauthenticatedError:  # the server has ended, and left none
        return ""


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
