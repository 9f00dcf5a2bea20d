"""`autovibe inbox`, `approve`, `deny` and `answer`: what waits for a person."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

import click

from autovibe.cli.client.approval_text import approval_lines, stopped_lines
from autovibe.cli.client.command import json_option, limit_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.paging import collect, more
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_json_line, print_lines, print_notes
from autovibe.cli.render import plural, short
from autovibe.kernel.paging import MAX_PAGE_SIZE
from autovibe.v1 import approvals_pb2, work_pb2

_WATCH_S: Final = 1.0
_GO_ON_BY_THEMSELVES: Final = frozenset({"WAITING_FOR_APPROVAL", "WAITING_FOR_DEPENDENCY"})
"""Why tasks are blocked that need no word of a person, or whose request stands there already."""


class _Found(NamedTuple):
    """What is shown."""

    approvals: list[approvals_pb2.Approval]
    token: str
    stopped: list[work_pb2.Task]


@click.command(epilog="Example: autovibe inbox --watch")
@click.option("--project", "project_name", default="", help="Only of this project (name or id).")
@click.option("--task", "task_id", default="", metavar="TASK", help="Only of this task.")
@click.option("--all", "everything", is_flag=True, help="Also what is open no more.")
@click.option("--watch", is_flag=True, help="Go on and show what comes, until interrupted.")
@limit_option
@json_option
def inbox(
    project_name: str,
    task_id: str,
    limit: int,
    *,
    everything: bool,
    watch: bool,
    as_json: bool,
) -> None:
    """Show all that waits for a person, the oldest first: requests, then tasks that were stopped.

    What is asked came out of a machine: it is shown whole, with everything escaped that a terminal
    would obey. With --watch and --json each line is one document.
    """
    statuses = ["open", "answered", "expired", "cancelled"] if everything else ["open"]

    async def fetch(connection: Connection) -> tuple[list[approvals_pb2.Approval], str]:
        async def page(size: int, token: str) -> tuple[Sequence[approvals_pb2.Approval], str]:
            answer = await connection.services.approvals.list_approvals(
                approvals_pb2.ListApprovalsRequest(
                    project=project_name,
                    task_id=task_id,
                    statuses=statuses,
                    page_size=size,
                    page_token=token,
                )
            )
            return answer.approvals, answer.next_page_token

        return await collect(page, limit)

    async def body(connection: Connection) -> _Found:
        shown: set[str] = set()
        while watch:
            found, _ = await fetch(connection)
            for one in found:
                if one.id not in shown:
                    shown.add(one.id)
                    _show(one, as_json=as_json)
            await asyncio.sleep(_WATCH_S)
        return _Found(*await fetch(connection), await _stopped(connection, project_name, task_id))

    found, token, stopped = with_connection(body)
    if as_json:
        print_json(
            {
                "approvals": [to_document(one) for one in found],
                "next_page_token": token,
                "stopped_tasks": [to_document(one) for one in stopped],
            }
        )
        return
    blocks = [approval_lines(one) for one in found] + [stopped_lines(one) for one in stopped]
    for number, lines in enumerate(blocks):
        print_lines([*([""] if number else []), *lines])
    if not blocks:
        print_notes(["Nothing waits for you."])
    print_notes(more(token))


async def _stopped(connection: Connection, project_name: str, task_id: str) -> list[work_pb2.Task]:
    """Return the tasks that go on only when somebody says so, those stopped first at first."""
    answer = await connection.services.work.list_tasks(
        work_pb2.ListTasksRequest(
            project=project_name,
            statuses=["blocked"],
            order_by="updated_at",
            page_size=MAX_PAGE_SIZE,
        )
    )
    return [
        one
        for one in answer.tasks
        if one.block_reason not in _GO_ON_BY_THEMSELVES and one.id.startswith(task_id)
    ]


@click.command(epilog="Example: autovibe approve 1a2b3c4d --all-identical")
@click.argument("approval_id", metavar="ID")
@click.option("--all-identical", is_flag=True, help="Also whatever is the same, now and later.")
@click.option("--budget", default="", help="For a question about budget: the task's new total.")
@json_option
def approve(approval_id: str, budget: str, *, all_identical: bool, as_json: bool) -> None:
    """Allow what was asked for under ID (its first 8 characters do).

    It counts once: for the very call that was asked about. With --all-identical it counts for every
    request of the task with the same tool, input and directory.
    """
    _answer(
        approvals_pb2.AnswerApprovalRequest(
            approval_id=approval_id, choice="allow", text=budget, identical=all_identical
        ),
        as_json=as_json,
    )


@click.command(epilog='Example: autovibe deny 1a2b3c4d --reason "Use the test database."')
@click.argument("approval_id", metavar="ID")
@click.option("--reason", default="", help="What the agent is told.")
@click.option("--all-identical", is_flag=True, help="Also whatever is the same, now and later.")
@json_option
def deny(approval_id: str, reason: str, *, all_identical: bool, as_json: bool) -> None:
    """Forbid what was asked for under ID; the agent goes on without it."""
    _answer(
        approvals_pb2.AnswerApprovalRequest(
            approval_id=approval_id, choice="deny", text=reason, identical=all_identical
        ),
        as_json=as_json,
    )


@click.command(epilog='Example: autovibe answer 1a2b3c4d "Keep the old name."')
@click.argument("approval_id", metavar="ID")
@click.argument("text")
@json_option
def answer(approval_id: str, text: str, *, as_json: bool) -> None:
    """Answer the question ID of an agent with TEXT."""
    _answer(
        approvals_pb2.AnswerApprovalRequest(approval_id=approval_id, text=text), as_json=as_json
    )


def _answer(request: approvals_pb2.AnswerApprovalRequest, *, as_json: bool) -> None:
    async def body(connection: Connection) -> tuple[approvals_pb2.AnswerApprovalResponse, bool]:
        done = await connection.services.approvals.answer_approval(request)
        return done, connection.embedded is not None

    done, embedded = with_connection(body)
    if as_json:
        print_json(to_document(done))
        return
    one = done.approval
    said = {"allow": "Allowed", "deny": "Denied"}.get(one.answer.choice, "Answered")
    print_lines([f"{said}: {one.title}"])
    if done.also_answered_ids:
        print_notes([f"So was {plural(len(done.also_answered_ids), 'other one', 'other ones')}."])
    if embedded and done.task_status == "queued":
        command = f"autovibe task resume {short(one.task_id)}"
        print_notes([f"No server runs; let the task go on with `{command}`."])


def _show(one: approvals_pb2.Approval, *, as_json: bool) -> None:
    if as_json:
        print_json_line(to_document(one))
    else:
        print_lines([*approval_lines(one), ""])
