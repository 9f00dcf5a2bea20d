"""What the commands on a checkpoint store share: opening it, showing how far a long one is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from autovibe.cli.client.command import json_option
from autovibe.cli.client.waiting import waiting
from autovibe.cli.render import plural, size
from autovibe.cli.signals import Interrupts, run_with_interrupts
from autovibe.cli.view import progress_view
from autovibe.kernel.errors import AutovibeError, Code, InvalidArgumentError
from autovibe.kernel.settings import load_settings
from autovibe.store import Progress, Store, parse_key

F = TypeVar("F", bound="Callable[..., Any]")
T = TypeVar("T")

DATABASE: Final = "autovibe.db"
_DIGITS: Final = 12


class StoreOwnedError(AutovibeError):
    """The store belongs to the control plane of a home, which decides what it keeps."""

    code = Code.FAILED_PRECONDITION
    reason = "STORE_OWNED"


class _StoppedError(Exception):
    """The command was interrupted: what it does in its thread ends here."""


def store_options(function: F) -> F:
    """Add `--store`, `--key-file` and `--json`."""
    function = click.option(
        "--key-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="The key of an encrypted store: 32 bytes or 64 hexadecimal digits.",
    )(function)
    function = click.option(
        "--store",
        "store_path",
        type=click.Path(path_type=Path),
        help="The store's directory; that of the home by default.",
    )(function)
    return json_option(function)


def root_option(function: F) -> F:
    """Add `--root`, the part of a snapshot that paths are in."""
    return click.option(
        "--root",
        "root_name",
        default="",
        help="The root that paths are in; the only one, or else workspace, by default.",
    )(function)


def store_directory(store_path: Path | None) -> Path:
    """Return the directory of the store that a command is for."""
    return load_settings().store_path if store_path is None else store_path.expanduser().absolute()


def is_owned(path: Path) -> bool:
    """Say whether the control plane of a home keeps its checkpoints in a store."""
    own = load_settings().store_path
    return path.resolve() == own.resolve() or (path.resolve().parent / DATABASE).exists()


def read_key(key_file: Path | None) -> bytes | None:
    """Read a key file.

    Raises:
        StoreKeyError: it holds no key.
    """
    return None if key_file is None else parse_key(key_file.read_bytes())


def open_store(store_path: Path | None, key_file: Path | None, *, create: bool = False) -> Store:
    """Open the store that a command is for.

    Raises:
        StoreNotFoundError: there is none.
        StoreKeyError: the key is missing or wrong.
    """
    if store_path is None and key_file is None:
        key_file = load_settings().checkpoints.key_file
    return Store.open(store_directory(store_path), key=read_key(key_file), create=create)


def inside(store: Store, snapshot: str, root_name: str, path: str) -> str:
    """Return a path as the store takes it: with the name of the root before it.

    Raises:
        InvalidArgumentError: the snapshot has several roots and none was chosen.
    """
    names = store.roots(snapshot)
    if not root_name and len(names) > 1 and "workspace" not in names:
        msg = f"This snapshot has the roots {', '.join(names)}: choose one by --root."
        raise InvalidArgumentError(msg, what="root")
    chosen = root_name or (names[0] if len(names) == 1 else "workspace")
    return f"{chosen}/{path.strip('/')}".rstrip("/")


def shortened(root: str) -> str:
    """Return the first digits of a root, which every command takes in its place."""
    return root[:_DIGITS]


class Work:
    """How far an operation in another thread is, and how it is told to stop."""

    def __init__(self, total: int) -> None:
        """Expect so many items; 0 when that is not known."""
        self._total = total
        self._at: Progress | None = None
        self._stopped = False

    def take(self, at: Progress) -> None:
        """Take what the operation says of itself."""
        self._at = at
        if self._stopped:
            raise _StoppedError

    def stop(self) -> None:
        """Let the operation end when it next says something."""
        self._stopped = True

    def how_far(self) -> tuple[str, float | None]:
        """Return what was said last, and the share done."""
        at = self._at
        if at is None:
            return "", None
        share = min(1.0, at.items / self._total) if self._total else None
        noun = "object" if at.phase in {"verify", "prune"} else "file"
        return f"{plural(at.items, noun)}, {size(at.bytes)}", share


def work(doing: str, body: Callable[[Callable[[Progress], None]], T], *, total: int = 0) -> T:
    """Run an operation, and show on a terminal how far it is.

    Args:
        doing: what it does, for people.
        body: the operation; takes what is called with its progress.
        total: how many items there are; 0 when that is not known.

    Raises:
        InterruptedByUserError: a signal ended it.
    """

    async def run(_interrupts: Interrupts) -> T:
        view = progress_view()
        at = Work(total)
        try:
            async with waiting(view, doing, how_far=at.how_far):
                return await asyncio.to_thread(body, at.take)
        finally:
            at.stop()
            view.close()

    return run_with_interrupts(run)
