"""A process that watches a tree, and takes a snapshot of it whenever it is asked over a socket.

Whoever asks (`python -m autovibe.cli.ask_store`) needs nothing of ours in its own process, neither
the store nor what is known of the tree: its whole life is shorter than the start of a walk.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
from binascii import crc32
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from autovibe.kernel.errors import AutovibeError, InvalidArgumentError
from autovibe.store.errors import StoreBusyError
from autovibe.store.opening import closing
from autovibe.store.refs import NewRef
from autovibe.store.tracking.choose import AUTO, choose
from autovibe.store.tracking.tracked import TrackedTree

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from autovibe.store.store import Store

DIRECTORY: Final = "resident"
_LONGEST: Final = 1 << 16
_PATIENCE_S: Final = 5.0


def socket_name(roots: Mapping[str, str]) -> str:
    """Return the name of the socket at which these roots are served."""
    named = "\n".join(f"{name}={path}" for name, path in sorted(roots.items()))
    return f"{crc32(os.fsencode(named)):08x}.sock"


class Resident:
    """Serves one tree, one request at a time."""

    def __init__(self, store: Store, roots: Mapping[str, Path], *, detection: str = AUTO) -> None:
        """Watch the tree, and take the snapshot that all later ones go on from.

        Raises:
            PathNotFoundError: a root is no directory that can be opened.
            StoreFullError: no space is left.
            StoreReadOnlyError: the store cannot be written.
        """
        self._store = store
        self._roots = {name: str(path.resolve()) for name, path in roots.items()}
        trees = {name: Path(path) for name, path in self._roots.items()}
        self.tree = TrackedTree(store, trees, choose(trees, detection))
        self.tree.snapshot()

    def serve(self, ready: Callable[[], None]) -> None:
        """Answer requests for ever; `ready` is called when the first can come.

        Raises:
            StoreBusyError: another process serves this tree.
        """
        with self._listening() as listener:
            ready()
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):  # who asked is gone
                    connection.settimeout(_PATIENCE_S)
                    connection.sendall(self._answer(_line(connection)))

    @contextlib.contextmanager
    def _listening(self) -> Generator[socket.socket]:
        directory = self._store.path / DIRECTORY
        directory.mkdir(mode=0o700, exist_ok=True)
        name = socket_name(self._roots)
        with (
            closing(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as fd,
            socket.socket(socket.AF_UNIX) as listener,
        ):
            path = f"/proc/self/fd/{fd}/{name}"  # a longer one would not fit
            with socket.socket(socket.AF_UNIX) as other:
                if other.connect_ex(path) == 0:
                    msg = f"Another process serves this tree in {self._store.path}: end it first."
                    raise StoreBusyError(msg, path=str(self._store.path))
            (directory / name).unlink(missing_ok=True)
            listener.bind(path)
            listener.listen()
            try:
                yield listener
            finally:
                (directory / name).unlink(missing_ok=True)

    def _answer(self, line: bytes) -> bytes:
        try:
            answer = {"event": "result", **self._snapshot(line)}
        except AutovibeError as error:
            answer = {"event": "error", "reason": error.reason, "message": error.message}
        return json.dumps(answer).encode() + b"\n"

    def _snapshot(self, line: bytes) -> dict[str, object]:
        try:
            asked = cast("dict[str, object]", json.loads(line))
            ref, roots = asked["ref"], asked["roots"]
        except (ValueError, KeyError, TypeError):
            msg = "A request is one line of JSON with the members ref and roots."
            raise InvalidArgumentError(msg, what="request") from None
        if roots != self._roots or not isinstance(ref, str):
            msg = "This process serves another tree: ask for the directories it was started with."
            raise InvalidArgumentError(msg, what="roots")
        return dataclasses.asdict(self.tree.snapshot(ref=NewRef(ref)))


def _line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < _LONGEST:
        more = connection.recv(_LONGEST)
        if not more:
            break
        data += more
    return data
