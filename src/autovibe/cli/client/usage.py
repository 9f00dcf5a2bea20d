"""`autovibe usage`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import click

from autovibe.cli.client.budget import whole_task_id
from autovibe.cli.client.command import json_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.low_budgets import low_budgets, low_line
from autovibe.cli.client.names import project_names
from autovibe.cli.client.paging import PAGE, collect
from autovibe.cli.client.usage_checkpoints import Times, checkpoint_times, checkpoints
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import cad, day, moment, plural, short, table
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import metering_pb2, usage_pb2

_MOST_DAYS: Final = 100_000


@click.group(invoke_without_command=True, epilog="Example: autovibe usage --project website")
@click.option("--project", "project_name", default="", help="Only of this project (name or id).")
@click.option("--task", "task_id", default="", help="Only of this task.")
@click.option(
    "--by", type=click.Choice(["day"]), default=None, help="Sums per day of the last 30 days."
)
@json_option
@click.pass_context
def usage(
    context: click.Context, project_name: str, task_id: str, by: str | None, *, as_json: bool
) -> None:
    """Show what was used and what it cost."""
    if context.invoked_subcommand is not None:
        return
    if by is not None:
        if task_id:
            raise InvalidArgumentError(
                "Days are kept per project; leave out --task or --by.", field="by"
            )
        _show_days(project_name, as_json=as_json)
        return

    async def body(
        connection: Connection,
    ) -> tuple[metering_pb2.UsageReport, Times | None, list[metering_pb2.Budget], dict[str, str]]:
        whole_id = await whole_task_id(connection, task_id)
        report = await connection.services.metering.get_usage(
            metering_pb2.GetUsageRequest(project=project_name, task_id=whole_id)
        )
        times = await checkpoint_times(connection, project_name, task_id)
        low = await low_budgets(connection, project_name, whole_id)
        return report, times, low, {} if as_json else await project_names(connection)

    report, times, low, names = with_connection(body)
    if as_json:
        more = {
            "checkpoint_times": asdict(times) if times else None,
            "low_budgets": [to_document(one) for one in low],
        }
        print_json(to_document(report) | more)
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
        headers = ("PROJECT", "RESOURCE", "KIND", "AMOUNT", "UNIT", "CAD")
        print_lines([*table(headers, rows, right="AMOUNT CAD"), ""])
    calls = plural(report.api_calls, "model call")
    print_lines([f"{cad(report.cost_cad or '0')} CAD in {calls}."])
    if report.uncertain_calls:
        uncertain = plural(report.uncertain_calls, "call")
        print_lines([f"{uncertain} counted at the full hold: the true cost is not known."])
    if times is not None:
        print_lines([times.text])
    if report.HasField("rate"):
        print_lines([rate_text(report.rate)])
    print_lines([low_line(one, names) for one in low])


usage.add_command(checkpoints)


@usage.command(epilog="Example: autovibe usage audit --project website")
@click.option("--project", "project_name", default="", help="Only of this project (name or id).")
@json_option
def audit(project_name: str, *, as_json: bool) -> int:
    """Compare budgets, daily sums, calls and prices with the rows; exit 1 when they differ."""

    async def body(connection: Connection) -> usage_pb2.AuditUsageResponse:
        whole = usage_pb2.AuditUsageResponse()
        request = usage_pb2.AuditUsageRequest(project=project_name, page_size=PAGE)
        while True:
            answer = await connection.services.metering.audit_usage(request)
            request.page_token = answer.next_page_token
            answer.ClearField("next_page_token")
            whole.budgets += answer.budgets
            whole.days += answer.days
            whole.calls += answer.calls
            whole.repriced += answer.repriced
            whole.differences.extend(answer.differences)
            if not request.page_token:
                return whole

    whole = with_connection(body, doing="Comparing")
    if as_json:
        print_json(to_document(whole))
    else:
        print_lines([one.message for one in whole.differences])
        compared = (
            f"{plural(whole.budgets, 'budget')}, {plural(whole.days, 'daily sum')} and "
            f"{plural(whole.calls, 'settled call')}"
        )
        found = plural(len(whole.differences), "difference")
        again = f"{plural(whole.repriced, 'cost')} worked out again from prices and usage"
        print_lines([f"{compared} compared with the rows of usage, {again}: {found}."])
    return 1 if whole.differences else 0


@usage.command(epilog="Example: autovibe usage rebuild --dry-run")
@click.option("--project", "project_name", default="", help="Only of this project (name or id).")
@click.option("--dry-run", is_flag=True, help="Only tell what is missing.")
@json_option
def rebuild(project_name: str, *, dry_run: bool, as_json: bool) -> None:
    """Put back lost rows of model calls, from the ledger and the logs of the executions."""

    async def body(connection: Connection) -> list[usage_pb2.RebuiltCall]:
        async def fetch(size: int, token: str) -> tuple[Sequence[usage_pb2.RebuiltCall], str]:
            answer = await connection.services.metering.rebuild_usage(
                usage_pb2.RebuildUsageRequest(
                    project=project_name, dry_run=dry_run, page_size=size, page_token=token
                )
            )
            return answer.calls, answer.next_page_token

        return (await collect(fetch, sys.maxsize))[0]

    calls = with_connection(body, doing="Rebuilding")
    if as_json:
        print_json({"dry_run": dry_run, "calls": [to_document(one) for one in calls]})
        return
    rows = [
        (
            one.project_name,
            one.reservation_id,
            moment(one.recorded_at),
            one.model,
            str(one.rows),
            cad(one.cost_cad or "0"),
            one.source,
        )
        for one in calls
    ]
    if rows:
        headers = ("PROJECT", "CALL", "TIME (UTC)", "MODEL", "ROWS", "CAD", "FROM")
        print_lines([*table(headers, rows, right="ROWS CAD"), ""])
    number = plural(sum(one.rows for one in calls), "row")
    done = "are missing" if dry_run else "were put back"
    print_lines([f"{number} of {plural(len(calls), 'call')} {done}."])


def _show_days(project_name: str, *, as_json: bool) -> None:
    async def body(connection: Connection) -> list[metering_pb2.DailyUsage]:
        async def fetch(size: int, token: str) -> tuple[Sequence[metering_pb2.DailyUsage], str]:
            answer = await connection.services.metering.list_daily_usage(
                metering_pb2.ListDailyUsageRequest(
                    project=project_name, page_size=size, page_token=token
                )
            )
            return answer.days, answer.next_page_token

        return (await collect(fetch, _MOST_DAYS))[0]

    days = with_connection(body)
    if as_json:
        print_json({"days": [to_document(one) for one in days]})
        return
    if not days:
        print_notes(["Nothing was used in the last 30 days."])
        return
    rows = [
        (
            one.project_name,
            one.usage_date,
            one.resource_type,
            one.amount,
            one.unit,
            cad(one.cost_cad),
        )
        for one in days
    ]
    headers = ("PROJECT", "DAY (UTC)", "RESOURCE", "AMOUNT", "UNIT", "CAD")
    print_lines(table(headers, rows, right="AMOUNT CAD"))


def rate_text(rate: metering_pb2.ExchangeRate) -> str:
    """Return an exchange rate with its date, and a warning when it is old (decision B4)."""
    text = f"1 {rate.currency} = {rate.rate_to_cad} CAD ({day(rate.valid_from)})"
    return f"{text}, older than 30 days" if rate.stale else text
