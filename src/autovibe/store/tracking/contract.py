"""What any source of changes does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from autovibe.kernel.errors import AutovibeError, Code

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class TrackingUnavailableError(AutovibeError):
    """The kernel does not watch this tree for us."""

    code = Code.UNAVAILABLE
    reason = "TRACKING_UNAVAILABLE"


class ChangeTracker(Protocol):
    """Collects which paths of a live tree may have changed.

    A path is the name of its root and what lies below it, joined by `/`. One that is in the set
    stands for its name, its content and attributes and, when it is a directory, for everything
    below; one that ends with `/` for a directory itself and its names alone. Naming too much is
    allowed, naming too little never: a tracker that cannot be sure says None. Used by one thread at
    a time.
    """

    @property
    def detection(self) -> str:
        """How it finds out, in one word; snapshots record it."""
        ...

    def start(self, roots: Mapping[str, Path]) -> None:
        """Begin to watch; what happens after this returns is not missed.

        Raises:
            TrackingUnavailableError: the kernel refuses; nothing is left open.
        """
        ...

    def changed(self) -> set[bytes] | None:
        """Return what may have changed since `start` or the last call.

        None: events were lost, so that everything may have. It goes on watching in either case.
        """
        ...

    def close(self) -> None:
        """Stop watching. Calling twice is allowed."""
        ...
