"""What differs between checkpoints: `autovibe checkpoint diff` and `autovibe task diff`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import click

from autovibe.cli.client.command import json_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.results import get_result
from autovibe.cli.document import to_document
from autovibe.cli.errors import NothingToShowError
from autovibe.cli.output import print_json, print_lines
from autovibe.cli.render import short
from autovibe.v1 import checkpoints_pb2, work_pb2

_ID: Final = re.compile(r"[0-9a-f]{8}[0-9a-f-]{0,28}", re.IGNORECASE)


@click.command(epilog="Example: autovibe checkpoint diff 1a2b3c4d 9f8e7d6c --patch src")
@click.argument("checkpoint_id", metavar="ID")
@click.argument("rest", metavar="[BASE] [PATH]...", nargs=-1)
@click.option("--home", is_flag=True, help="The agent's home instead of the workspace.")
@click.option("--patch", is_flag=True, help="Show the text of the differences.")
@click.option("--with-git", is_flag=True, help="What is below .git too.")
@json_option
def diff(
    checkpoint_id: str,
    rest: Sequence[str],
    *,
    home: bool,
    patch: bool,
    with_git: bool,
    as_json: bool,
) -> None:
    """Compare a checkpoint with BASE, by default with its parent.

    With PATHs only those files, and what is below those directories. A path that looks like an id
    is written ./PATH. In the text form control characters are escaped; --json has the exact text.
    """
    base_id, paths = split_base(rest)
    request = checkpoints_pb2.DiffCheckpointsRequest(
        checkpoint_id=checkpoint_id,
        base_checkpoint_id=base_id,
        paths=paths,
        home=home,
        with_patch=patch,
        without_git=not with_git,
    )

    async def body(connection: Connection) -> checkpoints_pb2.DiffCheckpointsResponse:
        return await connection.services.checkpoints.diff_checkpoints(request)

    print_diff(with_connection(body, doing="comparing"), patch=patch, as_json=as_json)


@click.command("diff", epilog="Example: autovibe task diff 1a2b3c4d --patch src")
@click.argument("task_id", metavar="TASK")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--home", is_flag=True, help="The agent's home instead of the workspace.")
@click.option("--patch", is_flag=True, help="Show the text of the differences.")
@json_option
def task_diff(
    task_id: str, paths: Sequence[str], *, home: bool, patch: bool, as_json: bool
) -> None:
    """Show what a task has changed, until its newest checkpoint if it still runs.

    With PATHs only those files, and what is below those directories. In the text form control
    characters are escaped; `autovibe apply TASK --patch FILE` writes a patch of exact bytes.
    """

    async def body(connection: Connection) -> checkpoints_pb2.DiffCheckpointsResponse:
        result = await get_result(connection, task_id)
        newest = await newest_checkpoint(connection, result)
        if not newest:
            raise NothingToShowError(
                f"Task {short(result.task_id)} has no checkpoint yet; see `autovibe logs "
                f"{short(result.task_id)}`."
            )
        return await connection.services.checkpoints.diff_checkpoints(
            checkpoints_pb2.DiffCheckpointsRequest(
                checkpoint_id=newest,
                base_checkpoint_id=result.base_checkpoint_id,
                paths=paths,
                home=home,
                with_patch=patch,
                without_git=True,
            )
        )

    print_diff(with_connection(body, doing="comparing"), patch=patch, as_json=as_json)


async def newest_checkpoint(connection: Connection, result: work_pb2.TaskResult) -> str:
    """Return a task's result, or the newest checkpoint of its machines, "" if there is none."""
    if result.status != "in_progress" and result.result_checkpoint_id:
        return result.result_checkpoint_id
    if result.machine_ids:
        answer = await connection.services.checkpoints.list_checkpoints(
            checkpoints_pb2.ListCheckpointsRequest(machine_ids=result.machine_ids, page_size=1)
        )
        if answer.checkpoints:
            return answer.checkpoints[0].id
    return result.result_checkpoint_id


def split_base(rest: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the id of the older side ("" when the first argument is none) and the paths."""
    if rest and _ID.fullmatch(rest[0]):
        return rest[0], rest[1:]
    return "", rest


def print_diff(
    found: checkpoints_pb2.DiffCheckpointsResponse, *, patch: bool, as_json: bool
) -> None:
    """Print what differs."""
    if as_json:
        print_json(to_document(found))
    elif patch:
        print_lines(patch_lines(found))
    elif found.changes:
        print_lines([f"{item.change:<9} {item.path}" for item in found.changes])
    else:
        print_lines(["Nothing differs."])


def patch_lines(found: checkpoints_pb2.DiffCheckpointsResponse) -> list[str]:
    """Return the lines of a patch."""
    lines = found.patch.removesuffix("\n").split("\n") if found.patch else ["Nothing differs."]
    return [*lines, "… the patch was cut at 4 MiB."] if found.patch_truncated else lines
