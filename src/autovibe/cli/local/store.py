"""`autovibe store`: snapshots in a checkpoint store, without a control plane."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from autovibe.cli.client.command import limit_option
from autovibe.cli.local.store_base import (
    inside,
    open_store,
    root_option,
    shortened,
    store_options,
    work,
)
from autovibe.cli.local.store_serve import serve
from autovibe.cli.local.store_upkeep import check, export, import_, prune, stats, verify
from autovibe.cli.output import print_json, print_lines, print_notes, write_bytes
from autovibe.cli.render import plural, size, table
from autovibe.kernel.clock import SystemClock
from autovibe.kernel.errors import EXIT_FAILED, EXIT_OK, InvalidArgumentError
from autovibe.kernel.ids import new_id
from autovibe.kernel.settings import ensure_home, load_settings
from autovibe.store import Change, Exclude, Ref, RestoreResult, Snapshot, iter_patch
from autovibe.store.kept import snapshot_with_kept

_MARKS: Final = {
    "added": "A",
    "modified": "M",
    "deleted": "D",
    "mode": "m",
    "type": "T",
    "renamed": "R",
}
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9_-]+")


@click.group(epilog="Example: autovibe store snapshot . --store /srv/snapshots")
def store() -> None:
    """Work on a checkpoint store itself.

    Without --store it is that of the home. A SNAPSHOT is the name of a ref, a root, or the first 8
    digits of a root.
    """


for _command in (check, export, import_, prune, serve, stats, verify):
    store.add_command(_command)


@store.command(epilog="Example: autovibe store init --store /srv/snapshots --key-file key")
@store_options
def init(store_path: Path | None, key_file: Path | None, *, as_json: bool) -> None:
    """Make a store, encrypted if a key is given.

    One that is there already is only opened.
    """
    if store_path is None:
        ensure_home(load_settings())
    opened = open_store(store_path, key_file, create=True)
    if as_json:
        print_json({"path": str(opened.path), "id": opened.store_id})
    else:
        print_notes([f"There is a checkpoint store in {opened.path}."])


@store.command(epilog="Example: autovibe store snapshot . --note 'before the upgrade'")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--ref", default="", help="Its name; made of the directory and the time by default.")
@click.option("--parent", default="", help="The snapshot before it; the last one of the directory.")
@click.option("--note", default="", help="A few words that `list` and `log` show.")
@click.option("--root", "root_name", default="workspace", show_default=True, help="Its root.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out; may be repeated.")
@click.option("--afresh", is_flag=True, help="Read every file, whatever is known of the tree.")
@store_options
def snapshot(
    *,
    directory: Path,
    ref: str,
    parent: str,
    note: str,
    root_name: str,
    exclude: Sequence[str],
    afresh: bool,
    store_path: Path | None,
    key_file: Path | None,
    as_json: bool,
) -> int:
    """Capture a directory with everything in it, and name that.

    What was seen of it is kept in the store, so that the next time only what has changed is read.

    Exit status 1 when a file changed all the time or could not be read: the snapshot is there, and
    these files are listed and flagged in it.
    """
    opened = open_store(store_path, key_file)
    directory = directory.expanduser().resolve()
    line = f"snapshots/{_NOT_IN_A_NAME.sub('-', directory.name).strip('-') or 'root'}"
    name = ref or f"{line}/{SystemClock().now():%Y%m%dT%H%M%SZ}-{str(new_id())[-6:]}"
    before = opened.list_refs(f"{name.rpartition('/')[0]}/")
    parents = [opened.resolve(parent)] if parent else [ref.root for ref in before[:1]]

    taken = work(
        "reading",
        lambda progress: snapshot_with_kept(
            opened,
            {root_name: directory},
            exclude=Exclude(tuple(exclude)) if exclude else None,
            afresh=afresh,
            progress=progress,
        ),
    )
    opened.write_ref(name, taken.root, parents=parents, note=note)
    if as_json:
        print_json({"ref": name, **asdict(taken)})
    else:
        _show_snapshot(name, taken)
    return EXIT_FAILED if taken.torn or taken.unreadable else EXIT_OK


def _show_snapshot(name: str, taken: Snapshot) -> None:
    print_lines(
        [
            (
                f"{name} {shortened(taken.root)}: {plural(taken.file_count, 'file')}, "
                f"{size(taken.total_bytes)}, {size(taken.stored_bytes)} added to the store."
            )
        ]
    )
    for what, paths in (
        ("changed while it was read; stored as last seen", taken.torn),
        ("could not be read", taken.unreadable),
        ("left out", taken.excluded),
    ):
        print_lines([f"  {path}: {what}" for path in paths])


@store.command("list", epilog="Example: autovibe store list snapshots/website/1")
@click.argument("snapshot_name", metavar="[SNAPSHOT]", default="")
@click.argument("path", default="")
@click.option("--prefix", default="", help="Only refs whose name begins so.")
@root_option
@limit_option
@store_options
def list_(
    *,
    snapshot_name: str,
    path: str,
    prefix: str,
    root_name: str,
    limit: int,
    store_path: Path | None,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """List refs, the newest first, or what is in one snapshot."""
    opened = open_store(store_path, key_file)
    if not snapshot_name:
        _show_refs(opened.list_refs(prefix)[:limit], as_json=as_json)
        return
    root = opened.resolve(snapshot_name)
    found = list(opened.entries(root, inside(opened, root, root_name, path)))
    if as_json:
        print_json({"root": root, "entries": [asdict(entry) for entry in found]})
        return
    rows = [
        (
            f"{entry.mode:04o}",
            entry.special or entry.kind,
            size(entry.size),
            _time(entry.mtime_ns),
            entry.path
            + (f" -> {entry.target}" if entry.target else "")
            + ("" if entry.complete else "  (incomplete)"),
        )
        for entry in found[:limit]
    ]
    print_lines(table(("MODE", "KIND", "SIZE", "CHANGED (UTC)", "PATH"), rows, right="SIZE"))
    if len(found) > limit:
        print_notes([f"{len(found) - limit:,} more; see --limit."])


def _show_refs(refs: Sequence[Ref], *, as_json: bool) -> None:
    if as_json:
        print_json({"refs": [asdict(ref) for ref in refs]})
        return
    if not refs:
        print_notes(["No snapshots."])
        return
    rows = [
        (
            ref.name,
            shortened(ref.root),
            " ".join(map(shortened, ref.parents)),
            _time(ref.at_ns),
            ref.note,
        )
        for ref in refs
    ]
    print_lines(table(("REF", "SNAPSHOT", "PARENT", "WRITTEN (UTC)", "NOTE"), rows))


def _time(ns: int) -> str:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1_000)
    return f"{at:%Y-%m-%d %H:%M:%S}"


@store.command(epilog="Example: autovibe store restore 1a2b3c4d --to . --in-place --path src")
@click.argument("snapshot_name", metavar="SNAPSHOT")
@click.option(
    "--to",
    "directory",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="A new or an empty directory, unless --in-place.",
)
@click.option("--path", "paths", multiple=True, help="Only this; may be repeated.")
@click.option("--in-place", is_flag=True, help="Make a tree that is there equal to the snapshot.")
@click.option("--exact", is_flag=True, help="Keep owners, special bits, devices and attributes.")
@root_option
@store_options
def restore(
    *,
    snapshot_name: str,
    directory: Path,
    paths: Sequence[str],
    root_name: str,
    store_path: Path | None,
    key_file: Path | None,
    in_place: bool,
    exact: bool,
    as_json: bool,
) -> None:
    """Write a snapshot, or chosen paths of it, into a directory.

    In place what stands there is captured first, then only what differs is touched; with --path
    nothing else is.
    """
    opened = open_store(store_path, key_file)
    root = opened.resolve(snapshot_name)
    done = work(
        "restoring",
        lambda progress: opened.restore(
            root,
            directory.expanduser().absolute(),
            path=inside(opened, root, root_name, ""),
            paths=paths or None,
            exact=exact,
            onto_same=in_place,
            progress=progress,
        ),
    )
    if as_json:
        print_json(asdict(done))
    else:
        _show_restored(done, directory)


def _show_restored(done: RestoreResult, directory: Path) -> None:
    print_notes([f"Wrote {plural(done.files, 'file')}, {size(done.bytes)}, to {directory}."])
    print_lines([f"  {path}: removed" for path in done.deleted])
    print_lines([f"  {item.path}: {item.why}" for item in done.skipped])
    if done.saved_ref:
        print_notes([f"What stood there before is {done.saved_ref}."])


@store.command(epilog="Example: autovibe store diff 1a2b3c4d 5e6f7a8b --patch")
@click.argument("old")
@click.argument("new")
@click.option("--path", default="", help="Only what is below it.")
@click.option("--patch", "as_patch", is_flag=True, help="Print a patch that `git apply` takes.")
@click.option("--renames/--no-renames", default=True, help="Find files that were renamed.")
@root_option
@store_options
def diff(
    *,
    old: str,
    new: str,
    path: str,
    root_name: str,
    store_path: Path | None,
    key_file: Path | None,
    as_patch: bool,
    renames: bool,
    as_json: bool,
) -> None:
    """Show what differs between two snapshots."""
    opened = open_store(store_path, key_file)
    a, b = opened.resolve(old), opened.resolve(new)
    below = inside(opened, b, root_name, path)
    if as_patch and as_json:
        raise InvalidArgumentError("A patch is no JSON; choose one of --patch and --json.")
    if as_patch:
        for part in iter_patch(opened, a, b, path=below, renames=renames):
            write_bytes(part.encode("utf-8", "surrogateescape"), sys.stdout)
        return
    changes = opened.diff(a, b, path=below, renames=renames)
    if as_json:
        print_json({"old": a, "new": b, "changes": [asdict(change) for change in changes]})
    else:
        print_lines([f"{_MARKS[change.change]}  {_shown(change)}" for change in changes])


def _shown(change: Change) -> str:
    if change.change != "renamed" or change.old is None:
        return change.path
    return f"{change.old.path} -> {change.path} ({change.similarity} %)"


@store.command(epilog="Example: autovibe store log src/app.py")
@click.argument("path", default="")
@click.option("--from", "start", default="", help="Only this snapshot and those before it.")
@click.option("--prefix", default="", help="Only refs whose name begins so.")
@click.option("--root", "root_name", default="workspace", show_default=True, help="Its root.")
@limit_option
@store_options
def log(
    *,
    path: str,
    start: str,
    prefix: str,
    root_name: str,
    limit: int,
    store_path: Path | None,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """List the snapshots in which a path changed, the newest first."""
    opened = open_store(store_path, key_file)
    below = f"{root_name}/{path.strip('/')}".rstrip("/") if path else ""
    found = opened.log(below, start=start or None, prefix=prefix)[:limit]
    if as_json:
        print_json({"log": [asdict(item) for item in found]})
        return
    rows = [
        (
            _MARKS[item.change],
            shortened(item.root),
            _time(item.at_ns) if item.at_ns else "",
            " ".join(item.refs),
            item.note,
        )
        for item in found
    ]
    if rows:
        print_lines(table(("", "SNAPSHOT", "WRITTEN (UTC)", "REFS", "NOTE"), rows))
    else:
        print_notes(["Nothing."])


@store.command(epilog="Example: autovibe store cat 1a2b3c4d src/app.py")
@click.argument("snapshot_name", metavar="SNAPSHOT")
@click.argument("path")
@root_option
@store_options
def cat(
    *,
    snapshot_name: str,
    path: str,
    root_name: str,
    store_path: Path | None,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Write the content of a file to standard output."""
    opened = open_store(store_path, key_file)
    root = opened.resolve(snapshot_name)
    pieces = opened.cat(root, inside(opened, root, root_name, path))
    if as_json:
        text = b"".join(pieces).decode("utf-8", "surrogateescape")
        print_json({"root": root, "path": path, "content": text})
        return
    for piece in pieces:
        write_bytes(piece, sys.stdout)


@store.command(epilog="Example: autovibe store fork 1a2b3c4d attempts/second")
@click.argument("source", metavar="SNAPSHOT")
@click.argument("name", metavar="REF")
@click.option("--note", default="", help="A few words that `list` and `log` show.")
@store_options
def fork(
    *,
    source: str,
    name: str,
    note: str,
    store_path: Path | None,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Begin another line with a snapshot.

    It gets one more name; nothing is copied.
    """
    root = open_store(store_path, key_file).fork(source, name, note=note)
    if as_json:
        print_json({"ref": name, "root": root})
    else:
        print_notes([f"{name} is {shortened(root)}."])
