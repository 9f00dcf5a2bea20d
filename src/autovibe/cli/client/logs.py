"""`autovibe logs`."""

from __future__ import annotations

import sys

import click

from autovibe.cli.client.command import with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.following import follow, poll_s, read_to_end
from autovibe.cli.document import to_document
from autovibe.cli.events import event_lines
from autovibe.cli.options import output_options
from autovibe.cli.output import print_json, print_json_line, write
from autovibe.cli.render import moment
from autovibe.v1 import work_pb2


@click.command(epilog="Example: autovibe logs 1a2b3c4d -f")
@click.argument("task_id", metavar="TASK")
@click.option("-f", "--follow", "following", is_flag=True, help="Go on until the task has ended.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document; with -f one on each line."
)
@output_options
def logs(task_id: str, *, following: bool, as_json: bool) -> None:
    """Show what was logged for a task.

    Control characters are escaped, whatever the agent printed. With -f a lost connection is taken
    up again where it was.
    """

    async def body(connection: Connection) -> list[work_pb2.LogEntry]:
        work = connection.services.work
        found = await work.get_task(work_pb2.GetTaskRequest(task_id=task_id))
        if following:
            show = _print_json_entry if as_json else print_entry
            await follow(work, found.id, show, poll_s=poll_s(connection))
            return []
        entries: list[work_pb2.LogEntry] = []
        await read_to_end(work, found.id, entries.append if as_json else print_entry)
        return entries

    entries = with_connection(body)
    if as_json and not following:
        print_json({"entries": [to_document(entry) for entry in entries]})


def print_entry(entry: work_pb2.LogEntry) -> None:
    """Print one line of a log whole."""
    at = moment(entry.logged_at)[11:]
    for line in event_lines(entry, whole=True):
        write(f"{at} {line.plain()}", sys.stdout)


def _print_json_entry(entry: work_pb2.LogEntry) -> None:
    print_json_line(to_document(entry))
