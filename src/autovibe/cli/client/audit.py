"""`autovibe audit`."""

from __future__ import annotations

import click

from autovibe.cli.client.command import json_option, limit_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.paging import collect, more
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import moment, table
from autovibe.kernel.errors import EXIT_FAILED, EXIT_OK
from autovibe.v1 import audit_pb2


@click.group(epilog="Example: autovibe audit verify")
def audit() -> None:
    """Read, seal and verify the audit trail."""


@audit.command("list", epilog="Example: autovibe audit list --operation CreateTask")
@click.option("--operation", default="", help="Only of this operation.")
@click.option("--actor", default="", help="Only by this user or token, by id.")
@limit_option
@json_option
def list_(operation: str, actor: str, limit: int, *, as_json: bool) -> None:
    """List what was done and refused, the newest first."""

    async def body(connection: Connection) -> tuple[list[audit_pb2.AuditRecord], str]:
        async def fetch(size: int, token: str) -> tuple[list[audit_pb2.AuditRecord], str]:
            answer = await connection.services.audit.list_audit_records(
                audit_pb2.ListAuditRecordsRequest(
                    page_size=size, page_token=token, operation=operation, actor_id=actor
                )
            )
            return list(answer.records), answer.next_page_token

        return await collect(fetch, limit)

    records, token = with_connection(body)
    if as_json:
        print_json({"records": [to_document(one) for one in records], "next_page_token": token})
        return
    rows = [
        (
            moment(one.at),
            one.actor_id,
            one.operation.rpartition("/")[2],
            one.resource_id,
            one.reason or one.outcome,
        )
        for one in records
    ]
    print_lines(table(("TIME (UTC)", "WHO", "WHAT", "ABOUT", "OUTCOME"), rows))
    print_notes(more(token))


@audit.command(epilog="Example: autovibe audit verify")
@json_option
def verify(*, as_json: bool) -> int:
    """Compute the chain of seals again; exit 1 names the first that does not fit."""

    async def body(connection: Connection) -> audit_pb2.VerifyAuditResponse:
        whole = audit_pb2.VerifyAuditResponse(more=True)
        while whole.more:
            part = await connection.services.audit.verify_audit(
                audit_pb2.VerifyAuditRequest(after_seal_id=whole.head.id)
            )
            part.seals += whole.seals
            part.rows += whole.rows
            whole = part
        return whole

    found = with_connection(body, doing="verifying")
    is_whole = not found.HasField("broken")
    if as_json:
        print_json(to_document(found))
    elif is_whole:
        head = f", head {found.head.hash}" if found.HasField("head") else ""
        print_notes([f"{found.seals} seals over {found.rows} rows fit{head}."])
        print_notes([f"{found.unsealed_rows} rows have no seal yet."])
    else:
        print_notes([f"Seal {found.broken.id} does not fit: {found.problem}."])
    return EXIT_OK if is_whole else EXIT_FAILED


@audit.command(epilog="Example: autovibe audit seal")
@json_option
def seal(*, as_json: bool) -> None:
    """Put all rows that have no seal yet under seals."""

    async def body(connection: Connection) -> tuple[int, str]:
        rows, head, is_more = 0, "", True
        while is_more:
            made = await connection.services.audit.seal_audit(audit_pb2.SealAuditRequest())
            rows, head, is_more = rows + made.rows, made.seal.hash or head, made.more
        return rows, head

    rows, head = with_connection(body)
    if as_json:
        print_json({"rows": rows, "head": head})
    else:
        print_notes([f"Sealed {rows} rows." + (f" Head: {head}." if head else "")])
