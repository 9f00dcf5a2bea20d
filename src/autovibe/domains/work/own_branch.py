"""Recognising a branch that an earlier `apply` of the same task made and could not record.

Between making the branch and noting it on the task a process may die (decision A5). The next
`apply` picks it up, if its commits are what it would make itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from autovibe.domains.checkpoints.git import git

TRAILER: Final = "Autovibe-Task"


async def carries_task(directory: Path, ref: str, task_id: str) -> bool:
    """Return whether the newest commit of a branch says that it is of a task."""
    wanted = f"--format=%(trailers:key={TRAILER},valueonly)"
    told = await git(directory, "log", "-1", wanted, ref, "--", check=False)
    return told.status == 0 and os.fsdecode(told.out).split() == [task_id]


async def find_same(directory: Path, branch: str, base: str, commit: str) -> str | None:
    """Return the tip of a branch, if it is on top of `base` what `commit` is.

    Same trees under the same messages; only the times of the commits differ. `None` when there is
    no such branch, or something else on it.
    """
    ref = f"refs/heads/{branch}"
    tip = await git(directory, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", check=False)
    if tip.status != 0:
        return None
    name = os.fsdecode(tip.out).strip()
    same = await _content(directory, base, name) == await _content(directory, base, commit)
    return name if same else None


async def _content(directory: Path, base: str, commit: str) -> bytes:
    listed = await git(
        directory, "log", "--topo-order", "-z", "--format=%T%n%B", commit, f"^{base}", "--"
    )
    return listed.out


async def first_above(directory: Path, base: str, tip: str) -> str:
    """Return the commit of a branch that all others above `base` go on from."""
    listed = await git(directory, "rev-list", "--topo-order", "--reverse", tip, f"^{base}", "--")
    return os.fsdecode(listed.out).split()[0]
