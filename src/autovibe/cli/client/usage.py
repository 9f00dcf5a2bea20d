"""`autovibe usage`."""

from __future__ import annotations

import click

from autovibe.cli.client.budget import whole_task_id
from autovibe.cli.client.command import json_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.names import project_names
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines
from autovibe.cli.render import cad, day, plural, short, table
from autovibe.v1 import metering_pb2


@click.command(epilog="Example: autovibe usage --project website")
@click.option("--project", "project_name", default="", help="Only of this project (name or id).")
@click.option("--task", "task_id", default="", help="Only of this task.")
@json_option
def usage(project_name: str, task_id: str, *, as_json: bool) -> None:
    """Show what was used and what it cost."""

    async def body(connection: Connection) -> tuple[metering_pb2.UsageReport, dict[str, str]]:
        report = await connection.services.metering.get_usage(
            metering_pb2.GetUsageRequest(
                project=project_name, task_id=await whole_task_id(connection, task_id)
            )
        )
        return report, {} if as_json else await project_names(connection)

    report, names = with_connection(body)
    if as_json:
        print_json(to_document(report))
        return
    rows = [
        (
            names.get(line.project_id, short(line.project_id)),
            line.resource_type,
            line.model or line.resource_subtype,
            line.amount,
            line.unit,
            cad(line.cost_cad or "0"),
        )
        for line in report.lines
    ]
    if rows:
        headers = ("PROJECT", "RESOURCE", "MODEL", "AMOUNT", "UNIT", "CAD")
        print_lines([*table(headers, rows, right="AMOUNT CAD"), ""])
    calls = plural(report.api_calls, "model call")
    print_lines([f"{cad(report.cost_cad or '0')} CAD in {calls}."])
    if report.uncertain_calls:
        uncertain = plural(report.uncertain_calls, "call")
        print_lines([f"{uncertain} counted at the full hold: the true cost is not known."])
    if report.HasField("rate"):
        print_lines([rate_text(report.rate)])


def rate_text(rate: metering_pb2.ExchangeRate) -> str:
    """Return an exchange rate with its date, and a warning when it is old (decision B4)."""
    text = f"1 {rate.currency} = {rate.rate_to_cad} CAD ({day(rate.valid_from)})"
    return f"{text}, older than 30 days" if rate.stale else text
