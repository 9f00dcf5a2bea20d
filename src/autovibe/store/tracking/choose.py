"""Which tracker serves a tree here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autovibe.store.hint import WALK
from autovibe.store.tracking.contract import TrackingUnavailableError
from autovibe.store.tracking.fanotify import FanotifyTracker
from autovibe.store.tracking.inotify import InotifyTracker
from autovibe.store.tracking.walking import WalkTracker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from autovibe.store.tracking.contract import ChangeTracker

AUTO: Final = "auto"
DETECTIONS: Final = (AUTO, "inotify", "fanotify", WALK)
# A mark on a file system hears of every machine's files: with n machines n times as many events
# as there are. A watch hears of its own directory only, so inotify comes first while it has room.
_ORDER: Final = {
    AUTO: (InotifyTracker, FanotifyTracker),
    "inotify": (InotifyTracker,),
    "fanotify": (FanotifyTracker,),
    WALK: (),
}


def choose(roots: Mapping[str, Path], wanted: str = AUTO) -> ChangeTracker:
    """Start the best tracker that the kernel gives us; the walk where there is none.

    Args:
        roots: what to watch.
        wanted: one of `DETECTIONS`.
    """
    for kind in _ORDER[wanted]:
        tracker = kind()
        try:
            tracker.start(roots)
        except TrackingUnavailableError:
            continue
        return tracker
    return WalkTracker()
