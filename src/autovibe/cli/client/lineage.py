"""`autovibe checkpoint path` and `autovibe checkpoint log`: how files came to be as they are."""

from __future__ import annotations

from collections.abc import Sequence

import click

from autovibe.cli.client.command import json_option, limit_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.paging import collect, more
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import cad, moment, short, table
from autovibe.v1 import checkpoints_pb2, metering_pb2


@click.command(epilog="Example: autovibe checkpoint path 1a2b3c4d 5e6f7a8b")
@click.argument("first_id", metavar="FROM")
@click.argument("last_id", metavar="TO")
@json_option
def path(first_id: str, last_id: str, *, as_json: bool) -> None:
    """Show the checkpoints between two: up to where they part, then down."""

    async def body(connection: Connection) -> checkpoints_pb2.CheckpointPath:
        return await connection.services.checkpoints.get_checkpoint_path(
            checkpoints_pb2.GetCheckpointPathRequest(
                checkpoint_id=first_id, to_checkpoint_id=last_id
            )
        )

    found = with_connection(body)
    if as_json:
        print_json(to_document(found))
        return
    if not found.nodes:
        print_notes(["They come from different imports and share no checkpoint."])
        return
    rows = [
        (
            short(node.id),
            node.checkpoint_type,
            node.verification_status,
            moment(node.created_at),
            "both come from it" if node.id == found.common_ancestor_id else "",
        )
        for node in found.nodes
    ]
    print_lines(table(("CHECKPOINT", "TYPE", "STATUS", "CREATED (UTC)", ""), rows))


@click.command(epilog="Example: autovibe checkpoint log src/app.py --project website")
@click.argument("file_path", metavar="PATH")
@click.option("--project", "project_name", required=True, help="The project (name or id).")
@click.option("--home", is_flag=True, help="In the agent's home instead of the workspace.")
@limit_option
@json_option
def log(file_path: str, project_name: str, limit: int, *, home: bool, as_json: bool) -> None:
    """List the checkpoints that changed a file, by which agent, and what that cost."""

    async def body(connection: Connection) -> tuple[list[metering_pb2.PathChange], str]:
        async def fetch(size: int, token: str) -> tuple[Sequence[metering_pb2.PathChange], str]:
            answer = await connection.services.metering.list_path_history(
                metering_pb2.ListPathHistoryRequest(
                    project=project_name,
                    path=file_path.rstrip("/"),
                    home=home,
                    page_size=size,
                    page_token=token,
                )
            )
            return answer.changes, answer.next_page_token

        return await collect(fetch, limit)

    found, token = with_connection(body)
    if as_json:
        print_json({"changes": [to_document(one) for one in found], "next_page_token": token})
        return
    if not found:
        print_notes([f"No checkpoint of {project_name} changed {file_path}."])
        return
    rows = [
        (
            short(one.checkpoint_id),
            one.checkpoint_type,
            "deleted" if one.deleted else "changed",
            moment(one.created_at),
            one.machine_type or "import",
            short(one.machine_id),
            cad(one.cost_cad) if one.cost_cad else "",
        )
        for one in found
    ]
    headers = ("CHECKPOINT", "TYPE", "CHANGE", "CREATED (UTC)", "BY", "MACHINE", "CAD")
    print_lines(table(headers, rows, right="CAD"))
    print_notes(more(token))
