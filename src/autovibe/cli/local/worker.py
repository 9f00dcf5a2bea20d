"""`autovibe worker`."""

from __future__ import annotations

import ipaddress
import signal

import click

from autovibe.app.worker import open_worker
from autovibe.cli.client.command import json_option
from autovibe.cli.client.connection import find_server, token_of
from autovibe.cli.errors import InterruptedByUserError
from autovibe.cli.output import print_json_line, print_notes
from autovibe.cli.signals import Interrupts, run_with_interrupts
from autovibe.kernel.errors import EXIT_OK, InvalidArgumentError, UnavailableError
from autovibe.kernel.settings import Settings, load_settings


@click.group(epilog="Example: autovibe worker start --slots 2")
def worker() -> None:
    """Do tasks for a server, in a process of their own."""


@worker.command(epilog="Example: autovibe worker start --slots 2 --server 127.0.0.1:8421")
@click.option(
    "--server",
    "target",
    default="",
    help="The server's gRPC address, HOST:PORT; else the one that lives in this home.",
)
@click.option(
    "--slots",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="How many tasks it works on at once.",
)
@json_option
def start(target: str, slots: int, *, as_json: bool) -> int:
    """Claim tasks and do them until a signal ends it; then pause what runs.

    It shares the home, and so the checkpoint store, with the server, and needs no database.
    """
    settings = load_settings()
    target = _checked(target or _own_server(settings))
    token = token_of(settings, target)
    received: list[signal.Signals | None] = []

    async def body(interrupts: Interrupts) -> None:
        try:
            async with open_worker(settings, target, token, slots) as opened:
                if as_json:
                    print_json_line({"worker_id": opened.worker_id, "server": target})
                else:
                    print_notes(
                        [f"Worker {opened.worker_id} does tasks of {target}. Ctrl-C stops it."]
                    )
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


def _checked(target: str) -> str:
    """Return the address if it is on this host: nothing is encrypted yet between hosts."""
    host, separator, port = target.rpartition(":")
    if not separator or not port.isdecimal():
        raise InvalidArgumentError(
            f"{target!r} is no address; write HOST:PORT, as in 127.0.0.1:8421.", field="server"
        )
    try:
        local = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        local = False
    if not local:
        raise InvalidArgumentError(
            f"{target} is not on this host; workers reach servers on loopback addresses only.",
            field="server",
        )
    return target
