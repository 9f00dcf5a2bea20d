"""Named points at which a process can be made to kill itself, to prove what a crash leaves behind.

`AUTOVIBE_FAULT=name` kills the process by SIGKILL the first time it comes to that point,
`AUTOVIBE_FAULT=name:3` the third time. Without it a point costs the test of an empty list.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final

VARIABLE: Final = "AUTOVIBE_FAULT"

STORE: Final = (
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
"""Points of the checkpoint store, in the order in which a snapshot comes to them."""

JOURNAL: Final = (
    "journal_created",  # complete, in tmp/
    "journal_shown",
    "journal_written",  # a transaction that is not durable
    "journal_synced",  # durable, and nobody else knows
    "journal_acknowledged",
    "ref_voided",
    "journal_copied",  # its objects are in a pack, too
    "journal_folded",  # its refs are files, too
    "journal_retired",  # it says of itself that it is void
)
"""Points of a journal of the checkpoint store, from its making to its end."""

PRUNE: Final = (
    "packs_rewritten",  # new packs, durable and invisible
    "epoch_begun",  # nothing is removed yet
    "packs_replaced",  # every object of the old packs is in new ones, too
    "index_removed",  # a pack without its index
    "pack_removed",
)
"""Points of a prune or repair of the checkpoint store."""

RUN: Final = (
    "before_claim",  # a task in the queue that nobody is going to take
    "order_claimed",  # a lease without a machine
    "machine_recorded",  # a row without a process
    "machine_spawned",  # a process that its row does not name yet
    "before_hold",
    "after_hold",
    "before_forward",
    "after_forward",  # the provider has the request and has begun to answer
    "first_byte",
    "last_byte",
    "before_settle",
    "after_settle",
    "reference_written",  # a reference without a row (decision E2)
    "checkpoint_recorded",
    "before_final_checkpoint",
    "before_finish",  # the machine has ended, its execution has not
    "after_finish",
)
"""Points of a run, from the claim of its order to its end."""

RECOVERY: Final = (
    "machines_ended",  # nothing of them runs, their rows say it does
    "executions_abandoned",  # their tasks can be resumed, their calls are open
    "holds_recovered",  # all is done, and the dead instance is still named
)
"""Points of ending what a dead control plane left."""

APPLY: Final = (
    "blobs_written",  # objects in the user's repository that nothing names
    "commit_made",  # a commit that no branch names
    "branch_made",  # a branch that the task does not know
)
"""Points of `apply`."""

ARCHIVE: Final = (
    "archive_written",  # complete, under a temporary name
    "archive_kept",  # verified, with its manifest; its rows are there still
    "archive_slice_deleted",
)
"""Points of archiving old rows."""

POINTS: Final = frozenset((*STORE, *JOURNAL, *PRUNE, *RUN, *RECOVERY, *APPLY, *ARCHIVE))

_hooks: Final[list[Callable[[str], None]]] = []


def reach(point: str) -> None:
    """Say that the process is at a named point; does nothing unless a test asked for it."""
    if _hooks:
        for hook in _hooks:
            hook(point)


def on_point(hook: Callable[[str], None]) -> None:
    """Call `hook` at every point from now on, in this process."""
    _hooks.append(hook)


class _Kill:
    """Ends the process by a signal that nothing can catch, at one point."""

    def __init__(self, wanted: str) -> None:
        name, _, number = wanted.partition(":")
        if name not in POINTS or not (number or "1").isdecimal():
            # A name that is none would be a test that proves nothing.
            raise SystemExit(f"{VARIABLE}={wanted} names no fault point; see {__file__}.")
        self._name = name
        self._left = int(number or 1)

    def __call__(self, point: str) -> None:
        if point == self._name:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


if _wanted := os.environ.get(VARIABLE):
    on_point(_Kill(_wanted))
