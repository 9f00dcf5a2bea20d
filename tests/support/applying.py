"""Applying results in tests: an imported directory, and the machine that works on it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from plane import run_git

from autovibe.domains.checkpoints.git import find_work_tree
from autovibe.domains.work import HistoryReader
from autovibe.domains.work.apply import Applied, ApplyPlan, apply_result
from autovibe.kernel.text import utf8
from autovibe.store import Store

TASK = "6f2b7c1e-0000-4000-8000-000000000001"


@dataclass
class Work:
    """A directory that was imported, and the workspace of the machine that works on it."""

    store: Store
    directory: Path
    workspace: Path
    plan: ApplyPlan

    async def apply(self, history: HistoryReader | None = None, **fields: Any) -> Applied:
        """Take the workspace as the result and apply it; nothing of the user's may change."""
        home = self.workspace.parent / "home"
        snapshot = self.store.snapshot({"workspace": self.workspace, "home": home})
        top = self.directory if self.directory.is_dir() else self.directory.parent
        before = bytes_of(top)
        try:
            return await apply_result(
                self.store, replace(self.plan, result_root=snapshot.root, **fields), history
            )
        finally:
            assert bytes_of(top) == before


def bytes_of(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Return every byte of work tree, index, HEAD and settings, without what a commit adds."""
    found: dict[str, tuple[int, bytes]] = {}
    for folder, folders, files in os.walk(directory):
        if folder.endswith(".git"):
            folders[:] = [name for name in folders if name in {"hooks", "info", "worktrees"}]
        for name in [*files, *folders]:
            path = Path(folder) / name
            mode = path.lstat().st_mode
            if path.is_symlink():
                content = os.fsencode(path.readlink())
            else:
                content = path.read_bytes() if path.is_file() else b""
            found[str(path.relative_to(directory))] = (mode, content)
    return found


Start = Callable[..., Any]


def tree_of(repository: Path, commit: str) -> dict[str, str]:
    """Return the mode of every path of a commit."""
    listing = run_git(repository, "ls-tree", "-r", "-z", commit)
    records = (record.partition("\t") for record in listing.split("\0") if record)
    return {path: state.split(" ")[0] for state, _, path in records}


def blob_of(repository: Path, commit: str, path: str) -> bytes:
    done = subprocess.run(
        ["git", "cat-file", "blob", f"{commit}:{path}"],
        cwd=repository,
        check=True,
        capture_output=True,
    )
    return done.stdout


def content_of(repository: Path, commit: str) -> dict[str, bytes]:
    return {path: blob_of(repository, commit, path) for path in tree_of(repository, commit)}


@pytest.fixture
def start(tmp_path: Path):
    """Give a function that imports a directory and lets a machine begin to work on it."""
    store = Store.open(tmp_path / "store")

    async def begin(directory: Path, exclude: Any = None) -> Work:
        home = tmp_path / "machine" / "home"
        home.mkdir(parents=True)
        base = store.snapshot({"workspace": directory, "home": home}, exclude=exclude)
        tree = await find_work_tree(directory)
        workspace = tmp_path / "machine" / "workspace"
        store.restore(base.root, workspace, path="workspace")
        plan = ApplyPlan(
            task_id=TASK,
            title="Fix the greeting",
            directory=directory,
            head_commit=tree.head_commit if tree else "",
            dirty_paths=[utf8(path) for path in tree.dirty_paths] if tree else [],
            base_root=base.root,
            result_root=base.root,
            branch="autovibe/6f2b7c1e",
            include_ignored=False,
        )
        return Work(store, directory, workspace, plan)

    return begin
