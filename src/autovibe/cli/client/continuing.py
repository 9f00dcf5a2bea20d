"""`autovibe task resume|retry|cancel`: what lets a task go on, or not (decisions B8, B9)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import click

from autovibe.cli.client.command import json_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.foreground import detach_option, detached, in_foreground
from autovibe.cli.client.running import Run, Started
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_notes
from autovibe.cli.render import short
from autovibe.kernel.money import parse_amount
from autovibe.kernel.units import parse_duration_s
from autovibe.v1 import work_pb2

Ask: TypeAlias = Callable[[Connection], Awaitable[work_pb2.Task]]


@click.command(epilog="Example: autovibe task resume 1a2b3c4d --budget 5.00CAD")
@click.argument("task_id", metavar="TASK")
@click.option("--budget", default="", help="The task's new total budget, as in 5.00CAD.")
@click.option("--timeout", default="", help="Longest run time from now on, as in 30m.")
@detach_option
@json_option
def resume(task_id: str, budget: str, timeout: str, *, detach: bool, as_json: bool) -> int:
    """Let a task that was stopped go on, and follow it as `autovibe run` does.

    It goes on from its newest checkpoint at which files and conversation agree, whatever stopped
    it: its budget, its time, Ctrl-C, a crash. What came after that checkpoint is gone. A task that
    has completed is not resumed; fork it with `autovibe checkpoint fork`.
    """
    check_amount(budget)
    request = work_pb2.ResumeTaskRequest(
        task_id=task_id, budget=budget, timeout_s=parse_duration_s(timeout) if timeout else 0
    )

    async def ask(connection: Connection) -> work_pb2.Task:
        return await connection.services.work.resume_task(request)

    return _again(task_id, ask, "resume", detach=detach, as_json=as_json)


@click.command(epilog="Example: autovibe task retry 1a2b3c4d")
@click.argument("task_id", metavar="TASK")
@click.option("--budget", default="", help="The task's new total budget, as in 5.00CAD.")
@detach_option
@json_option
def retry(task_id: str, budget: str, *, detach: bool, as_json: bool) -> int:
    """Begin a task that was stopped again, from the files it began with.

    What it did before stays in its checkpoints, and what it spent stays spent.
    """
    check_amount(budget)
    request = work_pb2.RetryTaskRequest(task_id=task_id, budget=budget)

    async def ask(connection: Connection) -> work_pb2.Task:
        return await connection.services.work.retry_task(request)

    return _again(task_id, ask, "retry", detach=detach, as_json=as_json)


@click.command(epilog="Example: autovibe task cancel 1a2b3c4d")
@click.argument("task_id", metavar="TASK")
@json_option
def cancel(task_id: str, *, as_json: bool) -> None:
    """Stop a task for good; its checkpoints stay and can be forked.

    One that runs is stopped after a last checkpoint.
    """
    request = work_pb2.CancelTaskRequest(task_id=task_id)

    async def body(connection: Connection) -> work_pb2.Task:
        return await connection.services.work.cancel_task(request)

    task = with_connection(body, doing="stopping the task")
    if as_json:
        print_json(to_document(task))
    else:
        print_notes([f"Task {short(task.id)} is {task.status}; its checkpoints stay."])


def check_amount(budget: str) -> None:
    """Refuse a malformed budget before anything is done.

    Raises:
        InvalidArgumentError: it is no amount of money.
    """
    if budget:
        parse_amount(budget)


def _again(task_id: str, ask: Ask, label: str, *, detach: bool, as_json: bool) -> int:
    if detach:
        return detached(ask, as_json=as_json)

    async def begin(run: Run) -> Started:
        async def asked() -> work_pb2.Task:
            return await ask(run.connection)

        return await run.again(task_id, asked, label)

    return in_foreground(begin, as_json=as_json)
