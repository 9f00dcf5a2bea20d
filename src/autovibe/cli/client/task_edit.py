"""`autovibe task edit`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from autovibe.cli.client.command import json_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines
from autovibe.cli.render import short
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import tasks_pb2, work_pb2

_TYPES: Final = ("feature", "bugfix", "test", "docs", "refactor", "review")
_LEVELS: Final = ("autonomous", "supervised", "human_required")
_PRIORITIES: Final = ("low", "normal", "high", "critical")


@click.command(epilog="Example: autovibe task edit 1a2b3c4d --priority high --label team=web")
@click.argument("task_id", metavar="TASK")
@click.option("--title", default="", help="New title.")
@click.option("--prompt", default="", help="New prompt; the task must not have begun.")
@click.option(
    "--prompt-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take the new prompt from this file.",
)
@click.option("--type", "task_type", type=click.Choice(_TYPES), help="Kind of work.")
@click.option("--permission", type=click.Choice(_LEVELS), help="What it may do without asking.")
@click.option("--priority", type=click.Choice(_PRIORITIES), help="Its place in the queue, too.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a label; NAME= takes it away.",
)
@click.option("--issue", type=click.IntRange(1), help="Number of the issue that it is about.")
@click.option("--pull-request", type=click.IntRange(1), help="Number of what it became.")
@click.option("--repository-url", default="", help="Where its repository is published.")
@json_option
def edit(
    task_id: str,
    *,
    title: str,
    prompt: str,
    prompt_file: Path | None,
    task_type: str | None,
    permission: str | None,
    priority: str | None,
    labels: Sequence[str],
    issue: int | None,
    pull_request: int | None,
    repository_url: str,
    as_json: bool,
) -> None:
    """Change a task; what is not given stays.

    What it is to do, its type and its permission can be changed until it has begun, and again while
    it is blocked.
    """
    if prompt and prompt_file:
        raise InvalidArgumentError("Give --prompt or --prompt-file, not both.")
    request = tasks_pb2.UpdateTaskRequest(
        title=title,
        description=prompt_file.read_text("utf-8") if prompt_file else prompt,
        task_type=task_type,
        permission_level=permission,
        priority=priority,
        labels=labels,
        issue_number=issue or 0,
        pr_number=pull_request or 0,
        repository_url=repository_url,
    )
    if request == tasks_pb2.UpdateTaskRequest():
        raise InvalidArgumentError("Say what is to change; see `autovibe task edit --help`.")
    request.task_id = task_id

    async def body(connection: Connection) -> work_pb2.Task:
        return await connection.services.work.update_task(request)

    changed = with_connection(body)
    if as_json:
        print_json(to_document(changed))
    else:
        print_lines([f"Task {short(changed.id)} is changed: {changed.title}"])
