"""`autovibe store serve`: watch a directory, so that a snapshot of it takes milliseconds."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from autovibe.cli.local.store_base import read_key, store_directory, store_options
from autovibe.cli.output import print_json, print_notes
from autovibe.store import Store
from autovibe.store.resident import Resident
from autovibe.store.tracking import DETECTIONS


@click.command(epilog="Example: autovibe store serve . --store /srv/snapshots")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--root", "root_name", default="workspace", show_default=True, help="Its root.")
@click.option("--detection", type=click.Choice(DETECTIONS), default=DETECTIONS[0])
@store_options
def serve(
    *,
    directory: Path,
    root_name: str,
    detection: str,
    store_path: Path | None,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Watch a directory, and take a snapshot of it whenever another program asks.

    It runs until it is interrupted, and prints the command that asks.
    """
    path = store_directory(store_path)
    opened = Store.open(path, key=read_key(key_file), journal=True)
    resident = Resident(opened, {root_name: directory}, detection=detection)
    words = ("-S", "-m", "autovibe.cli.ask_store", str(path), "REF", f"{root_name}={directory}")
    asking = shlex.join([sys.executable, *words])

    def ready() -> None:
        if as_json:
            print_json({"detection": resident.tree.detection, "ask": asking})
        else:
            print_notes([f"Watching by {resident.tree.detection}. To take a snapshot: {asking}"])

    try:
        resident.serve(ready)
    except KeyboardInterrupt:
        opened.close()
