"""`autovibe apply`."""

from __future__ import annotations

import click

from autovibe.cli.client.command import json_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines
from autovibe.cli.render import plural
from autovibe.v1 import work_pb2


@click.command(epilog="Example: autovibe apply 1a2b3c4d --branch fix-the-test")
@click.argument("task_id", metavar="TASK")
@click.option("--branch", default="", help="Name of the new branch (autovibe/TASK when not given).")
@click.option("--include-ignored", is_flag=True, help="Files that the repository ignores too.")
@json_option
def apply(task_id: str, branch: str, *, include_ignored: bool, as_json: bool) -> None:
    """Put the result of a task on a new branch of its repository.

    The work tree, the index and the branch that is checked out are never touched.
    """
    request = work_pb2.ApplyTaskRequest(
        task_id=task_id, branch=branch, include_ignored=include_ignored
    )

    async def body(connection: Connection) -> work_pb2.ApplyTaskResponse:
        return await connection.services.work.apply_task(request)

    done = with_connection(body)
    if as_json:
        print_json(to_document(done))
    else:
        print_lines(applied_lines(done))


def applied_lines(done: work_pb2.ApplyTaskResponse) -> list[str]:
    """Return what was put on a branch."""
    files = plural(len(done.files), "file")
    lines = [f"Branch {done.branch} has {files} changed in commit {done.commit[:12]}."]
    lines += [f"  {item.change:<9} {item.path}" for item in done.files]
    if done.ignored:
        lines.append(
            "Left out, because the repository ignores them (--include-ignored takes them):"
        )
        lines += [f"  {path}" for path in done.ignored]
    return [*lines, f"See it with `git diff HEAD...{done.branch}`, take it with `git merge`."]
