"""What is known of changes before a snapshot looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

WALK: Final = "walk"


@dataclass(frozen=True, slots=True)
class Hint:
    """What a tracker knows of the roots; without one every entry is looked at.

    `paths` begin with the name of their root (see `ChangeTracker`); None: anything may have
    changed. `reread` are inodes that processes map. `audit` asks for a look at every entry even so,
    and is called after it to learn what has changed meanwhile. `resident` says that the tree will
    be looked at again and again, which is worth a second process.
    """

    detection: str = WALK
    paths: Collection[bytes] | None = None
    reread: frozenset[int] = frozenset()
    audit: Callable[[], Collection[bytes] | None] | None = None
    resident: bool = False


NOTHING_KNOWN: Final = Hint()
