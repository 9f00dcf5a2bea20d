"""Named points at which a test may stop a process, to prove what a crash leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

POINTS: Final = (
    "pack_created",
    "pack_appended",
    "tree_read",
    "pack_synced",
    "index_synced",
    "pack_renamed",
    "index_renamed",
    "packs_synced",
    "ref_synced",
    "ref_renamed",
    "file_restored",
)

_hooks: list[Callable[[str], None]] = []


def reached(point: str) -> None:
    """Tell the hooks that the process is at a named point; does nothing in production."""
    for hook in _hooks:
        hook(point)


def on_point(hook: Callable[[str], None]) -> None:
    """Call `hook` at every point from now on, in this process."""
    _hooks.append(hook)
