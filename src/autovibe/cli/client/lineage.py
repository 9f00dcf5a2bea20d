"""`autovibe checkpoint path`: the way from one checkpoint to another."""

from __future__ import annotations

import click

from autovibe.cli.client.command import json_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import moment, short, table
from autovibe.v1 import checkpoints_pb2


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
