"""`autovibe checkpoint`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from autovibe.cli.client.command import json_option, limit_option, with_connection
from autovibe.cli.client.connection import Connection
from autovibe.cli.client.differences import diff
from autovibe.cli.client.fork import fork
from autovibe.cli.client.lineage import log, path
from autovibe.cli.client.paging import collect, more
from autovibe.cli.client.results import get_result
from autovibe.cli.client.tree import tree
from autovibe.cli.client.waiting import Heard, hearing
from autovibe.cli.document import to_document
from autovibe.cli.lazy import load
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.cli.render import moment, pairs, plural, short, size, table
from autovibe.cli.view import SilentView, progress_view
from autovibe.kernel.errors import EXIT_FAILED, InvalidArgumentError
from autovibe.v1 import checkpoints_pb2


@click.group(epilog="Example: autovibe checkpoint list --project website")
def checkpoint() -> None:
    """List, show, compare, verify, restore and fork checkpoints.

    An id may be shortened to its first 8 characters.
    """


checkpoint.add_command(diff)
checkpoint.add_command(fork)
checkpoint.add_command(log)
checkpoint.add_command(path)
checkpoint.add_command(tree)


@checkpoint.command("list", epilog="Example: autovibe checkpoint list --task 1a2b3c4d")
@click.option("--project", "project_name", default="", help="Only of this project (name or id).")
@click.option("--task", "task_id", default="", help="Only those that this task's machines made.")
@limit_option
@json_option
def list_(project_name: str, task_id: str, limit: int, *, as_json: bool) -> None:
    """List checkpoints, the newest first."""

    async def body(connection: Connection) -> tuple[list[checkpoints_pb2.Checkpoint], str]:
        machine_ids: Sequence[str] = ()
        if task_id:
            machine_ids = (await get_result(connection, task_id)).machine_ids
            if not machine_ids:
                return [], ""
        return await list_checkpoints(connection, project_name, machine_ids, limit)

    found, token = with_connection(body)
    if as_json:
        items = [to_document(item) for item in found]
        print_json({"checkpoints": items, "next_page_token": token})
        return
    if not found:
        print_notes(["No checkpoints."])
        return
    print_lines(checkpoint_table(found))
    print_notes(more(token))


async def list_checkpoints(
    connection: Connection, project_name: str, machine_ids: Sequence[str], limit: int
) -> tuple[list[checkpoints_pb2.Checkpoint], str]:
    """Return checkpoints, the newest first, and the token of what comes after them."""

    async def fetch(size: int, token: str) -> tuple[Sequence[checkpoints_pb2.Checkpoint], str]:
        answer = await connection.services.checkpoints.list_checkpoints(
            checkpoints_pb2.ListCheckpointsRequest(
                project=project_name, machine_ids=machine_ids, page_size=size, page_token=token
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
            "damaged" if item.damage else item.verification_status,
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


@checkpoint.command(epilog="Example: autovibe checkpoint show 1a2b3c4d src README.md")
@click.argument("checkpoint_id", metavar="ID")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--files", "with_files", is_flag=True, help="List all its files too.")
@click.option("--home", is_flag=True, help="The agent's home instead of the workspace.")
@limit_option
@json_option
def show(
    checkpoint_id: str,
    paths: Sequence[str],
    limit: int,
    *,
    with_files: bool,
    home: bool,
    as_json: bool,
) -> None:
    """Show one checkpoint, and its files if asked.

    With PATHs those files, and what is below those directories.
    """
    with_files = with_files or bool(paths)

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
                    checkpoint_id=found.id, paths=paths, home=home, page_size=size, page_token=token
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
        print_notes(more(token))


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
            ("changes found by", _detection(found.detection)),
            ("took", _took(found)),
            ("status", found.verification_status),
            ("damaged", found.damage),
            ("found damaged", _found_at(found)),
            ("created", f"{moment(found.created_at)} UTC"),
            ("verified", at),
            ("pruned", pruned),
            ("tree", found.manifest_root),
        ]
    )


def _took(found: checkpoints_pb2.Checkpoint) -> str:
    if not found.HasField("timing"):
        return ""
    stood = f", {found.timing.frozen_ms:.1f} of them while the machine stood still"
    return f"{found.timing.total_ms:.1f} ms{stood if found.timing.frozen_ms else ''}"


def _found_at(found: checkpoints_pb2.Checkpoint) -> str:
    return f"{moment(found.damaged_at)} UTC" if found.HasField("damaged_at") else ""


def _detection(found: checkpoints_pb2.Detection) -> str:
    if not found.method or found.method == "walk":
        return "looking at every file" if found.method else ""
    audited = " and by looking at every file" if found.audited else ""
    missed = plural(len(found.missed), "change")
    return f"{found.method}{audited}{f'; {missed} had been missed' if found.missed else ''}"


@checkpoint.command(epilog="Example: autovibe checkpoint verify 1a2b3c4d")
@click.argument("checkpoint_id", metavar="[ID]", default="")
@click.option("--all", "everything", is_flag=True, help="All checkpoints, on this host.")
@json_option
def verify(checkpoint_id: str, *, everything: bool, as_json: bool) -> int:
    """Read everything of a checkpoint back and hash it again; exit status 1 if it is damaged.

    With --all the whole store of this home is read once, on one core, as `autovibe up` does once a
    week.
    """
    if everything == bool(checkpoint_id):
        raise InvalidArgumentError("Give the id of a checkpoint, or --all.")
    if everything:
        return _run_jobs(("audit-store",), doing="reading the store", as_json=as_json)

    async def body(connection: Connection) -> checkpoints_pb2.VerifyCheckpointResponse:
        return await verified(connection, checkpoint_id)

    found = with_connection(body)
    if as_json:
        print_json(to_document(found))
    elif found.ok:
        objects = plural(found.objects, "object")
        print_notes(
            [f"{short(found.checkpoint.id)} is whole: {objects}, {size(found.bytes)} read."]
        )
    else:
        damaged = [f"  {path}" for path in found.damaged_paths]
        print_lines([f"{short(found.checkpoint.id)} is damaged; these files are lost:", *damaged])
    return 0 if found.ok else EXIT_FAILED


@checkpoint.command(epilog="Example: autovibe checkpoint prune --dry-run")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@json_option
def prune(*, dry_run: bool, as_json: bool) -> int:
    """Thin old automatic checkpoints, and give back space of the store, on this host.

    As `autovibe up` does every night. What a task, a project or a machine needs stays, and so do
    heads and what was made by hand; the settings of [maintenance] say how old and which others.
    Space is given back once the grace time is over.
    """
    jobs = ("cleanup-checkpoints", "prune-store")
    return _run_jobs(jobs, doing="pruning", dry_run=dry_run, as_json=as_json)


def _run_jobs(jobs: Sequence[str], *, doing: str, dry_run: bool = False, as_json: bool) -> int:
    """Run jobs where the database is; loaded when it is needed (decision A3)."""
    run = load("autovibe.cli.local.db_jobs:run_jobs")
    return run(jobs, doing=doing, dry_run=dry_run, as_json=as_json)


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
        return await restored(connection, request)

    done = with_connection(body)
    if as_json:
        print_json(to_document(done) | {"directory": str(target)})
    else:
        print_notes([f"Wrote {plural(done.files, 'file')}, {size(done.bytes)}, to {target}."])


async def verified(
    connection: Connection, checkpoint_id: str
) -> checkpoints_pb2.VerifyCheckpointResponse:
    """Verify, and show on a terminal how far it is.

    A server does not tell how far it is; then only the time is shown.
    """
    checkpoints = connection.services.checkpoints
    view = progress_view()
    try:
        heard = Heard({"verify": ("object", "read back")})
        if connection.embedded is not None and not isinstance(view, SilentView):
            found = await checkpoints.get_checkpoint(
                checkpoints_pb2.GetCheckpointRequest(checkpoint_id=checkpoint_id)
            )
            # Equal files are one object, so there may be less to read.
            heard.total_bytes = found.size_bytes
        async with hearing(view, "verifying", heard):
            return await checkpoints.verify_checkpoint(
                checkpoints_pb2.VerifyCheckpointRequest(checkpoint_id=checkpoint_id)
            )
    finally:
        view.close()


async def restored(
    connection: Connection, request: checkpoints_pb2.RestoreCheckpointRequest
) -> checkpoints_pb2.RestoreCheckpointResponse:
    """Restore, and show on a terminal how far it is, as `verified` does."""
    checkpoints = connection.services.checkpoints
    view = progress_view()
    heard = Heard({"restore": ("file", "written")})
    try:
        if not (connection.embedded is None or isinstance(view, SilentView)):
            found = await checkpoints.get_checkpoint(
                checkpoints_pb2.GetCheckpointRequest(checkpoint_id=request.checkpoint_id)
            )
            # Its size is that of workspace and home together: at most, and only of a whole one.
            heard.total_bytes = 0 if request.path or request.home else found.size_bytes
        async with hearing(view, "restoring", heard):
            return await checkpoints.restore_checkpoint(request)
    finally:
        view.close()
