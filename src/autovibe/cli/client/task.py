"""`autovibe task`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from autovibe.cli.client.chat import say
from autovibe.cli.client.command import json_option, limit_option, sort_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.continuing import cancel, resume, retry
from autovibe.cli.client.differences import task_diff
from autovibe.cli.client.execution import finding_lines
from autovibe.cli.client.paging import collect, more
from autovibe.cli.client.question import can_ask, confirm
from autovibe.cli.client.results import get_result
from autovibe.cli.client.summary import summary_lines
from autovibe.cli.client.task_edit import edit
from autovibe.cli.client.task_graph import depend, graph, import_, undepend
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import clipped, moment, pairs, short, table
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.v1 import logs_pb2, tasks_pb2, work_pb2

_ORDERS = ("created_at", "updated_at", "priority", "title")
_STATUSES = ("pending", "queued", "in_progress", "blocked", "completed", "failed", "cancelled")


@click.group(epilog="Example: autovibe task list")
def task() -> None:
    """List and show tasks, and let them go on."""


for _command in (cancel, edit, resume, retry, task_diff, import_, graph, depend, undepend, say):
    task.add_command(_command)


@task.command("list", epilog="Example: autovibe task list --project website --status blocked")
@click.option("--project", "project_name", default="", help="Only of this project (name or id).")
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="Only in this status."
)
@click.option("--ready", is_flag=True, help="Only those that a worker could begin now.")
@click.option(
    "--label", "labels", multiple=True, metavar="NAME=VALUE", help="Only with this label."
)
@sort_option(*_ORDERS, default="-created_at")
@limit_option
@json_option
def list_(
    project_name: str,
    statuses: Sequence[str],
    labels: Sequence[str],
    order_by: str,
    limit: int,
    *,
    ready: bool,
    as_json: bool,
) -> None:
    """List tasks, the newest first unless --sort says otherwise."""

    async def body(connection: Connection) -> tuple[list[work_pb2.Task], str]:
        async def fetch(size: int, token: str) -> tuple[Sequence[work_pb2.Task], str]:
            answer = await connection.services.work.list_tasks(
                work_pb2.ListTasksRequest(
                    project=project_name,
                    statuses=statuses,
                    labels=labels,
                    ready=ready,
                    order_by=order_by,
                    page_size=size,
                    page_token=token,
                )
            )
            return answer.tasks, answer.next_page_token

        return await collect(fetch, limit)

    tasks, token = with_connection(body)
    if as_json:
        print_json({"tasks": [to_document(item) for item in tasks], "next_page_token": token})
        return
    if not tasks:
        print_notes(['No tasks; start one with `autovibe run "PROMPT" --repo DIR`.'])
        return
    rows = [
        (
            short(item.id),
            _status(item),
            item.context.agent,
            moment(item.created_at),
            clipped(item.title, 60),
        )
        for item in tasks
    ]
    print_lines(table(("TASK", "STATUS", "AGENT", "CREATED (UTC)", "TITLE"), rows))
    print_notes(more(token))


@task.command(epilog="Example: autovibe task delete 1a2b3c4d")
@click.argument("task_id", metavar="TASK")
@click.option("--yes", is_flag=True, help="Do not ask: no command brings it back.")
@json_option
def delete(task_id: str, *, yes: bool, as_json: bool) -> None:
    """Let a task that is completed or cancelled be shown nowhere any more.

    What it has cost, done and logged stays, and so do its checkpoints.
    """

    async def body(connection: Connection) -> work_pb2.Task | None:
        work = connection.services.work
        found = await work.get_task(work_pb2.GetTaskRequest(task_id=task_id))
        question = f"Delete task {short(found.id)} ({found.title})?"
        if not yes and not can_ask():
            raise InvalidArgumentError(f"{question} Say so with --yes.")
        if not yes and not await confirm(question):
            return None
        return await work.delete_task(tasks_pb2.DeleteTaskRequest(task_id=found.id))

    done = with_connection(body)
    if done is None:
        print_notes(["Nothing was deleted."])
    elif as_json:
        print_json(to_document(done))
    else:
        print_lines([f"Task {short(done.id)} is deleted."])


@task.command(epilog="Example: autovibe task show 1a2b3c4d")
@click.argument("task_id", metavar="TASK")
@json_option
def show(task_id: str, *, as_json: bool) -> None:
    """Show one task and what it came to."""

    async def body(
        connection: Connection,
    ) -> tuple[work_pb2.Task, work_pb2.TaskResult, logs_pb2.ExecutionDetails]:
        request = work_pb2.GetTaskRequest(task_id=task_id)
        found = await connection.services.work.get_task(request)
        result = await get_result(connection, found.id)
        details = logs_pb2.ExecutionDetails()
        if result.execution_id:
            details = await connection.services.logs.get_execution(
                logs_pb2.GetExecutionRequest(execution_id=result.execution_id)
            )
        return found, result, details

    found, result, details = with_connection(body)
    if as_json:
        findings = [to_document(one) for one in details.findings]
        print_json(to_document(found) | {"result": to_document(result), "findings": findings})
        return
    head = pairs(
        [
            ("task", found.id),
            ("title", found.title),
            ("project", result.project_name or found.project_id),
            ("status", _status(found)),
            ("agent", f"{found.context.agent} {found.context.model}".strip()),
            ("isolation", found.context.isolation),
            ("directory", found.context.repo_path),
            ("priority", found.priority),
            ("permission", found.permission_level),
            ("created", f"{moment(found.created_at)} UTC"),
        ]
    )
    summary = summary_lines(result, in_git=bool(found.context.head_commit))
    print_lines([*head, "", *summary, *finding_lines(details)])


def _status(item: work_pb2.Task) -> str:
    return f"{item.status} ({item.block_reason})" if item.block_reason else item.status
