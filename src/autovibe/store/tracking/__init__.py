"""Knowing what has changed in a live tree without looking at all of it (docs/decisions/0014)."""

from __future__ import annotations

from autovibe.store.tracking.choose import DETECTIONS, choose
from autovibe.store.tracking.contract import ChangeTracker, TrackingUnavailableError
from autovibe.store.tracking.fanotify import FanotifyTracker
from autovibe.store.tracking.inotify import InotifyTracker
from autovibe.store.tracking.mapped import shared_writable_inodes
from autovibe.store.tracking.tracked import TrackedTree
from autovibe.store.tracking.walking import WalkTracker

__all__ = [
    "DETECTIONS",
    "ChangeTracker",
    "FanotifyTracker",
    "InotifyTracker",
    "TrackedTree",
    "TrackingUnavailableError",
    "WalkTracker",
    "choose",
    "shared_writable_inodes",
]
