"""The store as a process of its own: `python -m autovibe.store snapshot|serve|verify|prune|…`.

Genesis import, verification and prune run here (decision A9), away from the threads of the control
plane.
Output is one JSON object a line, by its "event": progress while it works, read when a snapshot has
read everything, and last result or error. The exit status is 0 when all went well, else 1; a
verification that found damage ends with a result and 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import autovibe.store as package
from autovibe.kernel.clock import SystemClock
from autovibe.kernel.errors import AutovibeError
from autovibe.store.core import StoreCore
from autovibe.store.exclude import Exclude
from autovibe.store.kept import snapshot_with_kept
from autovibe.store.sealing import parse_key
from autovibe.store.tracking import DETECTIONS

if TYPE_CHECKING:
    from autovibe.kernel.clock import Clock
    from autovibe.store.model import Progress, Snapshot

_PROGRESS_EVERY_S: Final = 0.1
_NICE: Final = 10
AnyStore = TypeVar("AnyStore", bound=StoreCore)


class _Reporter:
    """Writes events, progress at most ten times a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = clock.monotonic()

    def emit(self, event: str, **fields: object) -> None:
        """Write one line at once."""
        sys.stdout.write(json.dumps({"event": event, **fields}))
        sys.stdout.write("\n")
        sys.stdout.flush()

    def progress(self, at: Progress) -> None:
        """Write how far it is, unless that was written a moment ago."""
        now = self._clock.monotonic()
        if now - self._last >= _PROGRESS_EVERY_S:
            self._last = now
            self.emit("progress", **dataclasses.asdict(at))


def _named_root(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        msg = f"{text!r} is not NAME=DIRECTORY"
        raise argparse.ArgumentTypeError(msg)
    return name, Path(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m autovibe.store", description=__doc__)
    parser.add_argument("--store", type=Path, required=True, help="directory of the store")
    parser.add_argument("--key-file", type=Path, help="the key of an encrypted store")
    commands = parser.add_subparsers(dest="command", required=True)
    snapshot = commands.add_parser("snapshot", help="capture directories")
    snapshot.add_argument("--root", type=_named_root, action="append", required=True)
    snapshot.add_argument("--exclude", action="append", default=[], metavar="GLOB")
    snapshot.add_argument(
        "--exclude-in", action="append", metavar="NAME", help="roots that --exclude is for"
    )
    snapshot.add_argument(
        "--whole", action="store_true", help="read all of it back, and store again what is damaged"
    )
    snapshot.add_argument("--ref", help="name the snapshot, such as checkpoints/ID")
    restore = commands.add_parser("restore", help="write a snapshot into a directory")
    restore.add_argument("root")
    restore.add_argument("dest", type=Path)
    restore.add_argument("--path", default="")
    restore.add_argument("--exact", action="store_true")
    restore.add_argument("--onto-same", action="store_true")
    serve = commands.add_parser("serve", help="watch directories and wait to be asked")
    serve.add_argument("--root", type=_named_root, action="append", required=True)
    serve.add_argument("--detection", choices=DETECTIONS, default=DETECTIONS[0])
    verify = commands.add_parser("verify", help="read objects back and hash them again")
    verify.add_argument("root")
    verify.add_argument(
        "--objects-from",
        metavar="FILE",
        help="a file with the ids to check, one a line, - for standard input; all by default",
    )
    verify.add_argument("--alone", action="store_true", help="use one processor only")
    commands.add_parser("audit", help="read all that refs need, and name the refs with damage")
    prune = commands.add_parser("prune", help="give back the space of what no ref needs")
    prune.add_argument("--grace-s", type=int, required=True, help="seconds after its last ref")
    prune.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    return parser


def _open(options: argparse.Namespace, kind: type[AnyStore]) -> AnyStore:
    serves = options.command == "serve"
    if not serves:  # a tenth of the time would go into looking for circles that are not there
        gc.disable()
    return kind.open(
        options.store,
        key=parse_key(options.key_file.read_bytes()) if options.key_file else None,
        create=serves or options.command == "snapshot",
        journal=serves,
    )


def _run(options: argparse.Namespace, reporter: _Reporter) -> int:
    if options.command == "snapshot" and not options.whole:
        core = _open(options, StoreCore)
        _name_and_tell(core, _snapshot(core, options, reporter), options, reporter)
        return 0
    if options.command == "restore":
        restored = _open(options, StoreCore).restore(
            options.root,
            options.dest,
            path=options.path,
            exact=options.exact,
            onto_same=options.onto_same,
            progress=reporter.progress,
        )
        reporter.emit("result", **dataclasses.asdict(restored))
        return 0
    # The rest is loaded only now: what is above takes no longer than to load it.
    store = _open(options, package.Store)
    if options.command == "serve":
        resident = package.Resident(store, dict(options.root), detection=options.detection)
        resident.serve(lambda: reporter.emit("ready", detection=resident.tree.detection))
        return 0
    if options.command == "snapshot":
        taken = _snapshot(store, options, reporter)
        if not store.verify(taken.root, progress=reporter.progress).ok:
            # What this process has found damaged it does not rely on again.
            taken = _snapshot(store, options, reporter)
        _name_and_tell(store, taken, options, reporter)
        return 0
    if options.command in {"audit", "prune"}:
        return _upkeep(store, options, reporter)
    chosen = _ids(options.objects_from) if options.objects_from else None
    verified = store.verify(
        options.root, objects=chosen, alone=options.alone, progress=reporter.progress
    )
    reporter.emit("result", **dataclasses.asdict(verified))
    return 0 if verified.ok else 1


def _name_and_tell(
    store: StoreCore, taken: Snapshot, options: argparse.Namespace, reporter: _Reporter
) -> None:
    if options.ref:
        store.write_ref(options.ref, taken.root)
    # No copies: of a large tree there are a hundred thousand new objects.
    told = {field.name: getattr(taken, field.name) for field in dataclasses.fields(taken)}
    reporter.emit("result", **told)


def _snapshot(store: StoreCore, options: argparse.Namespace, reporter: _Reporter) -> Snapshot:
    chosen = frozenset(options.exclude_in) if options.exclude_in else None
    exclude = Exclude(tuple(options.exclude), chosen) if options.exclude else None
    roots = dict[str, Path](options.root)
    return snapshot_with_kept(
        store,
        roots,
        exclude=exclude,
        afresh=options.whole,
        on_read=lambda: reporter.emit("read"),
        progress=reporter.progress,
    )


def _upkeep(store: package.Store, options: argparse.Namespace, reporter: _Reporter) -> int:
    """Do what reads or writes the whole store, on one core, and after whoever else wants it."""
    os.nice(_NICE)
    if options.command == "audit":
        found = store.audit(progress=reporter.progress)
        reporter.emit("result", **dataclasses.asdict(found))
        return 0 if found.ok else 1
    done = store.prune(
        grace=timedelta(seconds=options.grace_s),
        dry_run=options.dry_run,
        progress=reporter.progress,
    )
    told = dataclasses.asdict(done)
    # Counted only: there may be a million of them.
    told["refs_kept"] = len(done.refs_kept)
    del told["refs_removed"]
    reporter.emit("result", **told)
    return 0


def _ids(file: str) -> list[str]:
    return (sys.stdin.read() if file == "-" else Path(file).read_text("ascii")).split()


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(arguments)
    reporter = _Reporter(SystemClock())
    try:
        return _run(options, reporter)
    except AutovibeError as error:
        reporter.emit(
            "error",
            code=error.code.value,
            reason=error.reason,
            message=error.message,
            params=error.params,
        )
    except OSError as error:
        reporter.emit("error", code="INTERNAL", reason="INTERNAL", message=str(error), params={})
    return 1


if __name__ == "__main__":
    sys.exit(main())
