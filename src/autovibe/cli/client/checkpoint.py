"""`autovibe checkpoint`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from autovibe.cli.client.command import json_option, limit_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.paging import collect, more
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines
from autovibe.cli.render import moment, pairs, plural, short, size, table
from autovibe.kernel.errors import EXIT_FAILED, InvalidArgumentError
from autovibe.v1 import checkpoints_pb2, work_pb2


@click.group(epilog="Example: autovibe checkpoint list --project website")
def checkpoint() -> None:
    """List, show, compare, verify and restore checkpoints.

    An id may be shortened to its first 8 characters.
    """


@checkpoint.command("list", epilog="Example: autovibe checkpoint list --task 1a2b3c4d")
@click.option("--project", "project_name", default="", help="Only of this project (name or id).")
@click.option("--task", "task_id", default="", help="Only those that this task's machine made.")
@limit_option
@json_option
def list_(project_name: str, task_id: str, limit: int, *, as_json: bool) -> None:
    """List checkpoints, the newest first."""

    async def body(connection: Connection) -> tuple[list[checkpoints_pb2.Checkpoint], str]:
        machine_id = ""
        if task_id:
            result = await connection.services.work.get_task_result(
                work_pb2.GetTaskResultRequest(task_id=task_id)
            )
            machine_id = result.machine_id
            if not machine_id:
                return [], ""
        return await list_checkpoints(connection, project_name, machine_id, limit)

    found, token = with_connection(body)
    if as_json:
        items = [to_document(item) for item in found]
        print_json({"checkpoints": items, "next_page_token": token})
        return
    if not found:
        print_lines(["No checkpoints."])
        return
    print_lines([*checkpoint_table(found), *more(token)])


async def list_checkpoints(
    connection: Connection, project_name: str, machine_id: str, limit: int
) -> tuple[list[checkpoints_pb2.Checkpoint], str]:
    """Return checkpoints, the newest first, and the token of what comes after them."""

    async def fetch(size: int, token: str) -> tuple[Sequence[checkpoints_pb2.Checkpoint], str]:
        answer = await connection.services.checkpoints.list_checkpoints(
            checkpoints_pb2.ListCheckpointsRequest(
                project=project_name, machine_id=machine_id, page_size=size, page_token=token
            )
        )
        return answer.checkpoints, answer.next_page_token

    return await collect(fetch, limit)


def checkpoint_table(found: Sequence[checkpoints_pb2.Checkpoint]) -> list[str]:
    """Return checkpoints as a table."""
    rows = [
        (
            short(item.id),
            short(item.parent_checkpoint_id),
            item.checkpoint_type,
            item.verification_status,
            f"{item.manifest_file_count:,}",
            size(item.size_bytes),
            f"+{size(item.stored_bytes)}",
            moment(item.created_at),
            "pruned" if item.HasField("pruned_at") else item.description,
        )
        for item in found
    ]
    headers = (
        "CHECKPOINT",
        "PARENT",
        "TYPE",
        "STATUS",
        "FILES",
        "SIZE",
        "STORED",
        "CREATED (UTC)",
        "DESCRIPTION",
    )
    return table(headers, rows, right="FILES SIZE STORED")


@checkpoint.command(epilog="Example: autovibe checkpoint show 1a2b3c4d --files --path src")
@click.argument("checkpoint_id", metavar="ID")
@click.option("--files", "with_files", is_flag=True, help="List its files too.")
@click.option("--path", default="", help="Of the files only this one, or those below it.")
@click.option("--home", is_flag=True, help="The agent's home instead of the workspace.")
@limit_option
@json_option
def show(
    checkpoint_id: str, path: str, limit: int, *, with_files: bool, home: bool, as_json: bool
) -> None:
    """Show one checkpoint, and its files if asked."""

    async def body(
        connection: Connection,
    ) -> tuple[checkpoints_pb2.Checkpoint, list[checkpoints_pb2.FileEntry], str]:
        checkpoints = connection.services.checkpoints
        found = await checkpoints.get_checkpoint(
            checkpoints_pb2.GetCheckpointRequest(checkpoint_id=checkpoint_id)
        )

        async def fetch(size: int, token: str) -> tuple[Sequence[checkpoints_pb2.FileEntry], str]:
            answer = await checkpoints.list_checkpoint_files(
                checkpoints_pb2.ListCheckpointFilesRequest(
                    checkpoint_id=found.id, path=path, home=home, page_size=size, page_token=token
                )
            )
            return answer.files, answer.next_page_token

        files, token = await collect(fetch, limit) if with_files else ([], "")
        return found, files, token

    found, files, token = with_connection(body)
    if as_json:
        document = to_document(found)
        if with_files:
            document["files"] = [to_document(item) for item in files]
            document["next_page_token"] = token
        print_json(document)
        return
    print_lines(_details(found))
    if with_files:
        rows = [
            (item.mode, item.kind, size(item.size), item.path + _arrow(item.link_target))
            for item in files
        ]
        print_lines(["", *table(("MODE", "KIND", "SIZE", "PATH"), rows, right="SIZE")])
        print_lines(more(token))


def _arrow(target: str) -> str:
    return f" -> {target}" if target else ""


def _details(found: checkpoints_pb2.Checkpoint) -> list[str]:
    at = f"{moment(found.verified_at)} UTC" if found.HasField("verified_at") else ""
    pruned = f"{moment(found.pruned_at)} UTC" if found.HasField("pruned_at") else ""
    return pairs(
        [
            ("checkpoint", found.id),
            ("project", found.project_id),
            ("parent", found.parent_checkpoint_id),
            ("type", found.checkpoint_type),
            ("description", found.description),
            ("made by machine", found.creating_machine_id),
            ("depth", f"{found.depth}"),
            ("files", f"{found.manifest_file_count:,}"),
            ("size", size(found.size_bytes)),
            ("added to the store", size(found.stored_bytes)),
            ("consistency", found.consistency),
            ("status", found.verification_status),
            ("created", f"{moment(found.created_at)} UTC"),
            ("verified", at),
            ("pruned", pruned),
            ("tree", found.manifest_root),
        ]
    )


@checkpoint.command(epilog="Example: autovibe checkpoint diff 1a2b3c4d 9f8e7d6c --patch")
@click.argument("checkpoint_id", metavar="ID")
@click.argument("base_id", metavar="[BASE]", default="")
@click.option("--home", is_flag=True, help="The agent's home instead of the workspace.")
@click.option("--path", default="", help="Only this file, or what is below this directory.")
@click.option("--patch", is_flag=True, help="Show the text of the differences.")
@click.option("--with-git", is_flag=True, help="What is below .git too.")
@json_option
def diff(
    checkpoint_id: str,
    base_id: str,
    path: str,
    *,
    home: bool,
    patch: bool,
    with_git: bool,
    as_json: bool,
) -> None:
    """Compare a checkpoint with BASE, by default with its parent.

    In the text form control characters are escaped; --json has the exact text.
    """
    request = checkpoints_pb2.DiffCheckpointsRequest(
        checkpoint_id=checkpoint_id,
        base_checkpoint_id=base_id,
        path=path,
        home=home,
        with_patch=patch,
        without_git=not with_git,
    )

    async def body(connection: Connection) -> checkpoints_pb2.DiffCheckpointsResponse:
        return await connection.services.checkpoints.diff_checkpoints(request)

    found = with_connection(body)
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


@checkpoint.command(epilog="Example: autovibe checkpoint verify 1a2b3c4d")
@click.argument("checkpoint_id", metavar="ID")
@json_option
def verify(checkpoint_id: str, *, as_json: bool) -> int:
    """Read everything of a checkpoint back and hash it again; exit status 1 if it is damaged."""

    async def body(connection: Connection) -> checkpoints_pb2.VerifyCheckpointResponse:
        return await connection.services.checkpoints.verify_checkpoint(
            checkpoints_pb2.VerifyCheckpointRequest(checkpoint_id=checkpoint_id)
        )

    found = with_connection(body)
    if as_json:
        print_json(to_document(found))
    elif found.ok:
        objects = plural(found.objects, "object")
        print_lines(
            [f"{short(found.checkpoint.id)} is whole: {objects}, {size(found.bytes)} read."]
        )
    else:
        damaged = [f"  {path}" for path in found.damaged_paths]
        print_lines([f"{short(found.checkpoint.id)} is damaged; these files are lost:", *damaged])
    return 0 if found.ok else EXIT_FAILED


@checkpoint.command(
    epilog="Example: autovibe checkpoint restore 1a2b3c4d --to /tmp/look --path src"
)
@click.argument("checkpoint_id", metavar="ID")
@click.option("--to", "directory", required=True, help="A new or an empty directory.")
@click.option("--path", default="", help="Only this file or directory.")
@click.option("--home", is_flag=True, help="The agent's home instead of the workspace.")
@click.option("--exact", is_flag=True, help="Keep owners and special permission bits.")
@json_option
def restore(
    checkpoint_id: str, directory: str, path: str, *, home: bool, exact: bool, as_json: bool
) -> None:
    """Write the files of a checkpoint into a directory."""
    if not directory.strip():
        raise InvalidArgumentError("The directory is empty; write --to DIR.")
    target = Path(directory).expanduser().absolute()
    request = checkpoints_pb2.RestoreCheckpointRequest(
        checkpoint_id=checkpoint_id, directory=str(target), path=path, home=home, exact=exact
    )

    async def body(connection: Connection) -> checkpoints_pb2.RestoreCheckpointResponse:
        return await connection.services.checkpoints.restore_checkpoint(request)

    done = with_connection(body)
    if as_json:
        print_json(to_document(done) | {"directory": str(target)})
    else:
        print_lines([f"Wrote {plural(done.files, 'file')}, {size(done.bytes)}, to {target}."])
