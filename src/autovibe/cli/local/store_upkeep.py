"""`autovibe store`: what keeps a store whole and small, and moves snapshots between stores."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import IO, Final

import click

from autovibe.cli.local.store_base import (
    StoreOwnedError,
    inside,
    is_owned,
    open_store,
    root_option,
    shortened,
    store_directory,
    store_options,
    work,
)
from autovibe.cli.output import discard, print_json, print_lines, print_notes
from autovibe.cli.render import pairs, plural, size
from autovibe.kernel.clock import SystemClock
from autovibe.kernel.errors import (
    EXIT_FAILED,
    EXIT_OK,
    AutovibeError,
    Code,
    InvalidArgumentError,
)
from autovibe.kernel.settings import load_settings
from autovibe.store import Damage, KeepRules, PruneResult, Store

_SHOWN: Final = 20
_GRACE: Final = timedelta(days=14)
_REPAIR: Final = (
    "Repair it from a copy: `autovibe store check --repair --from DIR`. Without a copy, snapshot "
    "the files that are still there into a new store, and repair from that."
)
_TIME: Final = re.compile(r"(\d{1,6})([smhdwy]?)", re.ASCII)
_UNITS: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}


class ArchiveUnwritableError(AutovibeError):
    """The file of an archive cannot be written."""

    code = Code.FAILED_PRECONDITION
    reason = "STORE_ARCHIVE_UNWRITABLE"


class Duration(click.ParamType[timedelta]):
    """A time such as 12h, 30d, 8w or 2y; 0 is allowed."""

    name = "time"

    def convert(
        self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Read the time."""
        if isinstance(value, timedelta):
            return value
        match = _TIME.fullmatch(value.strip())
        if match is None:
            self.fail(f"{value!r} is no time such as 12h, 30d, 8w or 2y", param, ctx)
        return int(match[1]) * _UNITS[match[2] or "s"]


@click.command(epilog="Example: autovibe store verify --share 0.1")
@click.argument("snapshot_name", metavar="[SNAPSHOT]", default="")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    help="Read only this part of the objects, chosen at random.",
)
@click.option("--seed", type=int, help="Choose the same part again.")
@store_options
def verify(
    *,
    snapshot_name: str,
    share: float,
    seed: int | None,
    store_path: Path | None,
    key_file: Path | None,
    as_json: bool,
) -> int:
    """Read snapshots back and hash them again.

    One, or all that have a ref. Exit status 1 if something is damaged or missing.
    """
    opened = open_store(store_path, key_file)
    root = opened.resolve(snapshot_name) if snapshot_name else None
    chosen = seed if seed is not None else int(SystemClock().now().timestamp())
    found = work(
        "reading everything back",
        lambda progress: opened.verify(root, share=share, seed=chosen, progress=progress),
        total=round(opened.stats().objects * share),
    )
    if as_json:
        print_json({"seed": chosen, **asdict(found)})
    else:
        _show_damage(found.missing, "missing")
        _show_damage(found.corrupt, "damaged")
        state = "whole" if found.ok else "DAMAGED"
        print_lines([f"{plural(found.objects, 'object')}, {size(found.bytes)} read: {state}."])
        if not found.ok:
            print_notes([_REPAIR])
    return EXIT_OK if found.ok else EXIT_FAILED


def _show_damage(damages: Sequence[Damage], state: str) -> None:
    for damage in damages[:_SHOWN]:
        paths = ", ".join(damage.paths[:3]) or "no path"
        print_lines([f"{state}: {shortened(damage.object)} of {paths}"])
    if len(damages) > _SHOWN:
        print_lines([f"{len(damages) - _SHOWN:,} more are {state}."])


@click.command(epilog="Example: autovibe store check --repair --from /srv/copy")
@click.option("--repair", is_flag=True, help="Mend what can be mended.")
@click.option(
    "--from",
    "source_path",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another store, to take good copies from.",
)
@click.option(
    "--from-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The key of that store.",
)
@store_options
def check(
    *,
    source_path: Path | None,
    from_key_file: Path | None,
    store_path: Path | None,
    key_file: Path | None,
    repair: bool,
    as_json: bool,
) -> int:
    """Read the whole store, and repair it if asked.

    Every pack and ref is read. Exit status 1 if anything is, or stays, damaged.
    """
    if source_path is not None and not repair:
        raise InvalidArgumentError("--from is for a repair; write --repair, too.")
    opened = open_store(store_path, key_file)
    source = None if source_path is None else open_store(source_path, from_key_file)
    found = work(
        "checking",
        lambda progress: opened.check(repair=repair, source=source, progress=progress),
        total=opened.stats().objects,
    )
    if as_json:
        print_json(asdict(found))
        return EXIT_OK if found.ok else EXIT_FAILED
    _show_damage(found.missing, "missing")
    _show_damage(found.corrupt, "damaged")
    print_lines([f"damaged index: {pack}" for pack in found.damaged_packs])
    print_lines([f"damaged ref: {name}" for name in found.damaged_refs])
    if found.unused_corrupt:
        print_lines([f"{plural(len(found.unused_corrupt), 'object')} that nothing needs: damaged."])
    if repair:
        print_lines(
            [
                (
                    f"{plural(len(found.repaired), 'object')} repaired, "
                    f"{plural(found.rewritten_packs, 'pack')} written anew."
                )
            ]
        )
    state = "whole" if found.ok else "DAMAGED"
    print_lines(
        [
            (
                f"{plural(found.packs, 'pack')}, {plural(found.objects, 'whole object')}, "
                f"{size(found.bytes)} read: {state}."
            )
        ]
    )
    if not found.ok:
        print_notes([_REPAIR])
    return EXIT_OK if found.ok else EXIT_FAILED


@click.command(epilog="Example: autovibe store prune --keep-last 10 --keep-daily 30 --dry-run")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--keep-last", type=click.IntRange(0), default=0, help="The newest so many.")
@click.option("--keep-within", type=Duration(), help="All that are not older, such as 30d.")
@click.option("--keep-hourly", type=click.IntRange(0), default=0, help="The last of each hour.")
@click.option("--keep-daily", type=click.IntRange(0), default=0, help="The last of each day.")
@click.option("--keep-weekly", type=click.IntRange(0), default=0, help="The last of each week.")
@click.option("--keep-monthly", type=click.IntRange(0), default=0, help="The last of each month.")
@click.option("--keep-yearly", type=click.IntRange(0), default=0, help="The last of each year.")
@click.option("--keep-ref", multiple=True, metavar="GLOB", help="Names to keep; may be repeated.")
@click.option("--prefix", default="", help="Look only at refs whose name begins so.")
@click.option(
    "--grace",
    type=Duration(),
    help="How long a snapshot stays after its last ref was deleted: 14d by default, or as long as "
    "the database of a home can be taken back.",
)
@store_options
def prune(
    *,
    keep_last: int,
    keep_within: timedelta | None,
    keep_hourly: int,
    keep_daily: int,
    keep_weekly: int,
    keep_monthly: int,
    keep_yearly: int,
    keep_ref: Sequence[str],
    prefix: str,
    grace: timedelta | None,
    store_path: Path | None,
    key_file: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Give back the space of what no ref needs.

    Refs that no rule keeps are deleted before. Without a rule every ref stays. The rules count in
    each namespace by itself. In the store of a home rules that would delete a ref are refused:
    what may go there is decided by autovibe itself.
    """
    opened = open_store(store_path, key_file)
    rules = KeepRules(
        last=keep_last,
        within=keep_within,
        hourly=keep_hourly,
        daily=keep_daily,
        weekly=keep_weekly,
        monthly=keep_monthly,
        yearly=keep_yearly,
        names=tuple(keep_ref),
        prefix=prefix,
    )
    chosen = None if rules == KeepRules(prefix=prefix) else rules
    kept_for = _grace_of(store_directory(store_path), grace, dry_run=dry_run)
    if chosen is not None:
        _refuse_if_owned(opened, store_directory(store_path), chosen)
    roots = {ref.name: ref.root for ref in opened.list_refs()}
    done = work(
        "pruning",
        lambda progress: opened.prune(chosen, grace=kept_for, dry_run=dry_run, progress=progress),
    )
    if as_json:
        print_json(asdict(done))
    else:
        _show_pruned(done, roots)


def _grace_of(path: Path, wanted: timedelta | None, *, dry_run: bool) -> timedelta:
    """Return the grace time: one that keeps what a database would name that is taken back.

    Raises:
        StoreOwnedError: the store is that of a home, and a shorter time is wanted (decision E2).
    """
    window = timedelta(days=load_settings().maintenance.restore_window_days)
    least = window if is_owned(path) else timedelta(0)
    if wanted is None:
        return max(_GRACE, least)
    if wanted < least and not dry_run:
        msg = (
            f"The database of {path.parent} can be taken back by {window.days} days, and would "
            f"then name what this prune removes: give --grace {window.days}d, or set "
            "maintenance.restore_window_days to how long backups of the database are kept."
        )
        raise StoreOwnedError(msg, path=str(path), grace_s=int(wanted.total_seconds()))
    return wanted


def _refuse_if_owned(opened: Store, path: Path, rules: KeepRules) -> None:
    """Let nobody delete behind the back of a database what it says is there.

    Raises:
        StoreOwnedError: the store is that of a home, and the rules do not keep every ref.
    """
    if is_owned(path) and rules.removed(opened.list_refs(), SystemClock().now()):
        msg = (
            f"The checkpoints in {path} belong to the control plane of {path.parent}: prune "
            "without --keep options, which keeps them all."
        )
        raise StoreOwnedError(msg, path=str(path))


def _show_pruned(done: PruneResult, roots: Mapping[str, str]) -> None:
    would = "would be " if done.dry_run else ""
    # In full: it is what the snapshot is taken back by within the grace time.
    print_lines([f"{name} {roots.get(name, '')}: {would}deleted" for name in done.refs_removed])
    print_lines(
        [
            (
                f"{plural(done.objects_removed, 'object')} {would}removed, the packs shrink from "
                f"{size(done.stored_before)} to {size(done.stored_after)}; "
                f"{plural(len(done.refs_kept), 'ref')} kept."
            )
        ]
    )
    if done.held_bytes:
        print_notes([f"{size(done.held_bytes)} more go when the grace time is over (--grace)."])
    if done.kept_packs:
        print_lines([f"{plural(len(done.kept_packs), 'pack')} left as they are; see store check."])


@click.command(epilog="Example: autovibe store stats --json")
@store_options
def stats(store_path: Path | None, key_file: Path | None, *, as_json: bool) -> None:
    """Count what is in the store, and what that saves."""
    opened = open_store(store_path, key_file)
    found = work("counting", lambda _: opened.stats(snapshots=True))
    if as_json:
        ratios = {"dedup_ratio": found.dedup_ratio, "compression_ratio": found.compression_ratio}
        print_json({"path": str(opened.path), **asdict(found), **ratios})
        return
    print_lines(
        pairs(
            [
                ("store", str(opened.path)),
                ("refs", f"{found.refs:,}"),
                ("snapshots", f"{found.snapshots:,}"),
                ("files in them", f"{found.snapshot_files:,}"),
                ("bytes in them", size(found.snapshot_bytes or 0)),
                ("distinct objects", f"{found.objects:,}"),
                ("bytes of objects", size(found.raw_bytes)),
                ("bytes on disk", size(found.stored_bytes)),
                ("packs", f"{found.packs:,}"),
                ("damaged packs", " ".join(found.damaged_packs)),
                ("shared", f"{found.dedup_ratio or 1:.2f} times"),
                ("compressed", f"{found.compression_ratio:.2f} times"),
            ]
        )
    )


@click.command(epilog="Example: autovibe store export 1a2b3c4d -o website.tar")
@click.argument("snapshot_name", metavar="SNAPSHOT")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; standard output by default.",
)
@click.option("--path", default="", help="Only this file or directory.")
@root_option
@store_options
def export(
    *,
    snapshot_name: str,
    output: Path | None,
    path: str,
    root_name: str,
    store_path: Path | None,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Write a snapshot as a tar archive.

    The whole one has its roots at the top, and `import` makes the same snapshot of it; with --root
    or --path it is what is in there.
    """
    opened = open_store(store_path, key_file)
    root = opened.resolve(snapshot_name)
    below = inside(opened, root, root_name, path) if root_name or path else ""
    if output is None and (as_json or sys.stdout.isatty()):
        raise InvalidArgumentError("The archive needs a file: write --output FILE.")

    def write(file: IO[bytes]) -> None:
        done = work(
            "writing the archive",
            lambda progress: opened.export(root, file, path=below, progress=progress),
        )
        if as_json:
            print_json({"root": root, "output": str(output), **asdict(done)})
        elif output is not None:
            print_lines([f"  {item.path}: {item.why}" for item in done.skipped])
            print_notes([f"Wrote {plural(done.files, 'file')}, {size(done.bytes)}, to {output}."])

    if output is None:
        try:
            write(sys.stdout.buffer)
            sys.stdout.flush()
        except BrokenPipeError:  # who reads has seen enough, as with `tar -t | head`
            discard(sys.stdout)
        return
    with _output_writes(output), output.open("xb") as file:
        try:
            write(file)
        except BaseException:
            output.unlink()
            raise


@contextlib.contextmanager
def _output_writes(output: Path) -> Generator[None]:
    """Turn the failures of writing a file into errors that people can act on.

    Raises:
        ArchiveUnwritableError: the archive cannot be written.
    """
    try:
        yield
    except OSError as error:
        msg = f"{output} cannot be written ({error.strerror}): choose another file."
        raise ArchiveUnwritableError(msg, path=str(output)) from error


@click.command("import", epilog="Example: autovibe store import website.tar snapshots/website/1")
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.argument("ref", metavar="REF")
@click.option("--root", "root_name", default="workspace", show_default=True, help="Its root.")
@click.option("--note", default="", help="A few words that `list` and `log` show.")
@store_options
def import_(
    *,
    archive: str,
    ref: str,
    root_name: str,
    note: str,
    store_path: Path | None,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Make a snapshot of a tar archive, and name it.

    ARCHIVE may be compressed; - is standard input.
    """
    opened = open_store(store_path, key_file)
    with click.open_file(archive, "rb") as file:
        taken = work(
            "reading the archive",
            lambda progress: opened.import_(file, name=root_name, progress=progress),
        )
    opened.write_ref(ref, taken.root, note=note)
    if as_json:
        print_json({"ref": ref, **asdict(taken)})
    else:
        print_notes(
            [
                (
                    f"{ref} is {shortened(taken.root)}: {plural(taken.file_count, 'file')}, "
                    f"{size(taken.total_bytes)}."
                )
            ]
        )
