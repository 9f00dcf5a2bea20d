"""`autovibe status`: the machines that run."""

from __future__ import annotations

from collections.abc import Sequence

import click

from autovibe.cli.client.command import json_option, limit_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.paging import collect, more
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import moment, short, table
from autovibe.v1 import checkpoints_pb2


@click.command(epilog="Example: autovibe status --project website")
@click.option("--project", "project_name", default="", help="Only of this project (name or id).")
@limit_option
@json_option
def status(project_name: str, limit: int, *, as_json: bool) -> None:
    """Show the machines that run now, and how old their newest checkpoints are."""

    async def body(connection: Connection) -> tuple[list[checkpoints_pb2.RunningMachine], str]:
        async def fetch(
            size: int, token: str
        ) -> tuple[Sequence[checkpoints_pb2.RunningMachine], str]:
            answer = await connection.services.checkpoints.list_running_machines(
                checkpoints_pb2.ListRunningMachinesRequest(
                    project=project_name, page_size=size, page_token=token
                )
            )
            return answer.machines, answer.next_page_token

        return await collect(fetch, limit)

    found, token = with_connection(body)
    if as_json:
        print_json({"machines": [to_document(one) for one in found], "next_page_token": token})
        return
    if not found:
        print_notes(["No machine runs."])
        return
    rows = [
        (
            one.project_name,
            short(one.machine_id),
            one.machine_type,
            one.status,
            moment(one.spawned_at),
            moment(one.last_checkpoint_at) if one.last_checkpoint_id else "none yet",
            one.current_progress,
        )
        for one in found
    ]
    headers = (
        "PROJECT",
        "MACHINE",
        "AGENT",
        "STATUS",
        "STARTED (UTC)",
        "CHECKPOINT (UTC)",
        "PROGRESS",
    )
    print_lines(table(headers, rows))
    print_notes(more(token))
