"""No tracking at all: every snapshot looks at every entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autovibe.store.hint import WALK

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class WalkTracker:
    """Works on every file system and knows nothing."""

    detection = WALK

    def start(self, roots: Mapping[str, Path]) -> None:
        """Watch nothing."""

    def changed(self) -> set[bytes] | None:
        """Return None: everything may have changed."""
        return None

    def close(self) -> None:
        """Do nothing."""
