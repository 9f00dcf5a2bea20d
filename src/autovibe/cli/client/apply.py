"""`autovibe apply`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import click

from autovibe.cli.client.command import json_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.question import can_ask, confirm
from autovibe.cli.document import to_document
from autovibe.cli.output import (
    print_json,
    print_lines,
    print_notes,
    write_bytes,
)
from autovibe.cli.render import plural, short
from autovibe.kernel.errors import Code, InvalidArgumentError, RemoteError
from autovibe.v1 import approvals_pb2, checkpoints_pb2, work_pb2

_STDOUT: Final = "-"


@click.command(epilog="Example: autovibe apply 1a2b3c4d --branch fix-the-test")
@click.argument("task_id", metavar="TASK")
@click.option("--branch", default="", help="Name of the new branch (autovibe/TASK when not given).")
@click.option(
    "--patch",
    "patch_file",
    type=click.Path(),
    metavar="FILE",
    help="Write a patch for `git apply` instead of a branch; - is standard output.",
)
@click.option("--include-ignored", is_flag=True, help="Files that the repository ignores too.")
@click.option(
    "--keep-commits", is_flag=True, help="Keep the agent's own commits instead of one of all."
)
@json_option
def apply(
    task_id: str,
    branch: str,
    patch_file: str | None,
    *,
    include_ignored: bool,
    keep_commits: bool,
    as_json: bool,
) -> None:
    """Put the result of a task on a new branch of its repository.

    The work tree, the index and the branch that is checked out are never touched. With --patch
    the result is written to FILE, byte for byte, also where there is no repository.

    With --keep-commits the agent's own commits arrive, then one with what it had not committed; a
    merge arrives as one commit. They are read in a sandbox, so one must work here.
    """
    if patch_file is not None:
        if branch or keep_commits:
            raise InvalidArgumentError("A patch has neither branch nor commits; choose one.")
        if patch_file == _STDOUT and as_json:
            raise InvalidArgumentError(
                "--patch - and --json both print on standard output; choose one."
            )
        patch(task_id, patch_file, include_ignored=include_ignored, as_json=as_json)
        return
    request = work_pb2.ApplyTaskRequest(
        task_id=task_id, branch=branch, include_ignored=include_ignored, keep_commits=keep_commits
    )

    async def leave(connection: Connection) -> None:
        await ask_leave(connection, task_id, may_ask=not as_json)

    async def body(connection: Connection) -> work_pb2.ApplyTaskResponse:
        return await connection.services.work.apply_task(request)

    with_connection(leave)
    done = with_connection(body, doing="writing the branch")
    if as_json:
        print_json(to_document(done))
        return
    lines = applied_lines(done)
    print_lines(lines[:1])
    print_notes([*_kept_lines(done, wanted=keep_commits), *lines[1:]])


async def ask_leave(connection: Connection, task_id: str, *, may_ask: bool) -> None:
    """Ask for leave to apply the result of a task that is not autonomous: here, if somebody sits.

    Raises:
        RemoteError: somebody has to answer first; the question is in the inbox.
    """
    task = await connection.services.work.get_task(work_pb2.GetTaskRequest(task_id=task_id))
    if task.permission_level not in {"supervised", "human_required"}:
        return
    approvals = connection.services.approvals
    asked = await approvals.request_apply(approvals_pb2.RequestApplyRequest(task_id=task.id))
    if asked.status != "open":
        return
    if may_ask and can_ask() and await confirm(f"{asked.title}: put it on a branch?"):
        await approvals.answer_approval(
            approvals_pb2.AnswerApprovalRequest(approval_id=asked.id, choice="allow")
        )
        return
    raise RemoteError(
        Code.FAILED_PRECONDITION,
        "WAITING_FOR_APPROVAL",
        f"A person has to allow this: `autovibe approve {short(asked.id)}`, then apply again.",
        approval_id=asked.id,
    )


def applied_lines(done: work_pb2.ApplyTaskResponse) -> list[str]:
    """Return what was put on a branch."""
    files = plural(len(done.files), "file")
    return [
        f"Branch {done.branch} has {files} changed in commit {done.commit[:12]}.",
        *_file_lines(done.files, done.ignored),
        f"See it with `git diff HEAD...{done.branch}`, take it with `git merge`.",
    ]


def patch(task_id: str, file: str, *, include_ignored: bool, as_json: bool) -> None:
    """Write the result of a task as a patch; nothing is written when it cannot be had whole.

    Args:
        task_id: of the task.
        file: where to; `-` for standard output.
        include_ignored: files that `.gitignore` names too.
        as_json: say in JSON what was written.
    """

    async def body(connection: Connection) -> tuple[bytes, work_pb2.GetTaskPatchResponse]:
        return await whole_patch(connection, task_id, include_ignored=include_ignored)

    data, first = with_connection(body, doing="making the patch")
    if file == _STDOUT:
        write_bytes(data, sys.stdout)
        return
    target = Path(file).expanduser().absolute()
    write_file(target, data)
    if as_json:
        print_json(
            {
                "patch": str(target),
                "bytes": len(data),
                "files": [to_document(item) for item in first.files],
                "ignored": list(first.ignored),
            }
        )
        return
    print_notes(
        [
            f"Wrote {plural(len(first.files), 'changed file')} to {target}.",
            *_file_lines(first.files, first.ignored),
            f"Apply it with `git apply {target}`.",
        ]
    )


async def whole_patch(
    connection: Connection, task_id: str, *, include_ignored: bool
) -> tuple[bytes, work_pb2.GetTaskPatchResponse]:
    """Return the bytes of all pages, and the first page."""
    pieces: list[bytes] = []
    first: work_pb2.GetTaskPatchResponse | None = None
    token = ""
    while first is None or token:
        page = await connection.services.work.get_task_patch(
            work_pb2.GetTaskPatchRequest(
                task_id=task_id, include_ignored=include_ignored, page_token=token
            )
        )
        first = first or page
        pieces.append(page.patch)
        token = page.next_page_token
    return b"".join(pieces), first


def write_file(target: Path, data: bytes) -> None:
    """Write a file whole or not at all; what is no ordinary file is written to as it is.

    Raises:
        InvalidArgumentError: it cannot be written.
    """
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        draft.write_bytes(data)
        draft.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise InvalidArgumentError(
            f"{target} cannot be written ({error.strerror}); give --patch another FILE."
        ) from error


def _kept_lines(done: work_pb2.ApplyTaskResponse, *, wanted: bool) -> list[str]:
    if not wanted:
        return []
    if not done.kept_commits:
        return ["The agent made no commits of its own; this is one commit of all."]
    return [f"Kept {plural(done.kept_commits, 'commit')} that the agent made."]


def _file_lines(files: Iterable[checkpoints_pb2.FileChange], ignored: Sequence[str]) -> list[str]:
    lines = [f"  {item.change:<9} {item.path}" for item in files]
    if ignored:
        lines.append(
            "Left out, because the repository ignores them (--include-ignored takes them):"
        )
        lines += [f"  {path}" for path in ignored]
    return lines
