"""`autovibe machine`: machines that run and that have run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from autovibe.cli.client.command import json_option, limit_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.names import project_names
from autovibe.cli.client.paging import collect, more
from autovibe.cli.client.question import can_ask, confirm
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import moment, plural, short, size, table
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import machines_pb2

_STATUSES: Final = ("spawning", "active", "working", "checkpointing", "terminated", "error")


@click.group(epilog="Example: autovibe machine list --project website")
def machine() -> None:
    """List machines, and purge them."""


@machine.command("list", epilog="Example: autovibe machine list --status terminated")
@click.option("--project", "project_name", default="", help="Only of this project (name or id).")
@click.option(
    "--status", "statuses", type=click.Choice(_STATUSES), multiple=True, help="Only in this status."
)
@limit_option
@json_option
def list_machines(project_name: str, statuses: Sequence[str], limit: int, *, as_json: bool) -> None:
    """List machines, the newest first."""

    async def body(
        connection: Connection,
    ) -> tuple[list[machines_pb2.Machine], str, dict[str, str]]:
        async def fetch(wanted: int, token: str) -> tuple[Sequence[machines_pb2.Machine], str]:
            answer = await connection.services.machines.list_machines(
                machines_pb2.ListMachinesRequest(
                    project=project_name, statuses=statuses, page_size=wanted, page_token=token
                )
            )
            return answer.machines, answer.next_page_token

        found, token = await collect(fetch, limit)
        return found, token, {} if as_json else await project_names(connection)

    found, token, names = with_connection(body)
    if as_json:
        print_json({"machines": [to_document(one) for one in found], "next_page_token": token})
        return
    if not found:
        print_notes(["No machine was found."])
        return
    rows = [
        (
            one.id,
            names.get(one.project_id, short(one.project_id)),
            one.machine_type,
            one.status,
            moment(one.spawned_at),
            str(one.checkpoint_count),
        )
        for one in found
    ]
    headers = ("ID", "PROJECT", "AGENT", "STATUS", "STARTED (UTC)", "CHECKPOINTS")
    print_lines([*table(headers, rows, right="CHECKPOINTS"), *more(token)])


@machine.command(epilog="Example: autovibe machine purge ID --yes")
@click.argument("machine_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask: it cannot be undone.")
@click.option("--dry-run", is_flag=True, help="Only tell what would go, or what needs it.")
@json_option
def purge(machine_id: str, *, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Delete a machine that has ended, and all checkpoints that it has made.

    Nothing is deleted when something needs one of them: a project, a task that may go on, or what
    descends from it.
    """
    request = machines_pb2.PurgeMachineRequest(machine_id=machine_id, dry_run=True)

    async def body(connection: Connection) -> machines_pb2.PurgeMachineResponse | None:
        found = await connection.services.checkpoints.purge_machine(request)
        if dry_run:
            return found
        question = f"Delete machine {found.machine_id} and {_what(found)} for good?"
        if not yes and not can_ask():
            raise InvalidArgumentError(f"{question} Say so with --yes.")
        if not yes and not await confirm(question):
            return None
        request.dry_run = False
        return await connection.services.checkpoints.purge_machine(request)

    done = with_connection(body)
    if done is None:
        print_notes(["Nothing was deleted."])
    elif as_json:
        print_json({"dry_run": dry_run, **to_document(done)})
    else:
        would = "would be deleted" if dry_run else "are deleted"
        print_lines([f"Machine {done.machine_id} and {_what(done)} {would}."])


def _what(found: machines_pb2.PurgeMachineResponse) -> str:
    return f"{plural(found.checkpoints, 'checkpoint')} ({size(found.stored_bytes)} stored)"
