"""`autovibe worker`: the commands that any client has; `start` and `invite` are loaded by name."""

from __future__ import annotations

from collections.abc import Sequence

import click

from autovibe.cli import lazy
from autovibe.cli.client.command import json_option, limit_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.paging import collect, more
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import moment, pairs, short, table
from autovibe.v1 import queue_pb2, work_pb2

_TYPES = ("feature", "bugfix", "test", "docs", "refactor", "review")


@click.group(epilog="Example: autovibe worker start --slots 2")
def worker() -> None:
    """Do tasks for a server, in a process of their own, and see who does."""


@worker.command(
    epilog="Example: autovibe worker start --type feature --capability python:expert --slots 2"
)
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
@click.option(
    "--type",
    "worker_type",
    type=click.Choice(_TYPES),
    default="feature",
    show_default=True,
    help="Kind of worker; tasks that name no kind go to any.",
)
@click.option(
    "--capability",
    "capabilities",
    multiple=True,
    metavar="NAME[:LEVEL]",
    help="What it can do: beginner, intermediate (when not said), advanced or expert.",
)
@click.option("--name", default="", help="Name of the worker; else one of its own is made.")
@click.option(
    "--grace",
    type=click.IntRange(0, 86_400),
    default=0,
    show_default=True,
    help="Seconds that tasks may go on after SIGTERM before they are paused.",
)
@click.option(
    "--fingerprint",
    default="",
    help="SHA-256 of the server's certificate, as `autovibe worker invite` prints it; needed once.",
)
@json_option
def start(
    *,
    target: str,
    slots: int,
    worker_type: str,
    capabilities: Sequence[str],
    name: str,
    grace: int,
    fingerprint: str,
    as_json: bool,
) -> int:
    """Claim tasks and do them until a signal ends it or it is drained; then pause what runs.

    It needs no database. In the server's home it shares the checkpoint store; anywhere else
    checkpoints are carried over the connection.
    """
    run = lazy.load("autovibe.cli.local.worker:start_worker")
    status: int = run(
        target=target,
        fingerprint=fingerprint,
        slots=slots,
        worker_type=worker_type,
        capabilities=tuple(capabilities),
        name=name,
        grace_s=grace,
        as_json=as_json,
    )
    return status


@worker.command(epilog="Example: autovibe worker invite --name builder --days 90")
@click.option("--name", default="worker", show_default=True, help="What the token is called.")
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=365,
    show_default=True,
    help="How long the token is valid.",
)
@json_option
def invite(name: str, days: int, *, as_json: bool) -> None:
    """Make a token for workers on other hosts, and print how they are started.

    Needs the database; the server must listen for them (`autovibe up --worker-host`).
    """
    lazy.load("autovibe.cli.local.worker:invite_worker")(name=name, days=days, as_json=as_json)


@worker.command("list", epilog="Example: autovibe worker list --all")
@click.option("--all", "everyone", is_flag=True, help="Those that are offline, too.")
@limit_option
@json_option
def list_(limit: int, *, everyone: bool, as_json: bool) -> None:
    """List workers, the newest first."""
    statuses = () if everyone else ("idle", "busy", "error")

    async def body(connection: Connection) -> tuple[list[work_pb2.Worker], str]:
        async def fetch(size: int, token: str) -> tuple[Sequence[work_pb2.Worker], str]:
            answer = await connection.services.queue.list_workers(
                queue_pb2.ListWorkersRequest(statuses=statuses, page_size=size, page_token=token)
            )
            return answer.workers, answer.next_page_token

        return await collect(fetch, limit)

    found, token = with_connection(body)
    if as_json:
        print_json({"workers": [to_document(one) for one in found], "next_page_token": token})
        return
    if not found:
        print_notes(
            ["No worker is there; start one with `autovibe up` or `autovibe worker start`."]
        )
        return
    rows = [
        (
            short(one.id),
            one.name,
            _status(one),
            one.worker_type,
            str(one.max_concurrent_tasks),
            moment(one.last_heartbeat_at),
            " ".join(one.capability_levels),
        )
        for one in found
    ]
    print_lines(
        table(("WORKER", "NAME", "STATUS", "TYPE", "SLOTS", "HEARD (UTC)", "CAPABILITIES"), rows)
    )
    print_notes(more(token))


@worker.command(epilog="Example: autovibe worker show 1a2b3c4d")
@click.argument("worker_id", metavar="WORKER")
@json_option
def show(worker_id: str, *, as_json: bool) -> None:
    """Show one worker."""

    async def body(connection: Connection) -> work_pb2.Worker:
        return await connection.services.queue.get_worker(
            queue_pb2.GetWorkerRequest(worker_id=worker_id)
        )

    _print(with_connection(body), as_json=as_json)


@worker.command(epilog="Example: autovibe worker drain 1a2b3c4d")
@click.argument("worker_id", metavar="WORKER")
@json_option
def drain(worker_id: str, *, as_json: bool) -> None:
    """Let a worker end what it does and claim nothing more; then its process ends."""

    async def body(connection: Connection) -> work_pb2.Worker:
        return await connection.services.queue.drain_worker(
            queue_pb2.DrainWorkerRequest(worker_id=worker_id)
        )

    _print(with_connection(body), as_json=as_json)


def _print(one: work_pb2.Worker, *, as_json: bool) -> None:
    if as_json:
        print_json(to_document(one))
        return
    print_lines(
        pairs(
            [
                ("worker", one.id),
                ("name", one.name),
                ("status", _status(one)),
                ("type", one.worker_type),
                ("slots", str(one.max_concurrent_tasks)),
                ("capabilities", " ".join(one.capability_levels)),
                ("agents", " ".join(one.traits.machine_types) or "any"),
                ("isolations", " ".join(one.traits.isolations) or "any"),
                ("host", one.traits.host),
                ("version", one.version),
                ("heard", f"{moment(one.last_heartbeat_at)} UTC"),
                ("registered", f"{moment(one.created_at)} UTC"),
            ]
        )
    )


def _status(one: work_pb2.Worker) -> str:
    return f"{one.status} (draining)" if one.traits.draining else one.status
