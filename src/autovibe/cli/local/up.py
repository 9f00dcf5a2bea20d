"""`autovibe up`."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace

import click

from autovibe.cli import lazy
from autovibe.cli.client.command import json_option
from autovibe.cli.client.connection import LivingServer, find_server
from autovibe.cli.errors import InterruptedByUserError, ServerRunningError
from autovibe.cli.output import print_json_line, print_notes
from autovibe.cli.signals import Interrupts, run_with_interrupts
from autovibe.kernel.errors import EXIT_OK
from autovibe.kernel.settings import Settings, ensure_home, load_settings

_PORT = click.IntRange(0, 65535)


@click.command(epilog="Example: autovibe up --http-port 8420 --grpc-port 8421")
@click.option("--host", default=None, help="Address to listen on (127.0.0.1 when not set).")
@click.option("--http-port", type=_PORT, default=None, help="Port of REST (8420 when not set).")
@click.option("--grpc-port", type=_PORT, default=None, help="Port of gRPC (8421 when not set).")
@click.option(
    "--worker-host",
    default=None,
    help="Address on which workers of other hosts are served over TLS (none when not set).",
)
@click.option("--worker-port", type=_PORT, default=None, help="Port for them (8422 when not set).")
@click.option(
    "--slots",
    type=click.IntRange(0, 1000),
    default=4,
    show_default=True,
    help="How many tasks it works on itself; 0 leaves them to `autovibe worker`.",
)
@json_option
def up(
    *,
    host: str | None,
    http_port: int | None,
    grpc_port: int | None,
    worker_host: str | None,
    worker_port: int | None,
    slots: int,
    as_json: bool,
) -> int:
    """Serve the control plane on this host until a signal ends it.

    Every command of the same AUTOVIBE_HOME is its client while it lives. With --json one line is
    printed when it serves.
    """
    settings = load_settings()
    settings = replace(
        settings,
        host=settings.host if host is None else host,
        http_port=settings.http_port if http_port is None else http_port,
        grpc_port=settings.grpc_port if grpc_port is None else grpc_port,
        worker_host=settings.worker_host if worker_host is None else worker_host,
        worker_port=settings.worker_port if worker_port is None else worker_port,
    )
    ensure_home(settings)
    living = find_server(settings)
    if living is not None:
        raise ServerRunningError(
            f"A server of {settings.home} runs already at {living.url} (process {living.pid}); "
            "stop it first, or set another AUTOVIBE_HOME.",
            url=living.url,
            pid=living.pid,
        )
    received: list[signal.Signals | None] = []

    async def body(interrupts: Interrupts) -> None:
        try:
            await serve_and_tell(settings, slots, as_json=as_json)
        finally:
            received.append(interrupts.received)

    try:
        run_with_interrupts(body)
    except InterruptedByUserError:
        # A supervisor that stops its service by SIGTERM asked for a good end, and got one.
        if received == [signal.SIGTERM]:
            return EXIT_OK
        raise
    return EXIT_OK


async def serve_and_tell(settings: Settings, slots: int, *, as_json: bool) -> None:
    """Serve until cancelled, and say where once it serves."""
    serving = asyncio.create_task(lazy.serve(settings, slots), name="serve")
    telling = asyncio.create_task(_tell(settings, as_json=as_json), name="tell")
    try:
        await serving
    finally:
        for task in (telling, serving):
            task.cancel()
        await asyncio.wait([telling, serving])


async def _tell(settings: Settings, *, as_json: bool) -> None:
    server = await _served(settings)
    if as_json:
        print_json_line(
            {
                "url": server.url,
                "docs_url": f"{server.url}/docs",
                "token_file": str(settings.token_file),
                "instance_id": server.instance_id,
                "pid": server.pid,
            }
        )
        return
    print_notes(
        [
            f"autovibe serves at {server.url} (documentation: {server.url}/docs).",
            f"The owner's token is in {settings.token_file}.",
            "Stop it with Ctrl-C.",
        ]
    )


async def _served(settings: Settings) -> LivingServer:
    """Wait until the server has written how to reach it."""
    while True:
        server = find_server(settings)
        if server is not None:
            return server
        await asyncio.sleep(0.05)
