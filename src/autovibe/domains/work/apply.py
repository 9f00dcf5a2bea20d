"""Putting the result of a task on a new branch of the user's repository (decision B10).

What came out of a machine is hostile: nothing of its `.git` is read, no filter, hook or attribute
runs, and index and work tree of the user are never touched.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autovibe.domains.checkpoints.git import GitFailedError, git, ignored_paths
from autovibe.domains.work.errors import (
    BaseCommitMissingError,
    BranchExistsError,
    NotARepositoryError,
    NothingToApplyError,
    UnsafePathsError,
)
from autovibe.kernel.text import printable
from autovibe.store import Change, CheckpointStore, Entry

_ZERO: Final = "0" * 40
_WORKSPACE: Final = "workspace"
_SHOWN_PATHS: Final = 10
# Code points that HFS+ ignores in names, so that ".g\u200cit" would be ".git" there.
_HFS_IGNORED: Final = dict.fromkeys(
    [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF]
)


@dataclass(frozen=True)
class ApplyPlan:
    """All that is needed to make the commits.

    `dirty_paths` are those that differed from `head_commit` at import, relative to `directory`.
    """

    task_id: str
    title: str
    directory: Path
    head_commit: str
    dirty_paths: Sequence[str]
    base_root: str
    result_root: str
    branch: str
    include_ignored: bool


@dataclass(frozen=True)
class Applied:
    """The branch that was made."""

    branch: str
    commit: str
    parent_commit: str
    changes: Sequence[Change]
    ignored: Sequence[str]


async def apply_result(store: CheckpointStore, plan: ApplyPlan) -> Applied:
    """Make the commit and the branch.

    Raises:
        NotARepositoryError: the directory is gone or no git repository.
        BaseCommitMissingError: the commit of the import is not there.
        BranchExistsError: the branch exists, or its name is none.
        UnsafePathsError: a changed path may not be written.
        NothingToApplyError: nothing is left to apply.
        GitFailedError: git failed otherwise, for example without a configured identity.
    """
    prefix = await _check_repository(plan)
    changes = [
        change
        for change in store.diff(plan.base_root, plan.result_root, path=_WORKSPACE)
        if change.path.split("/", 1)[0] != ".git" and _is_content(change)
    ]
    _check_paths(changes)
    ignored: set[str] = set()
    if not plan.include_ignored:
        ignored = await ignored_paths(plan.directory, [change.path for change in changes])
    wanted = [change for change in changes if change.path not in ignored]
    if not wanted:
        left_out = " Only ignored files changed; --include-ignored takes them." if ignored else ""
        raise NothingToApplyError(f"Task {plan.task_id} changed nothing to apply.{left_out}")
    with tempfile.TemporaryDirectory(prefix="autovibe-apply-") as scratch:
        writer = _CommitWriter(store, plan, prefix, Path(scratch) / "index")
        parent = await writer.base_commit()
        commit = await writer.commit(
            plan.result_root,
            [(change.path, change.new) for change in wanted],
            parent,
            f"{plan.title}\n\nAutovibe-Task: {plan.task_id}\n",
        )
    await git(plan.directory, "update-ref", f"refs/heads/{plan.branch}", commit, _ZERO)
    return Applied(plan.branch, commit, parent, wanted, sorted(ignored))


async def _check_repository(plan: ApplyPlan) -> str:
    """Return the path of the directory below the top level, "" or ending in a slash."""
    hint = "write the result elsewhere with `autovibe checkpoint restore`"
    if not plan.directory.is_dir():
        raise NotARepositoryError(f"{plan.directory} does not exist any more; {hint}.")
    where = await git(plan.directory, "rev-parse", "--show-prefix", check=False)
    if where.status != 0:
        raise NotARepositoryError(f"{plan.directory} is not in a git repository; {hint}.")
    if not plan.head_commit:
        raise BaseCommitMissingError(
            f"{plan.directory} had no commit when it was imported; {hint}, or commit and run again."
        )
    present = await git(
        plan.directory, "cat-file", "-e", f"{plan.head_commit}^{{commit}}", check=False
    )
    if present.status != 0:
        raise BaseCommitMissingError(
            f"Commit {plan.head_commit[:12]}, on which the task was based, is not in "
            f"{plan.directory} any more; {hint}."
        )
    name = await git(plan.directory, "check-ref-format", "--branch", plan.branch, check=False)
    if name.status != 0 or plan.branch.startswith("-"):
        raise BranchExistsError(f"{plan.branch!r} is not a branch name; choose another --branch.")
    taken = await git(
        plan.directory, "show-ref", "--verify", "--quiet", f"refs/heads/{plan.branch}", check=False
    )
    if taken.status == 0:
        raise BranchExistsError(
            f"Branch {plan.branch} exists; choose another with --branch NAME, or delete it."
        )
    return os.fsdecode(where.out).rstrip("\n")


def _is_content(change: Change) -> bool:
    """Return whether git can hold the change: files and links, not directories or devices."""
    kinds = {entry.kind for entry in (change.old, change.new) if entry is not None}
    return bool(kinds & {"file", "symlink"})


def _check_paths(changes: Iterable[Change]) -> None:
    bad = [printable(change.path, one_line=True) for change in changes if _is_unsafe(change.path)]
    if bad:
        raise UnsafePathsError(
            f"The result holds paths that may not be written: {', '.join(bad[:_SHOWN_PATHS])}"
            f"{' …' if len(bad) > _SHOWN_PATHS else ''}. Look at them with `autovibe checkpoint "
            "diff`, and restore what you want by hand.",
            paths="\n".join(bad[:1000]),
        )


def _is_unsafe(path: str) -> bool:
    return path.startswith("/") or any(_is_unsafe_part(part) for part in path.split("/"))


def _is_unsafe_part(part: str) -> bool:
    """Return whether a name is empty, climbs, or is `.git` to some file system."""
    folded = part.translate(_HFS_IGNORED).lower().split(":", 1)[0].rstrip(". ")
    return part in {"", ".", ".."} or folded == ".git" or folded.startswith("git~") or "\\" in part


class _CommitWriter:
    """Writes trees and commits through a temporary index."""

    def __init__(self, store: CheckpointStore, plan: ApplyPlan, prefix: str, index: Path) -> None:
        self._store = store
        self._plan = plan
        self._prefix = prefix
        self._environment = {"GIT_INDEX_FILE": str(index)}

    async def base_commit(self) -> str:
        """Return HEAD at import, or a commit of its own for what was not committed then."""
        plan = self._plan
        await self._git("read-tree", plan.head_commit)
        if not plan.dirty_paths:
            return plan.head_commit
        dirty = set(plan.dirty_paths)
        entries = {
            entry.path: entry
            for entry in self._store.entries(plan.base_root, _WORKSPACE)
            if entry.path in dirty and entry.kind in {"file", "symlink"}
        }
        changes = [(path, entries.get(path)) for path in sorted(dirty) if not path.endswith("/")]
        _check_paths(Change(path, "modified", None, None) for path, _ in changes)
        message = f"Uncommitted work before task {plan.task_id}\n\nAutovibe-Task: {plan.task_id}\n"
        return await self.commit(plan.base_root, changes, plan.head_commit, message)

    async def commit(
        self, root: str, changes: Sequence[tuple[str, Entry | None]], parent: str, message: str
    ) -> str:
        """Commit the given entries of a snapshot on top of `parent`; `None` deletes a path."""
        removals = [path for path, entry in changes if not _is_blob(entry)]
        blobs = [(path, entry) for path, entry in changes if entry is not None and _is_blob(entry)]
        lines = [f"0 {_ZERO}\t{self._prefix}{path}" for path in removals]
        for path, entry in blobs:
            blob = await self._write_blob(root, path, entry)
            lines.append(f"{_git_mode(entry)} {blob}\t{self._prefix}{path}")
        records = b"".join(os.fsencode(line) + b"\0" for line in lines)
        await self._git("update-index", "-z", "--index-info", stdin=records)
        tree = (await self._git("write-tree")).strip()
        return (
            await self._git("commit-tree", tree, "-p", parent, "-F", "-", stdin=message.encode())
        ).strip()

    async def _write_blob(self, root: str, path: str, entry: Entry) -> str:
        with tempfile.NamedTemporaryFile(prefix="autovibe-blob-") as file:
            for piece in self._content(root, path, entry):
                file.write(piece)
            file.flush()
            return (await self._git("hash-object", "-w", "--no-filters", file.name)).strip()

    def _content(self, root: str, path: str, entry: Entry) -> Iterator[bytes]:
        if entry.kind == "symlink":
            return iter([os.fsencode(entry.target or "")])
        return self._store.read(root, f"{_WORKSPACE}/{path}")

    async def _git(self, *arguments: str, stdin: bytes = b"") -> str:
        try:
            answer = await git(
                self._plan.directory, *arguments, stdin=stdin, environment=self._environment
            )
        except GitFailedError as error:
            if arguments[0] == "commit-tree" and "empty ident" in error.message.lower():
                raise GitFailedError(
                    "git does not know who you are; set user.name and user.email with `git config`."
                ) from error
            raise
        return answer.out.decode()


def _is_blob(entry: Entry | None) -> bool:
    return entry is not None and entry.kind in {"file", "symlink"}


def _git_mode(entry: Entry) -> str:
    if entry.kind == "symlink":
        return "120000"
    return "100755" if entry.mode & 0o100 else "100644"
