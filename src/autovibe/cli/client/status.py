"""`autovibe status`: the machines that run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import click

from autovibe.cli.client.command import json_option, limit_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.low_budgets import low_budgets, low_line
from autovibe.cli.client.names import project_names
from autovibe.cli.client.paging import collect, more
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import moment, short, table
from autovibe.kernel.paging import MAX_PAGE_SIZE
from autovibe.v1 import approvals_pb2, checkpoints_pb2, metering_pb2


class _Found(NamedTuple):
    """What is shown; `names` are those of projects whose budgets are low."""

    machines: list[checkpoints_pb2.RunningMachine]
    token: str
    waiting: list[approvals_pb2.Approval]
    parked: list[metering_pb2.ParkedProviderKey]
    low: list[metering_pb2.Budget]
    names: dict[str, str]


@click.command(epilog="Example: autovibe status --project website")
@click.option("--project", "project_name", default="", help="Only of this project (name or id).")
@limit_option
@json_option
def status(project_name: str, limit: int, *, as_json: bool) -> None:
    """Show the machines that run now, how old their newest checkpoints are, and what waits.

    It tells of budgets of projects that are nearly used up, too. Calls are parked while the quota
    of a provider's key is used up; those of workers in other processes stand in the logs of their
    tasks.
    """

    async def body(connection: Connection) -> _Found:
        async def fetch(
            size: int, token: str
        ) -> tuple[Sequence[checkpoints_pb2.RunningMachine], str]:
            answer = await connection.services.checkpoints.list_running_machines(
                checkpoints_pb2.ListRunningMachinesRequest(
                    project=project_name, page_size=size, page_token=token
                )
            )
            return answer.machines, answer.next_page_token

        machines, token = await collect(fetch, limit)
        parked = await connection.services.metering.get_parked_calls(
            metering_pb2.GetParkedCallsRequest()
        )
        waiting = await connection.services.approvals.list_approvals(
            approvals_pb2.ListApprovalsRequest(project=project_name, page_size=MAX_PAGE_SIZE)
        )
        low = await low_budgets(connection, project_name)
        names = await project_names(connection) if low and not as_json else {}
        return _Found(machines, token, list(waiting.approvals), list(parked.keys), low, names)

    found, token, waiting, parked, low, names = with_connection(body)
    if as_json:
        print_json(
            {
                "machines": [to_document(one) for one in found],
                "next_page_token": token,
                "waiting": [to_document(one) for one in waiting],
                "parked": [to_document(one) for one in parked],
                "low_budgets": [to_document(one) for one in low],
            }
        )
        return
    if waiting:
        print_notes([f"{_counted(len(waiting))} for a person; see `autovibe inbox`."])
    print_notes([_parked_line(key) for key in parked])
    print_notes([low_line(one, names) for one in low])
    if not found:
        print_notes(["No machine runs."])
        return
    print_lines(_machines(found, {one.machine_id for one in waiting}))
    print_notes(more(token))


def _machines(
    found: Sequence[checkpoints_pb2.RunningMachine], asking: Collection[str]
) -> list[str]:
    """Return the table of machines; those in `asking` have asked a person."""
    rows = [
        (
            one.project_name,
            short(one.machine_id),
            one.machine_type,
            "waits for a person" if one.machine_id in asking else one.status,
            moment(one.spawned_at),
            moment(one.last_checkpoint_at) if one.last_checkpoint_id else "none yet",
            one.current_progress,
        )
        for one in found
    ]
    headers = (
        *("PROJECT", "MACHINE", "AGENT", "STATUS"),
        *("STARTED (UTC)", "CHECKPOINT (UTC)", "PROGRESS"),
    )
    return table(headers, rows)


def _counted(requests: int) -> str:
    return "1 request waits" if requests == 1 else f"{requests} requests wait"


def _parked_line(key: metering_pb2.ParkedProviderKey) -> str:
    calls = sum(project.calls for project in key.projects)
    return (
        f"The quota of the key for {key.upstream} is used up until {moment(key.opens_at)} UTC: "
        f"{calls} calls wait, the oldest for {key.oldest_wait_s} s."
    )
