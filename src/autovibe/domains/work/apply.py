"""Putting the result of a task on a new branch of the user's repository (decision B10).

What came out of a machine is hostile: nothing of its `.git` is read, no filter, hook or attribute
runs, and index and work tree of the user are never touched.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Final

from autovibe.domains.checkpoints.git import GitFailedError, git, untrusted
from autovibe.domains.work.commit_writer import WORKSPACE, CommitWriter, Tracked, is_blob
from autovibe.domains.work.errors import (
    BaseCommitMissingError,
    BranchExistsError,
    NotARepositoryError,
    NothingToApplyError,
    UnsafePathsError,
)
from autovibe.domains.work.history_stream import AgentCommit
from autovibe.domains.work.kept_commits import (
    agent_commits,
    apply_message,
    paths_of,
    write_commits,
)
from autovibe.domains.work.own_branch import carries_task, find_same, first_above
from autovibe.domains.work.ports import HistoryReader
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.faults import reach
from autovibe.kernel.text import printable, utf8
from autovibe.store import Change, CheckpointStore, Entry

_COMMIT: Final = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_SHOWN_PATHS: Final = 10
# A name below a directory, to ask git whether it ignores what is in there.
_PROBE: Final = "autovibe-ignore-probe"
# Code points that HFS+ ignores in names, so that ".g\u200cit" would be ".git" there.
_HFS_IGNORED: Final = dict.fromkeys(
    [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF]
)


@dataclass(frozen=True)
class ApplyPlan:
    """All that is needed to make the commits.

    `dirty_paths` are those that differed from `head_commit` at import, relative to `directory`;
    bytes that are no UTF-8 stand in them as escapes. `dirty_cut`: there were more than are named.
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
    dirty_cut: bool = False
    keep_commits: bool = False


@dataclass(frozen=True)
class Applied:
    """The branch that was made."""

    branch: str
    commit: str
    parent_commit: str
    changes: Sequence[Change]
    ignored: Sequence[str]
    kept_commits: int = 0


async def apply_result(
    store: CheckpointStore, plan: ApplyPlan, history: HistoryReader | None = None
) -> Applied:
    """Make the commit and the branch.

    With a reader of histories the agent's own commits are kept; what it had not committed is a
    last one. The tree is the same either way.

    Raises:
        NoIsolationError: the agent's commits cannot be read safely here.
        HistoryUnreadableError: they cannot be read, or are too many.
        HistoryUnrelatedError: they do not go on from the commit of the import.
        NotARepositoryError: the directory is gone or no git repository.
        BaseCommitMissingError: the commit of the import is not there.
        InvalidArgumentError: the branch's name is none.
        BranchExistsError: the branch exists.
        UnsafePathsError: a changed path may not be written.
        NothingToApplyError: nothing is left to apply.
        GitFailedError: git failed otherwise, for example without a configured identity.
    """
    prefix = await _check_repository(plan)
    changes = await asyncio.to_thread(content_changes, store, plan.base_root, plan.result_root)
    with tempfile.TemporaryDirectory(prefix="autovibe-apply-") as scratch:
        writer = CommitWriter(store, plan.directory, prefix, Path(scratch))
        tracked = await writer.start(plan.head_commit)
        _check_submodules([change.path for change in changes], tracked)
        ignored = await ignored_changes(writer, plan, changes)
        wanted = [change for change in changes if change.path not in ignored]
        check_paths([change.path for change in wanted])
        if not wanted:
            raise _nothing(plan, ignored)
        parent = await _base_commit(store, writer, plan, tracked)
        commits: Sequence[AgentCommit] = []
        # The repository of a subdirectory's machine, if the agent made one, is not of this one.
        if history is not None and not prefix:
            commits = await agent_commits(
                store, history, plan.result_root, plan.head_commit, Path(scratch)
            )
        tip = await _write_kept(writer, plan, tracked, commits, parent)
        tree = await writer.tree(
            plan.result_root, [(change.path, change.new) for change in wanted], len(parent)
        )
        if not commits and await writer.has_tree(parent, tree):
            raise _nothing(plan, ignored)
        commit = await writer.commit_changed(
            tree, tip, apply_message(plan.title, plan.task_id, after_others=bool(commits))
        )
    reach("commit_made")
    if made := await find_same(plan.directory, plan.branch, plan.head_commit, commit):
        if parent != plan.head_commit:
            parent = await first_above(plan.directory, plan.head_commit, made)
        return Applied(plan.branch, made, parent, wanted, sorted(ignored), len(commits))
    await _make_branch(plan, commit)
    reach("branch_made")
    return Applied(plan.branch, commit, parent, wanted, sorted(ignored), len(commits))


async def _make_branch(plan: ApplyPlan, commit: str) -> None:
    """Make the branch, which must not be there."""
    ref = f"refs/heads/{plan.branch}"
    taken = await git(plan.directory, "show-ref", "--verify", "--quiet", ref, check=False)
    if taken.status == 0:
        raise _branch_exists(plan)
    await git(plan.directory, "update-ref", ref, commit, "0" * len(commit))


def _branch_exists(plan: ApplyPlan) -> BranchExistsError:
    return BranchExistsError(
        f"Branch {plan.branch} exists; choose another with --branch NAME, or delete it."
    )


async def _write_kept(
    writer: CommitWriter,
    plan: ApplyPlan,
    tracked: Tracked,
    commits: Sequence[AgentCommit],
    parent: str,
) -> str:
    """Make the agent's commits on top of `parent`; return the last one."""
    if not commits:
        return parent
    paths = paths_of(commits)
    _check_submodules(paths, tracked)
    left_out = await _ignored(writer, plan, paths)
    check_paths([path for path in paths if path not in left_out])
    return await write_commits(writer, commits, left_out, parent, plan.task_id)


async def _check_repository(plan: ApplyPlan) -> str:
    """Return the path of the directory below the top level, "" or ending in a slash."""
    hint = "write the result elsewhere with `autovibe checkpoint restore`"
    if not plan.directory.is_dir():
        raise NotARepositoryError(f"{plan.directory} does not exist any more; {hint}.")
    where = await git(plan.directory, "rev-parse", "--show-prefix", check=False)
    if "dubious ownership" in where.err:
        raise untrusted(plan.directory)
    if where.status != 0:
        raise NotARepositoryError(f"{plan.directory} is not in a git repository; {hint}.")
    if not plan.head_commit:
        raise BaseCommitMissingError(
            f"{plan.directory} had no commit when it was imported; {hint}, or commit and run again."
        )
    if not _COMMIT.fullmatch(plan.head_commit) or not await _has_commit(plan):
        raise BaseCommitMissingError(
            f"Commit {plan.head_commit[:12]}, on which the task was based, is not in "
            f"{plan.directory} any more; {hint}."
        )
    if plan.dirty_cut:
        raise GitFailedError(
            f"Too many files of {plan.directory} were not committed when it was imported; commit "
            f"or ignore them and run again, or {hint}."
        )
    await _check_branch(plan)
    return os.fsdecode(where.out).rstrip("\n")


async def repository_prefix(plan: ApplyPlan) -> str | None:
    """Return the path of the directory below the top level of its repository, "" or with a slash.

    `None` when it is in none, or when the commit of the import is not there.
    """
    if not plan.directory.is_dir() or not _COMMIT.fullmatch(plan.head_commit):
        return None
    where = await git(plan.directory, "rev-parse", "--show-prefix", check=False)
    if where.status != 0 or not await _has_commit(plan):
        return None
    return os.fsdecode(where.out).rstrip("\n")


async def _has_commit(plan: ApplyPlan) -> bool:
    commit = f"{plan.head_commit}^{{commit}}"
    return (await git(plan.directory, "cat-file", "-e", commit, check=False)).status == 0


async def _check_branch(plan: ApplyPlan) -> None:
    ref = f"refs/heads/{plan.branch}"
    name = await git(plan.directory, "check-ref-format", ref, check=False)
    if name.status != 0 or plan.branch.startswith("-") or plan.branch == "HEAD":
        raise InvalidArgumentError(
            f"{plan.branch!r} is not a branch name; choose another --branch.", field="branch"
        )
    taken = await git(plan.directory, "show-ref", "--verify", "--quiet", ref, check=False)
    # Its own one, of an `apply` that died before it was recorded, is compared with what it makes.
    if taken.status == 0 and not await carries_task(plan.directory, ref, plan.task_id):
        raise _branch_exists(plan)


def content_changes(store: CheckpointStore, base_root: str, result_root: str) -> list[Change]:
    """Return what the task changed of what git can hold, without the repository itself."""
    return [
        change
        for change in store.diff(base_root, result_root, path=WORKSPACE)
        if change.path.split("/", 1)[0] != ".git" and (is_blob(change.old) or is_blob(change.new))
    ]


def _check_submodules(paths: Sequence[str], tracked: Tracked) -> None:
    inside = [
        path
        for path in paths
        if any(path == link or path.startswith(f"{link}/") for link in tracked.gitlinks)
    ]
    if inside:
        raise UnsafePathsError(
            f"The result changes what is in submodules: {_listed(inside)}. Restore it elsewhere "
            "and commit it there by hand.",
            paths=_all_paths(inside),
        )


async def ignored_changes(
    writer: CommitWriter, plan: ApplyPlan, changes: Sequence[Change]
) -> set[str]:
    """Return the changed paths that are ignored by the rules at import or by those of the result.

    A path that may not be written is ignored if the directory is that it is in. With
    `--include-ignored` only such paths are: nobody can take them.
    """
    return await _ignored(writer, plan, [change.path for change in changes])


async def _ignored(writer: CommitWriter, plan: ApplyPlan, paths: Sequence[str]) -> set[str]:
    asked: dict[str, list[str]] = {}
    for path in paths:
        unsafe = _is_unsafe(path)
        if unsafe or not plan.include_ignored:
            question = _safe_question(path) if unsafe else path
            asked.setdefault(question, []).append(path)
    ignored: set[str] = set()
    for root in dict.fromkeys((plan.base_root, plan.result_root)):
        for question in await writer.ignored(root, list(asked)):
            ignored.update(asked[question])
    return ignored


def _safe_question(path: str) -> str:
    """Return a path that is ignored if the innermost harmless directory of an unsafe one is."""
    safe = takewhile(lambda part: not _is_unsafe_part(part), path.split("/"))
    return "/".join([*safe, _PROBE])


def check_paths(paths: Sequence[str]) -> None:
    """Refuse what nobody may write.

    Raises:
        UnsafePathsError: a path climbs, is absolute or names a repository's own files.
    """
    bad = [path for path in paths if _is_unsafe(path)]
    if bad:
        raise UnsafePathsError(
            f"The result holds paths that may not be written: {_listed(bad)}. Look at them with "
            "`autovibe checkpoint diff`, and restore what you want by hand.",
            paths=_all_paths(bad),
        )


def _listed(paths: Sequence[str]) -> str:
    shown = ", ".join(printable(path, one_line=True) for path in paths[:_SHOWN_PATHS])
    return f"{shown}, …" if len(paths) > _SHOWN_PATHS else shown


def _all_paths(paths: Sequence[str]) -> str:
    return "\n".join(printable(path, one_line=True) for path in paths[:1000])


def _is_unsafe(path: str) -> bool:
    return any(_is_unsafe_part(part) for part in path.split("/"))


def _is_unsafe_part(part: str) -> bool:
    """Return whether a name is empty, climbs, or is `.git` to some file system."""
    folded = part.translate(_HFS_IGNORED).lower().split(":", 1)[0].rstrip(". ")
    return part in {"", ".", ".."} or folded == ".git" or folded.startswith("git~") or "\\" in part


def _nothing(plan: ApplyPlan, ignored: set[str]) -> NothingToApplyError:
    left_out = " Only ignored files changed; --include-ignored takes them." if ignored else ""
    return NothingToApplyError(f"Task {plan.task_id} changed nothing to apply.{left_out}")


async def _base_commit(
    store: CheckpointStore, writer: CommitWriter, plan: ApplyPlan, tracked: Tracked
) -> str:
    """Return HEAD at import, or a commit of its own for what was not committed then."""
    dirty = set(plan.dirty_paths)
    if not dirty:
        return plan.head_commit

    def find() -> list[tuple[str, Entry | None]]:
        return [
            (entry.path, entry)
            for entry in store.entries(plan.base_root, WORKSPACE)
            if utf8(entry.path) in dirty and is_blob(entry)
        ]

    present = await asyncio.to_thread(find)
    names = {path for path, _ in present}
    gone = sorted(path for path in tracked.files - names if utf8(path) in dirty)
    check_paths([*gone, *names])
    message = f"Uncommitted work before task {plan.task_id}\n\nAutovibe-Task: {plan.task_id}\n"
    changes = [*((path, None) for path in gone), *present]
    return await writer.commit(plan.base_root, changes, plan.head_commit, message)
