"""`autovibe call`."""

from __future__ import annotations

import uuid

import click

from autovibe.cli.client.command import json_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines
from autovibe.cli.render import moment, pairs, short
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import model_calls_pb2


@click.command(epilog="Example: autovibe call 019ae0c0-1111-7000-8000-000000000000")
@click.argument("request_id", metavar="ID")
@json_option
def call(request_id: str, *, as_json: bool) -> None:
    """Show what was asked of a model and what it answered.

    ID is the request-id of the answer, which the task's log tells too. Calls are kept where the
    project says so: `autovibe project models set PROJECT --keep-bodies`.
    """
    try:
        whole = str(uuid.UUID(request_id))
    except ValueError:
        raise InvalidArgumentError(
            f"{request_id!r} is no id of a call; take the whole request-id from the task's log."
        ) from None

    async def body(connection: Connection) -> model_calls_pb2.ModelCall:
        return await connection.services.work.get_model_call(
            model_calls_pb2.GetModelCallRequest(request_id=whole)
        )

    found = with_connection(body)
    if as_json:
        print_json(to_document(found))
        return
    print_lines(
        pairs(
            [
                ("call", found.request_id),
                ("model", found.model),
                ("status", f"{found.status} ({found.upstream_status})"),
                ("cost", f"{found.cost_cad or '0.00'} CAD"),
                ("tokens", str(found.tokens_used)),
                ("took", f"{found.duration_ms} ms"),
                ("execution", short(found.execution_id)),
                ("when", f"{moment(found.created_at)} UTC"),
                ("kept", "the beginnings" if found.shortened else "all of it"),
            ]
        )
    )
    print_lines(["", "asked:", *found.request.split("\n")])
    print_lines(["", "answered:", *found.response.split("\n")])
