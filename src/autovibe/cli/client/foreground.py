"""A task in the foreground: begun, followed, summed up, with the exit status that says how."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import click

from autovibe.cli.client.command import F, opener, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.question import ask_about_secrets, ask_leave, can_ask
from autovibe.cli.client.running import Run, Started
from autovibe.cli.client.summary import result_exit_status, summary_lines
from autovibe.cli.document import to_document
from autovibe.cli.errors import ServerNeededError
from autovibe.cli.options import is_quiet
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import short
from autovibe.cli.signals import Interrupts, run_with_interrupts
from autovibe.cli.view import open_view
from autovibe.kernel.errors import EXIT_INTERRUPTED, EXIT_OK
from autovibe.kernel.settings import Settings, load_settings
from autovibe.v1 import work_pb2

Begin: TypeAlias = Callable[[Run], Awaitable[Started]]
Queue: TypeAlias = Callable[[Connection], Awaitable[work_pb2.Task]]


@dataclass(frozen=True)
class Outcome:
    """What a task came to, and the exit status that says so."""

    result: work_pb2.TaskResult
    in_git: bool
    exit_status: int


def detach_option(function: F) -> F:
    """Add `--detach` to a command that lets a task run."""
    return click.option(
        "--detach", is_flag=True, help="Return at once; needs a server (`autovibe up`)."
    )(function)


def in_foreground(begin: Begin, *, as_json: bool) -> int:
    """Begin a task, follow it to its end, print what it came to; return the exit status."""
    settings = load_settings()
    connect = opener()

    async def body(interrupts: Interrupts) -> Outcome:
        return await execute(connect, settings, begin, interrupts, as_json=as_json)

    outcome = run_with_interrupts(body)
    if as_json:
        print_json(to_document(outcome.result))
    else:
        print_lines(["", *summary_lines(outcome.result, in_git=outcome.in_git)])
    return outcome.exit_status


def detached(queue: Queue, *, as_json: bool) -> int:
    """Queue a task for a server to do and print it; return the exit status.

    Raises:
        ServerNeededError: the control plane is in this process, which is about to end.
    """

    async def body(connection: Connection) -> work_pb2.Task:
        if connection.embedded is not None:
            raise ServerNeededError(
                "--detach needs a server that does the task when this command has ended; start "
                "one with `autovibe up`, or leave --detach out."
            )
        return await queue(connection)

    task = with_connection(body)
    if as_json:
        print_json(to_document(task))
    elif is_quiet():
        print_lines([task.id])
    else:
        print_lines([f"Task {short(task.id)} is {task.status}."])
        print_notes([f"Follow it with `autovibe logs {short(task.id)} -f`."])
    return EXIT_OK


async def execute(
    connect: Any, settings: Settings, begin: Begin, interrupts: Interrupts, *, as_json: bool
) -> Outcome:
    """Open the services, let a task run on them and return what it came to.

    In JSON mode stdout is left alone: what happens is shown on stderr if that is a terminal.
    """
    stream = sys.stderr if as_json else sys.stdout
    view = open_view(stream, quiet=is_quiet() or (as_json and not sys.stderr.isatty()))
    try:
        async with connect(settings) as connection:
            attended = can_ask() and not as_json
            run = Run(
                connection,
                view,
                interrupts,
                ask_about_secrets if attended else None,
                ask_leave if attended else None,
            )
            started = await begin(run)
            result = await run.finish(started)
    finally:
        view.close()
    in_git = bool(started.task.context.head_commit)
    return Outcome(result, in_git, exit_status_of(result, interrupts))


def exit_status_of(result: work_pb2.TaskResult, interrupts: Interrupts) -> int:
    """Return the exit status of a run: one that was stopped and did not complete is 130."""
    status = result_exit_status(result)
    return EXIT_INTERRUPTED if interrupts.stopping.is_set() and status != EXIT_OK else status
