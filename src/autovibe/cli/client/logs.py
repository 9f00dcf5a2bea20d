"""`autovibe logs`."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import click

from autovibe.cli.client.command import opener, with_connection
from autovibe.cli.client.connection import Connection, connect, server_of
from autovibe.cli.client.following import read_to_end, stream
from autovibe.cli.document import to_document
from autovibe.cli.events import event_lines
from autovibe.cli.options import output_options
from autovibe.cli.output import print_json, print_json_line, write
from autovibe.cli.render import moment
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.settings import load_settings
from autovibe.v1 import work_pb2

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
KINDS: Final = ("output", "agent", "call", "checkpoint", "state", "notice")
EVENTS: Final = (
    "reasoning",
    "message",
    "command",
    "file_edit",
    "tool",
    "tool_result",
    "usage",
    "error",
    "retry",
    "notice",
)
_AGO: Final = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@click.command(epilog="Example: autovibe logs 1a2b3c4d -f --level WARNING")
@click.argument("task_id", metavar="TASK")
@click.option("-f", "--follow", "following", is_flag=True, help="Go on until the task has ended.")
@click.option(
    "--level",
    type=click.Choice(LEVELS, case_sensitive=False),
    default="INFO",
    show_default=True,
    help="The least level; DEBUG shows the raw output of the agent, too.",
)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Only such lines.")
@click.option(
    "--event", "events", multiple=True, type=click.Choice(EVENTS), help="Only such acts of agents."
)
@click.option(
    "--stream",
    "stream_name",
    type=click.Choice(["stdout", "stderr"]),
    help="Only raw output of this stream.",
)
@click.option("--search", default="", metavar="TEXT", help="Only lines that hold this text.")
@click.option(
    "--since", default="", metavar="WHEN", help="Only from then on: 10m, 2h, 3d, or a time (UTC)."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document; with -f one on each line."
)
@output_options
def logs(
    task_id: str,
    *,
    level: str,
    kinds: Sequence[str],
    events: Sequence[str],
    stream_name: str | None,
    search: str,
    since: str,
    following: bool,
    as_json: bool,
) -> None:
    """Show what was logged for a task.

    Control characters are escaped, whatever the agent printed. With -f a lost connection is taken
    up again where it was, also when the server was started again.
    """
    wanted = work_pb2.ListTaskLogsRequest(
        level="DEBUG" if stream_name == "stdout" else level.upper(),
        kinds=kinds,
        events=events,
        stream=stream_name or "",
        search=search,
    )
    if since:
        wanted.since.FromDatetime(when(since))

    async def body(connection: Connection) -> list[work_pb2.LogEntry]:
        work = connection.services.work
        found = await work.get_task(work_pb2.GetTaskRequest(task_id=task_id))
        wanted.task_id = found.id
        if following:
            show = _print_json_entry if as_json else print_entry
            await stream(connection, wanted, show, _reopened)
            return []
        entries: list[work_pb2.LogEntry] = []
        await read_to_end(work, wanted, entries.append if as_json else print_entry)
        return entries

    entries = with_connection(body)
    if as_json and not following:
        print_json({"entries": [to_document(entry) for entry in entries]})


def when(text: str) -> datetime:
    """Return the time that a text such as `10m` or `2026-01-31T12:00` means.

    Raises:
        InvalidArgumentError: it means none.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        time = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise InvalidArgumentError(
            f"{text!r} is no time; write 10m, 2h, 3d, or a time such as 2026-01-31T12:00.",
            field="since",
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def print_entry(entry: work_pb2.LogEntry) -> None:
    """Print one line of a log whole."""
    at = moment(entry.logged_at)[11:]
    for line in event_lines(entry, whole=True):
        write(f"{at} {line.plain()}", sys.stdout)


@contextlib.asynccontextmanager
async def _reopened() -> AsyncGenerator[Connection | None]:
    """Open the services again, if the server is there: a follower does not take its place."""
    settings, open_services = load_settings(), opener()
    if open_services is connect and server_of(settings) is None:
        yield None
        return
    async with open_services(settings) as connection:
        yield connection


def _print_json_entry(entry: work_pb2.LogEntry) -> None:
    print_json_line(to_document(entry))
